"""Claims at the same moment, and under a clock that is set back."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from cloud_agent.devices.claims import Claims, open_window
from cloud_agent.devices.errors import ClaimError
from cloud_agent.tests.household import Household, Scale
from protocol import claim_code, frame


def _show_code(household: Household, scale: Scale) -> str:
    code = secrets.token_bytes(10)
    proof = claim_code.proof(scale.signer.kid, code)
    window = frame.ClaimWindow(nonce=bytes(16), proof=proof, window_s=60)
    household.service.writer.call(lambda c: open_window(c, scale.id, window, household.clock()))
    return claim_code.to_text(code)


def test_two_devices_at_once_are_both_claimed(household: Household) -> None:
    account = household.open_account("ann@example.org")
    scales = [household.add_scale(), household.add_scale()]
    codes = [_show_code(household, scale) for scale in scales]
    claims = Claims(household.service)

    async def both() -> list[str]:
        claimed = await asyncio.gather(*(claims.claim(account, code) for code in codes))
        return [one.device for one in claimed]

    assert asyncio.run(both()) == [scale.id for scale in scales]


def test_attempts_of_the_future_do_not_count(household: Household) -> None:
    account = household.open_account("ann@example.org")
    claims = Claims(household.service)
    wrong = claim_code.to_text(bytes(10))
    for _ in range(5):
        with pytest.raises(ClaimError, match="no device shows"):
            asyncio.run(claims.claim(account, wrong))
    with pytest.raises(ClaimError, match="wait an hour"):
        asyncio.run(claims.claim(account, wrong))
    household.clock.now_s -= 86_400
    scale = household.add_scale()
    assert asyncio.run(claims.claim(account, _show_code(household, scale))).device == scale.id
