"""The MicroPython side of the pytest plugin: runs the test functions of one module on request.

Started as `micropython -c "from tools import mp_runner; mp_runner.main(MODULE, MARK)"`. Each line
on standard input names a function; its printed output is followed by a line of its own with the
mark, the outcome (passed, failed, skipped) and for a skip the reason.
"""

import asyncio
import gc
import sys

from tools.mp_support import SkipTest

TYPE_CHECKING = False  # MicroPython has no typing module
if TYPE_CHECKING:
    from collections.abc import Callable


def main(module_name: str, mark: str) -> None:
    """Serves until standard input ends. `mark` begins the lines that are for the plugin."""
    module = None
    while True:
        name = sys.stdin.readline().strip()
        if not name:
            return
        try:
            if module is None:
                module = __import__(module_name)
            _call(getattr(module, name))
            outcome = "passed"
        except SkipTest as reason:
            outcome = "skipped " + str(reason).replace("\n", " ")
        except BaseException as error:  # SystemExit too ends only the test
            sys.print_exception(error)
            outcome = "failed"
        print("\n" + mark + " " + outcome)
        gc.collect()


def _call(function: "Callable[[], object]") -> None:
    result = function()
    if hasattr(result, "send"):
        asyncio.new_event_loop()  # what an earlier test left running must not go on in this one
        asyncio.run(result)  # type: ignore[arg-type]  # a test returns nothing or a coroutine
