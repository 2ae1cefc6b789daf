"""Makes the firmware's image for a board, and brings it onto a board by cable."""
