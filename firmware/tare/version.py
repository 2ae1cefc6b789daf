"""What this firmware calls itself, and the earliest time it can believe."""

FIRMWARE = "0.1.0"
#: No clock can be right that is before this (SPEC 9.4). The release build sets it to its own date;
#: the certificates of every cloud are valid from here on. 2025-01-01.
BUILD_TIME_S = 1_735_689_600
