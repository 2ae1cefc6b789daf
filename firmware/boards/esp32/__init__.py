"""Parts of the board for the ESP32: its radio, and Ctrl-C on its console."""
