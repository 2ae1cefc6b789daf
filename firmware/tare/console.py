"""The serial console: lines in, replies out (SPEC 11). Pure; verbs are given by the application.

Bounded in both directions. A handler takes the arguments and returns what is sent as JSON, or
None; it refuses with `ConsoleError`. Unknown or overlong input gets an error and changes nothing.
"""

import json

from tare.errors import ConsoleError, FirmwareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[list[str]], object]

MAX_LINE_IN = 1024
MAX_LINE_OUT = 2048
_LOG_LINES = 40
_MAX_LOG = 120
_LF = 10
_CR = 13


class Lines:
    """Collects bytes to lines; what is longer than a line may be counts as one bad line."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._overlong = False

    def feed(self, byte: int) -> "str | None":
        """Take a byte; return the line that it ends, "" for one that cannot be read."""
        if byte != _LF:
            if len(self._line) >= MAX_LINE_IN - 1:
                self._overlong = True
            else:
                self._line.append(byte)
            return None
        raw, bad = bytes(self._line), self._overlong
        if raw and raw[-1] == _CR:  # hosts that end lines with both
            raw = raw[:-1]
        self._line = bytearray()
        self._overlong = False
        if bad or any(not 32 <= byte < 127 for byte in raw):
            return ""
        return str(raw, "ascii")


class Console:
    """Answers requests and remembers the last log lines. `write(text)` sends one whole line."""

    def __init__(self, write: "Callable[[str], None]") -> None:
        self._write = write
        self._verbs: dict[str, Handler] = {"help": self._help, "log": self._last_lines}
        self._log: list[str] = []
        #: How many bytes came: half a line is somebody typing. Counted by whoever reads them.
        self.heard = 0

    def add(self, verb: str, handler: "Handler") -> None:
        """Give a verb its handler."""
        self._verbs[verb] = handler

    def handle(self, line: str) -> None:
        """Answer one request line."""
        words = line.split()
        number = words[0] if words and _is_number(words[0]) else "0"
        try:
            result = self._handler(words)(words[2:])
        except ConsoleError as error:
            self._write("= %s error %s %s" % (number, error.code, error))
        except FirmwareError as error:
            self._write("= %s error failed %s" % (number, error))
        else:
            text = "" if result is None else " " + json.dumps(result)
            reply = "= %s ok%s" % (number, text)
            if len(reply) >= MAX_LINE_OUT:
                reply = "= %s error too-long the reply does not fit into a line" % number
            self._write(reply)

    def _handler(self, words: list[str]) -> "Handler":
        if len(words) < 2 or not _is_number(words[0]):
            raise ConsoleError("syntax", "expected: <number> <verb> [argument ...]")
        handler = self._verbs.get(words[1])
        if handler is None:
            raise ConsoleError("unknown-verb", "no such verb; help lists them")
        return handler

    def _help(self, arguments: list[str]) -> object:
        expect(arguments, 0)
        return {"verbs": sorted(self._verbs)}

    def log(self, text: str) -> None:
        """Write a log line. Never hand it a reading, a code or a key."""
        text = "".join([each if " " <= each <= "~" else "?" for each in text[:_MAX_LOG]])
        self._log.append(text)
        if len(self._log) > _LOG_LINES:
            self._log.pop(0)
        self._write("# " + text)

    def event(self, name: str, data: object) -> None:
        """Write an event."""
        self._write("! %s %s" % (name, json.dumps(data)))

    def _last_lines(self, arguments: list[str]) -> object:
        expect(arguments, 0)
        lines: list[str] = []
        size = 0
        for text in reversed(self._log):
            size += len(json.dumps(text)) + 2
            if size > MAX_LINE_OUT - 64:
                break
            lines.insert(0, text)
        return {"lines": lines}


def expect(arguments: list[str], count: int) -> None:
    """Refuse a request that does not have this many arguments."""
    if len(arguments) != count:
        raise ConsoleError("arguments", "wrong number of arguments")


def number(text: str, low: int, high: int) -> int:
    """Return a decimal argument within a range."""
    if not _is_number(text) or not low <= int(text) <= high:
        raise ConsoleError("arguments", "expected a number from %d to %d" % (low, high))
    return int(text)


def octets(text: str, low: int, high: int) -> bytes:
    """Return a hexadecimal argument of `low` to `high` bytes."""
    # Not bytes.fromhex alone: it takes blanks, and other runtimes take other things.
    if len(text) % 2 or any(digit not in "0123456789abcdefABCDEF" for digit in text):
        raise ConsoleError("arguments", "expected hexadecimal bytes")
    if not low <= len(text) // 2 <= high:
        raise ConsoleError("arguments", "expected %d to %d bytes" % (low, high))
    return bytes.fromhex(text)


def _is_number(text: str) -> bool:
    return 0 < len(text) <= 9 and all(digit in "0123456789" for digit in text)
