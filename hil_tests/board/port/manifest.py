# Frozen into the rig image: only what every program on the board needs. The application comes
# in a ROM file system, so that a change in it does not need another image.
include("$(MPY_DIR)/extmod/asyncio")
