"""What is on a board beside the image: finds a whole image in flash, and starts it (SPEC 12.9)."""
