"""The emulated rig board: a Cortex-M3 (ARM MPS2, AN385) that runs real MicroPython in QEMU.

`image` builds what is flashed, `rom` packs the application beside it, `qemu` runs both and counts
instructions. Nothing here touches the system or the source tree; products go to the cache folder.
"""
