"""Runs on the rig board: counts instructions and heap garbage of one call.

Imports nothing of the application. Needs QEMU's `-icount shift=5`, which the runner sets.
"""

import gc
import time

# 25 MHz counter, 32 ns an instruction.
_INSTRUCTIONS_PER_4_TICKS = 5


def count(name, function, *arguments):
    """Calls the function, prints what it cost for the host to read, returns its result.

    Garbage is all that the call leaves allocated with collection off, its result included.
    """
    gc.collect()
    gc.disable()
    try:
        before_bytes = gc.mem_alloc()
        start = time.ticks_cpu()
        result = function(*arguments)
        ticks = time.ticks_diff(time.ticks_cpu(), start)
        garbage_bytes = gc.mem_alloc() - before_bytes
    finally:
        gc.enable()
    # Time wraps after 43 s, and half of that is what a difference can tell.
    if ticks < 0:
        raise ValueError("too long to count")
    print("\x1e", name, ticks * _INSTRUCTIONS_PER_4_TICKS // 4, garbage_bytes)
    return result
