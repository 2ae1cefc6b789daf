"""The ESP32's Wi-Fi as a station, over MicroPython's `network.WLAN`; and Ctrl-C on its console.

MicroPython keeps the credentials in RAM only (`esp_wifi_set_storage`): no second copy in flash.
"""
# ruff: noqa: D102 - the methods are described where the interface is, in tare/board.py

import asyncio

import machine
import micropython
import network

from tare.board import Radio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.improv import Network

_CTRL_C = 3
_NEVER = -1
_POLL_MS = 100
_OPEN = 0
# A handshake may get lost on the air; without a bound a wrong password is tried for ever and
# never called one.
_RECONNECTS = 2
_FAILED = (network.STAT_WRONG_PASSWORD, network.STAT_NO_AP_FOUND, network.STAT_CONNECT_FAIL)


def interruptible(*, on: bool) -> None:
    """Let Ctrl-C on the console end the program, or not: the driver looks at every byte."""
    micropython.kbd_intr(_CTRL_C if on else _NEVER)


class WlanRadio(Radio):
    """Called after the end of the chip's unique id, so that two of them can be told apart."""

    def __init__(self) -> None:
        self._wlan = network.WLAN(network.STA_IF)
        self.hostname = "tare-" + machine.unique_id()[-3:].hex()

    async def scan(self) -> "list[Network]":
        """It blocks for 2 to 3 s, as MicroPython offers no other: far below the watchdog's time."""
        self._wlan.active(True)
        return [(each[0], each[3], each[4] != _OPEN) for each in self._wlan.scan()]

    async def join(self, ssid: bytes, password: bytes, hostname: str) -> bool:
        wlan = self._wlan
        # Only what is set before the interface goes up reaches the DHCP server.
        wlan.active(False)
        network.hostname(hostname)
        wlan.active(True)
        done = False
        try:
            wlan.config(reconnects=_RECONNECTS)
            # The stubs say str; the driver takes bytes as well, and names need not be text.
            wlan.connect(ssid, password or None)  # type: ignore[arg-type]
            while not wlan.isconnected():
                if wlan.status() in _FAILED:
                    return False
                await asyncio.sleep_ms(_POLL_MS)
            done = True
        finally:
            # Also when whoever waited gave up: else it would go on trying by itself.
            if not done:
                self.leave()
        return True

    def is_joined(self) -> bool:
        return self._wlan.isconnected()

    def leave(self) -> None:
        if self._wlan.active():
            self._wlan.disconnect()
            self._wlan.active(False)
