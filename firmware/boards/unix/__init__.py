"""The virtual device: MicroPython's unix build, a flash in a file, a simulated load cell."""
