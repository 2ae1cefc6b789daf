"""Runs on the rig board: counts the instructions, and the heap garbage, of one call.

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
        result, instructions = _run(function, arguments)
        garbage_bytes = gc.mem_alloc() - before_bytes
    finally:
        gc.enable()
    print("\x1e", name, instructions, garbage_bytes)
    return result


def count_instructions(name, function, *arguments):
    """As `count` for what leaves more garbage than the heap holds: collecting is counted in."""
    gc.collect()
    result, instructions = _run(function, arguments)
    print("\x1e", name, instructions, -1)
    return result


def _run(function, arguments):
    start = time.ticks_cpu()
    result = function(*arguments)
    ticks = time.ticks_diff(time.ticks_cpu(), start)
    # Time wraps after 43 s, and half of that is what a difference can tell.
    if ticks < 0:
        raise ValueError("too long to count")
    return result, ticks * _INSTRUCTIONS_PER_4_TICKS // 4
