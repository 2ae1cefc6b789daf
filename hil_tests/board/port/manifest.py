# Frozen into the rig image: only what every program on the board needs. The application comes
# in a ROM file system, so that a change in it does not need another image; its loader is here.
include("$(MPY_DIR)/extmod/asyncio")
# It must not come from what it judges.
package(
    "loader",
    files=("__init__.py", "chip_mps2.py", "slots.py", "start.py"),
    base_path="../../../firmware",
)
