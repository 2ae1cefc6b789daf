"""No log shows a weight, who the person is, or a key. Every test of this folder checks its own
logs when it ends; here is the proof that this check would see what it looks for.
"""

from __future__ import annotations

import base64

import pytest

from hil_tests.rig import leaks
from hil_tests.rig.station import Station


def test_the_search_sees_every_log_and_every_secret_that_is_planted_in_one(
    station: Station,
) -> None:
    saved = station.scale.weigh(73_450)
    station.settle()
    station.scale.cut_power()
    station.scale.power_on()
    station.cloud.agent.stop()
    logs = leaks.logs_of(station)
    assert set(logs) == {"agent.log", "broker.log", "serial"}
    assert "connected to the broker" in logs["agent.log"]
    assert "# welcomed" in logs["serial"]
    secrets = list(leaks.secrets_of(station))
    assert leaks.find("\n".join(logs.values()), secrets) == []

    (flash_key, *_) = leaks.device_keys(station.scale.flash.read_bytes())
    authority_key = leaks.private_number(station.cloud.folder.ca / "ca.key")
    person = station.cloud.person
    for planted in (
        f"weighed {saved.grams} g",
        f"weight={saved.grams / 1000} kg",
        f"{saved.grams / 1000:.2f}kg",
        f"[{saved.grams}]",
        f'{{"weight":{saved.grams}}}',
        f"account {person.email.upper()} opened",
        person.name.split()[1],
        person.password,
        f"key {flash_key.hex()}",
        f"key {base64.b64encode(flash_key).decode()}",
        f"key {authority_key!r}",
        f"kek {station.cloud.folder.kek.read_text()}",
    ):
        assert leaks.find(f"{logs['agent.log']}\n{planted}\n", secrets), "a planted secret"
    # Each of the keys is known: identity, TLS and MAC key; authority, server, agent and command.
    assert len(leaks.device_keys(station.scale.flash.read_bytes())) >= 3
    assert {"ca.key as hex", "server.key as hex", "agent.key as hex", "command.key as hex"} <= {
        secret.name for secret in secrets
    }


@pytest.mark.parametrize(
    "innocent",
    [
        "2026-11-22 19:31:30,731 INFO connected (connection 1)",
        "device 73450c0ffee73450 said hello",
        "port 173450",
        "took 0.07345 s",
        "73.5",
    ],
)
def test_the_search_for_a_weight_does_not_cry_wolf(innocent: str) -> None:
    assert leaks.find(innocent, [leaks.weight(73_450)]) == []
