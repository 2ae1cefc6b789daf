"""Hardware-in-the-loop tests: the board that they run on, real or emulated, and the tests."""
