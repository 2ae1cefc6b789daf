"""A strict reader of the part of CDDL (RFC 8610) that `tare.cddl` uses, for its tests.

The CDDL library takes too much to compare it with the parsers in both directions: it is
content when one element of a list fits, and lets byte strings pass for numbers. So it
confirms what must fit, and this reader says what must not.
"""

import re
from collections.abc import Callable

from protocol import cbor
from protocol.errors import CborError

Matcher = Callable[[object], bool]

_TOKEN = re.compile(
    r"\s+|;[^\n]*|(?P<token>#6\.\d+|\.\.|\.size|\.cbor|-?\d+|[A-Za-z][\w-]*|[=/\[\](){}:,*])"
)
_PRIMITIVES: dict[str, Matcher] = {
    "any": lambda _: True,
    "null": lambda item: item is None,
    "bstr": lambda item: isinstance(item, bytes),
    "tstr": lambda item: isinstance(item, str),
}
_MANY = 1 << 64


class Grammar:
    """`fits(rule, item)` for every rule of a document; `rules` are their names."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._matchers: dict[str, Matcher] = {}
        while self._at < len(self._tokens):
            name = self._take()
            if name in self._matchers:
                raise ValueError(f"rule {name} is there twice")
            self._expect("=")
            self._matchers[name] = self._type()
        self.rules = list(self._matchers)

    def fits(self, rule: str, item: object) -> bool:
        """Tell whether a decoded item is what the rule describes."""
        return self._matchers[rule](item)

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ""

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, token: str) -> None:
        taken = self._take()
        if taken != token:
            raise ValueError(f"{token} expected, not {taken}")

    def _skip(self, token: str) -> bool:
        if self._peek() == token:
            self._at += 1
            return True
        return False

    def _type(self) -> Matcher:
        choices = [self._controlled()]
        while self._skip("/"):
            choices.append(self._controlled())
        return lambda item: any(choice(item) for choice in choices)

    def _controlled(self) -> Matcher:
        base = self._base()
        if self._skip(".size"):
            low, high = self._sizes()
            return lambda item: base(item) and low <= _size(item) <= high
        if self._skip(".cbor"):
            inside = self._base()
            return lambda item: base(item) and _holds(item, inside)
        return base

    def _sizes(self) -> tuple[int, int]:
        if not self._skip("("):
            size = int(self._take())
            return size, size
        low = int(self._take())
        self._expect("..")
        high = int(self._take())
        self._expect(")")
        return low, high

    def _base(self) -> Matcher:
        token = self._take()
        if token == "[":
            return self._array()
        if token == "{":
            return self._map()
        if token.startswith("#6."):
            return self._tag(int(token[3:]))
        if re.fullmatch(r"-?\d+", token):
            low = high = int(token)
            if self._skip(".."):
                high = int(self._take())
            # An integer, as the first half says.
            return lambda item: _is_integer(item) and low <= item <= high  # type: ignore[operator]
        if token in _PRIMITIVES:
            return _PRIMITIVES[token]
        # Late: the rule may stand further down.
        return lambda item: self.fits(token, item)

    def _array(self) -> Matcher:
        entries: list[tuple[int, int, Matcher]] = []
        while not self._skip("]"):
            low, high = self._occurrence()
            if self._peek(1) == ":":
                self._at += 2
            entries.append((low, high, self._type()))
            self._skip(",")
        return lambda item: isinstance(item, list) and _sequence_fits(item, entries)

    def _occurrence(self) -> tuple[int, int]:
        if self._peek() != "*" and self._peek(1) != "*":
            return 1, 1
        low = 0 if self._peek() == "*" else int(self._take())
        self._expect("*")
        return low, int(self._take()) if self._peek().isdigit() else _MANY

    def _map(self) -> Matcher:
        entries: dict[object, Matcher] = {}
        while not self._skip("}"):
            key = int(self._take())
            self._expect(":")
            entries[key] = self._type()
            self._skip(",")
        return lambda item: (
            isinstance(item, dict)
            and set(item) == set(entries)
            and all(entries[key](value) for key, value in item.items())
        )

    def _tag(self, number: int) -> Matcher:
        self._expect("(")
        inside = self._type()
        self._expect(")")
        return lambda item: (
            isinstance(item, cbor.Tag) and item.number == number and inside(item.value)
        )


def _tokens(text: str) -> list[str]:
    tokens = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"not CDDL of this part: {text[at : at + 30]!r}")
        if found["token"]:
            tokens.append(found["token"])
        at = found.end()
    return tokens


def _sequence_fits(items: list[object], entries: list[tuple[int, int, Matcher]]) -> bool:
    if not entries:
        return not items
    low, high, matcher = entries[0]
    taken = 0
    while taken < min(high, len(items)) and matcher(items[taken]):
        taken += 1
        if taken >= low and len(entries) > 1 and _sequence_fits(items[taken:], entries[1:]):
            return True
    return taken >= low and _sequence_fits(items[taken:], entries[1:])


def _is_integer(item: object) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)


def _size(item: object) -> int:
    # Bytes, else it has no size.
    return len(item.encode()) if isinstance(item, str) else len(item)  # type: ignore[arg-type]


def _holds(item: object, inside: Matcher) -> bool:
    try:
        return isinstance(item, bytes) and inside(cbor.decode(item))
    except CborError:
        return False
