"""A board's prompt over its serial port, by mpremote's library: `Cable`. Touches one port.

mpremote waits for ever in some places and prints where it fails: here every wait ends, and every
fault is one line.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self

from mpremote.transport import (  # type: ignore[import-untyped]  # no types
    TransportError,
    TransportExecError,
)
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]  # no types

from tools.firmware.errors import FlashingError

_BAUD = 115_200
#: Longer than a small board needs to erase a sector, or to digest a whole image.
_ANSWER_S: Final = 10.0


class Cable:
    """An open prompt; FlashingError with one line for whatever goes wrong on it.

    with Cable("/dev/ttyUSB0") as cable:
        print(cable.ask("1 + 1"))
    """

    def __init__(self, port: str) -> None:
        self._port = port
        with self._in_words(f"{port} cannot be opened"):
            self._transport = SerialTransport(port, _BAUD, timeout=_ANSWER_S)
        try:
            with self._in_words(f"no MicroPython answers on {port}"):
                # Without a soft reset: it would forget what the loader was told of the flash.
                self._transport.enter_raw_repl(soft_reset=False, timeout_overall=_ANSWER_S)
        except BaseException:
            self.close()
            raise

    def do(self, program: str) -> None:
        """Runs statements on the board; names stay for the next."""
        with self._in_words(f"the board on {self._port} went away"):
            self._transport.exec(program)

    def ask(self, expression: str) -> Any:
        """The value of an expression on the board: what Python's literals can say."""
        with self._in_words(f"the board on {self._port} went away"):
            return self._transport.eval(expression)

    def close(self) -> None:
        """Leaves the board at its prompt."""
        with contextlib.suppress(OSError, TransportError):
            if self._transport.in_raw_repl:
                self._transport.exit_raw_repl()
        with contextlib.suppress(OSError):
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _in_words(self, aim: str) -> Iterator[None]:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except TransportExecError as error:
            raise FlashingError(f"on the board: {_last_line(error.error_output)}") from error
        except TransportError as error:
            raise FlashingError(f"{aim}: {_last_line(str(error))}") from error
        except OSError as error:
            raise FlashingError(f"{aim}: {error.strerror or _last_line(str(error))}") from error
        except (ValueError, SyntaxError, struct.error, IndexError) as error:
            # An address that pyserial does not know; an answer cut short.
            raise FlashingError(f"{aim}: {_last_line(str(error))}") from error


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"
