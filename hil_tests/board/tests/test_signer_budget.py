"""What a signature may cost on the Cortex-M3: counted instructions, so no host is too slow."""

from __future__ import annotations

import pytest

from hil_tests.board import image
from tools.bench import signature


@pytest.fixture(scope="module")
def figures(rig_image: image.Image) -> signature.Figures:
    return signature.measure(rig_image)


def test_a_signature_stays_within_its_budget(figures: signature.Figures) -> None:
    assert figures.sign.instructions <= signature.SIGN_INSTRUCTIONS
    assert 0 < figures.sign.garbage_bytes < signature.SIGN_GARBAGE_BYTES


def test_a_verification_stays_within_its_budget_whatever_it_says(
    figures: signature.Figures,
) -> None:
    assert figures.verify.instructions <= signature.VERIFY_INSTRUCTIONS
    assert figures.refuse.instructions <= signature.VERIFY_INSTRUCTIONS


def test_the_check_at_the_start_costs_no_more_than_two_signatures(
    figures: signature.Figures,
) -> None:
    assert figures.start.instructions <= 2 * signature.SIGN_INSTRUCTIONS
    assert figures.start.garbage_bytes < signature.SIGN_GARBAGE_BYTES


def test_the_table_stays_within_its_budget(figures: signature.Figures) -> None:
    assert figures.table_bytes <= signature.TABLE_BYTES


def test_the_count_sees_a_slow_signer(figures: signature.Figures) -> None:
    """Positive control: the portable signer gives the same bytes and breaks the budget."""
    assert figures.portable_sign.instructions > 2 * signature.SIGN_INSTRUCTIONS
    assert figures.portable_verify.instructions > signature.VERIFY_INSTRUCTIONS


def test_the_printed_table_names_every_budget(figures: signature.Figures) -> None:
    shown = signature.table(figures)
    limits = list(shown.columns[2].cells) + list(shown.columns[4].cells)
    assert {"6,000,000", "25,000,000", "16,384 B"} <= set(limits)
    assert "32,768 B" in str(shown.caption)
