"""MicroPython's raw prompt on standard input and output, for the unix build, which has none.

As the others' (shared/runtime/pyexec.c): Ctrl-A begins, Ctrl-C forgets what was typed, Ctrl-D runs
it, and answers `OK`, what it printed, Ctrl-D, its traceback, Ctrl-D and `>`. No raw paste mode.
"""

import io
import sys

_BEGIN = b"\x01"
_FRIENDLY = b"\x02"
_FORGET = b"\x03"
_RUN = b"\x04"
_PASTE = b"\x05A\x01"
_NO_PASTE = "R\x00"


def serve(names: dict[str, object]) -> None:
    """Run what is typed, with these global names, until the input ends."""
    typed = bytearray()
    while True:
        byte = sys.stdin.buffer.read(1)
        if not byte:
            return
        if byte == _RUN:
            _run(bytes(typed), names)
        elif byte == _BEGIN and typed + byte == _PASTE:
            sys.stdout.write(_NO_PASTE)
        elif byte == _BEGIN:
            sys.stdout.write("raw REPL; CTRL-B to exit\r\n>")
        elif byte not in (_FORGET, _FRIENDLY):
            typed.extend(byte)
            continue
        typed = bytearray()


def _run(program: bytes, names: dict[str, object]) -> None:
    sys.stdout.write("OK")
    trace = io.StringIO()
    try:
        exec(compile(program.decode(), "<stdin>", "exec"), names)  # noqa: S102 - its purpose
    except Exception as error:
        sys.print_exception(error, trace)
    sys.stdout.write("\x04" + trace.getvalue() + "\x04>")
