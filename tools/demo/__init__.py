"""The demo: seven acts that show the whole way of a reading with real parts, and end with proof.

Every part runs as a user would run it: the `tare` commands as child processes, the firmware in
MicroPython behind a serial port. Numbers in the closing lines are measured, never written down.
"""
