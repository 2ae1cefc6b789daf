"""Physics and parts that stand in for hardware: flash, load cell, person."""
