"""The rig's own judgement can fail: each thing that must not happen, happening."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_tests.rig.scale import Saved, Scale
from hil_tests.rig.terminal import Terminal
from hil_tests.rig.verdict import complaints
from hil_tests.rig.waiting import RigTimeoutError, until

_SAVED = [Saved(2, 72_000), Saved(3, 72_500), Saved(4, 73_000)]
_SIGNED = {2: 72_000, 3: 72_500, 4: 73_000}
_LISTED = [72_000, 72_500, 73_000]


def test_exactly_once_is_no_complaint() -> None:
    assert complaints(_SAVED, _SIGNED, _LISTED, unannounced=0) == []


def test_a_swallowed_announcement_is_no_complaint_after_a_cut() -> None:
    signed, listed = _SIGNED | {5: 73_100}, [*_LISTED, 73_100]
    assert complaints(_SAVED, signed, listed, unannounced=1) == []
    (complaint,) = complaints(_SAVED, signed, listed, unannounced=0)
    assert "not announced" in complaint


@pytest.mark.parametrize(
    ("saved", "signed", "listed", "expected"),
    [
        (_SAVED, {2: 72_000, 3: 72_500}, [72_000, 72_500], r"not stored: [4]"),
        (_SAVED, _SIGNED | {4: 73_050}, [72_000, 72_500, 73_050], "another weight"),
        (_SAVED, _SIGNED, [*_LISTED, 73_000], "4 listed"),
        (_SAVED, _SIGNED, _LISTED[1:], "2 listed"),
        (_SAVED, _SIGNED, [72_000, 72_500, 73_001], "3 listed"),
        ([*_SAVED, Saved(4, 73_000)], _SIGNED, _LISTED, "announced twice"),
        (_SAVED[:2], _SIGNED, _LISTED, "not announced"),
    ],
)
def test_each_fault_is_seen(
    saved: list[Saved], signed: dict[int, int], listed: list[int], expected: str
) -> None:
    assert expected in "; ".join(complaints(saved, signed, listed, unannounced=0))


def test_a_line_that_a_power_cut_tore_announces_nothing(tmp_path: Path) -> None:
    scale = Scale(tmp_path)
    try:
        scale.capture.write_text(
            '! display {"lines": ["72.50 kg", "saved"]}\n'
            '! saved {"sequence": 7}\n'
            '! display {"lines": ["73.05 kg", "saved"]}\n'
            '! saved {"sequence": 8\n'
            "# virtual-scale, boot 2\n"
            '! display {"lines": ["71.90 kg", "saved"]}\n'
            '! saved {"sequence": 9}'
        )
        assert scale.saved() == [Saved(7, 72_500)]
    finally:
        scale.close()


def test_waiting_ends_and_says_for_what() -> None:
    with pytest.raises(RigTimeoutError, match=r"the moon falls down: not within 0 s"):
        until(lambda: False, "the moon falls down", timeout_s=0.05)


def test_a_terminal_answers_questions_and_gives_the_exit_code(tmp_path: Path) -> None:
    program = 'printf "Name? "; read name; printf "Sure %s? " "$name"; read sure; exit $sure'
    terminal = Terminal(["/bin/sh", "-c", program], tmp_path)
    try:
        assert terminal.answer(((r"Name\?", "Mina"), (r"Sure Mina\?", "7")), timeout_s=20) == 7
    finally:
        terminal.close()
