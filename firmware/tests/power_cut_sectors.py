"""Imported before anything that touches flash: sectors of 256 bytes instead of 4,096.

The same code meets the same boundaries sixteen times as often, and a recovery reads a sixteenth:
so that a hundred thousand power cuts fit into a CI run.
"""

from tare import flash as flash_map

flash_map.SECTOR = 256
