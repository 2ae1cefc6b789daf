"""The grammar of SPEC 4, 5, 6.1 and 10 once more, for the second implementation: `check`, `judge`.

Shares no code with `protocol`. What is not a message raises GrammarError; a record that is one, but
not acceptable, is told by `judge` (SPEC 4.4).
"""

from collections.abc import Callable
from typing import Any

_MOST = 2**63 - 1
_TIME = 2**36 - 1

#: Kind -> bits of flags that it may have.
_FLAGS = {1: 0x0180, 2: 0x0180, 3: 0x0780}


class GrammarError(Exception):
    """The payload is not what its type says."""


def check(item: Any, is_point: Callable[[bytes], bool]) -> None:
    """Raise GrammarError unless `item`, an array with a known type, is such a message."""
    number, *rest = item
    if number == 48:
        _enrol_request(rest, is_point)
    elif number == 49:
        _enrol_answer(rest, is_point)
    else:
        _CHECKS[number](rest)


def judge(frame: list[Any]) -> list[str]:
    """What SPEC 4.4 says of each record of a readings frame."""
    _, _, _, _, handle, clock, records = frame
    counted = isinstance(clock, list)
    return [_judge(record, handle, counted=counted) for record in records]


def _judge(record: list[Any], handle: int, *, counted: bool) -> str:
    seconds, packed, values = record
    kind, attribution, flags = packed & 15, packed >> 5 & 3, packed & 0xFF80
    if kind not in _FLAGS or flags & ~_FLAGS[kind] or attribution == 3:
        return "unknown-kind"
    fits = (
        seconds <= _TIME
        and (handle == 0) == (attribution == 0)
        and bool(packed & 16) == counted
        and _values_fit(kind, values)
    )
    return "fine" if fits else "out-of-range"


def _values_fit(kind: int, values: list[int]) -> bool:
    if kind == 3:
        if len(values) != 4 or min(values) < 1:
            return False
        systolic, diastolic, mean, pulse = values
        return diastolic < mean < systolic <= 4_000 and pulse <= 3_500
    most = [300_000, 30_000][:kind]
    return len(values) == kind and all(
        1 <= value <= high for value, high in zip(values, most, strict=True)
    )


def _whole(item: Any, low: int = 0, high: int = _MOST) -> int:
    if type(item) is int and low <= item <= high:
        return item
    raise GrammarError


def _octets(item: Any, low: int, high: int) -> None:
    if type(item) is not bytes or not low <= len(item) <= high:
        raise GrammarError


def _text(item: Any, high: int) -> None:
    if type(item) is not str or not 1 <= len(item.encode()) <= high:
        raise GrammarError


def _list(item: Any, low: int, high: int | None = None) -> list[Any]:
    if isinstance(item, list) and low <= len(item) <= (low if high is None else high):
        return item
    raise GrammarError


def _hello(rest: list[Any]) -> None:
    nonce, model, firmware, boot, clock, journal, claim, counter = _list(rest, 8)
    _octets(nonce, 16, 16)
    _text(model, 32)
    _text(firmware, 32)
    boots, reason = _list(boot, 2)
    _whole(boots)
    _whole(reason, 0, 4)
    epoch, seconds, wall = _list(clock, 3)
    _whole(epoch, 1)
    _whole(seconds, 0, _TIME)
    if wall is not None:
        _whole(wall, 0, _TIME)
    oldest, following = _list(journal, 2)
    _whole(oldest, 1, _whole(following, 1))
    _whole(claim)
    _whole(counter)


def _claim_window(rest: list[Any]) -> None:
    nonce, proof, seconds = _list(rest, 3)
    _octets(nonce, 16, 16)
    _octets(proof, 32, 32)
    _whole(seconds, 1, 600)


def _sequences(oldest: Any, first: Any, count: int) -> None:
    # The last sequence is one as well.
    _whole(oldest, 1, _whole(first, 1, _MOST - count + 1))


def _readings(rest: list[Any]) -> None:
    oldest, first, claim, handle, clock, records = _list(rest, 6)
    _sequences(oldest, first, len(_list(records, 1, 32)))
    _whole(claim)
    _whole(handle, 0, 65_535)
    _clock(clock)
    for record in records:
        seconds, packed, values = _list(record, 3)
        _whole(seconds)
        _whole(packed, 0, 65_535)
        for value in _list(values, 1, 16):
            _whole(value)


def _clock(clock: Any) -> None:
    if not isinstance(clock, list):
        _whole(clock, 1)
        return
    epoch, *times = _list(clock, 2, 3)
    _whole(epoch, 1)
    earliest = _whole(times[0], 0, _TIME)
    if len(times) == 2:
        _whole(times[1], earliest + 1, _TIME)


def _receipts(rest: list[Any]) -> None:
    oldest, first, receipts = _list(rest, 3)
    _sequences(oldest, first, len(_list(receipts, 1, 16)))
    for receipt in receipts:
        counter, verb, outcome, *detail = _list(receipt, 3, 4)
        _whole(counter, 1)
        _whole(verb, 1, 65_535)
        _whole(outcome, 0, 4)
        for each in detail:
            _octets(each, 1, 64)


def _voids(rest: list[Any]) -> None:
    oldest, first, count = _list(rest, 3)
    _sequences(oldest, first, _whole(count, 1, 65_535))


def _welcome(rest: list[Any]) -> None:
    nonce, time, settled, claim = _list(rest, 4)
    _octets(nonce, 16, 16)
    _whole(time, 0, _TIME)
    _whole(settled)
    _whole(claim)


def _ack(rest: list[Any]) -> None:
    settled, refusals = _list(rest, 2)
    _whole(settled)
    before = 0
    for refusal in _list(refusals, 0, 32):
        sequence, reason = _list(refusal, 2)
        before = _whole(sequence, before + 1)
        if _whole(reason, 1, 31) >= 16 and sequence <= settled:
            raise GrammarError


def _command(rest: list[Any]) -> None:
    counter, issued, expires, verb, arguments = _list(rest, 5)
    _whole(counter, 1)
    _whole(issued, 0, _TIME - 86_400)
    _whole(expires, issued + 1, issued + 86_400)
    _whole(verb, 1, 65_535)
    _list(arguments, 0, 16)


def _keys(keys: list[Any], is_point: Callable[[bytes], bool]) -> None:
    for key in keys:
        _octets(key, 64, 64)
        if not is_point(key):
            raise GrammarError


def _enrol_request(rest: list[Any], is_point: Callable[[bytes], bool]) -> None:
    challenge, identity, tls, ephemeral, model, firmware = _list(rest, 6)
    _octets(challenge, 16, 16)
    _keys([identity, tls, ephemeral], is_point)
    _text(model, 32)
    _text(firmware, 32)


def _enrol_answer(rest: list[Any], is_point: Callable[[bytes], bool]) -> None:
    challenge, certificate, authority, key, address, name, time = _list(rest, 7)
    _octets(challenge, 16, 16)
    _octets(certificate, 1, 1_500)
    _octets(authority, 1, 1_500)
    _keys([key], is_point)
    host, port = _list(address, 2)
    _text(host, 253)
    _whole(port, 1, 65_535)
    _text(name, 253)
    _whole(time, 0, _TIME)


_CHECKS: dict[int, Callable[[list[Any]], None]] = {
    1: _hello,
    2: _claim_window,
    3: _readings,
    4: _receipts,
    5: _voids,
    16: _welcome,
    17: _ack,
    32: _command,
}
