"""The simulated radio of the virtual device, and the verb `air` for the networks around it.

Where no Wi-Fi is set the host's network is used as it is: only who sets one depends on this air.
"""
# ruff: noqa: D102 - the methods are described where the interface is, in tare/board.py

import asyncio

from sim import air
from sim.air import AccessPoint
from tare.board import Radio
from tare.console import expect
from tare.errors import ConsoleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_STEP_MS = 100


def _surroundings() -> list[AccessPoint]:
    return [
        AccessPoint(b"home", b"correct horse", -52),
        AccessPoint(b"home", b"correct horse", -71),
        AccessPoint(b"cafe", b"", -67),
        AccessPoint(b"far-away", b"battery staple", -88),
        # Lets stations in and gives them no address: joining it never ends.
        AccessPoint(b"full", b"no room left", -60, lets_in=False),
        # Hidden, and one whose name would end a line of the console.
        AccessPoint(b"", b"nobody knows", -63),
        AccessPoint(b"a\n= 1 ok {}", b"", -65),
    ]


class SimulatedRadio(Radio):
    """`random(n)` gives n random bytes."""

    hostname = "virtual-scale"

    def __init__(self, random: "Callable[[int], bytes]") -> None:
        self._air = air.Air(_surroundings(), random)
        self._joined: bytes | None = None

    async def scan(self) -> list[tuple[bytes, int, bool]]:
        await asyncio.sleep_ms(air.SCAN_MS)
        return self._air.scan()

    async def join(self, ssid: bytes, password: bytes, hostname: str) -> bool:  # noqa: ARG002
        self._joined = None
        outcome = self._air.join(ssid, password)
        passed_ms = 0
        while outcome.after_ms is None or passed_ms < outcome.after_ms:
            await asyncio.sleep_ms(_STEP_MS)
            passed_ms += _STEP_MS
        if outcome.ok:
            self._joined = ssid
        return outcome.ok

    def is_joined(self) -> bool:
        points = self._air.points
        return self._joined is not None and any(
            point.up and point.ssid == self._joined for point in points
        )

    def leave(self) -> None:
        self._joined = None

    def command(self, arguments: list[str]) -> object:
        """The console verb: `air up NAME`, `air down NAME`; without arguments what is up."""
        if arguments:
            expect(arguments, 2)
            what, name = arguments
            named = [point for point in self._air.points if point.ssid == name.encode()]
            if what not in {"up", "down"} or not named:
                raise ConsoleError("arguments", "expected up or down and the name of a network")
            for point in named:
                point.up = what == "up"
        return {"up": sorted({str(each.ssid, "ascii") for each in self._air.points if each.up})}
