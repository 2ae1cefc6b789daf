"""The ESP32's radio over a driver that keeps the rules of the real one's documentation."""

import asyncio
import sys


class _Wlan:
    """`network.WLAN`: most of it works only while it is active, and a failure is a status."""

    def __init__(self, interface):
        assert interface == 0
        self.up = False
        self.connected_to = None
        self.named = None
        self.asked = []
        self.polls = 0
        self.reconnects = -1
        _Module.made = self

    def active(self, up=None):
        if up is None:
            return self.up
        self._turn(up)
        return None

    def _turn(self, up):
        self.up = up
        if up:
            self.named = _Module.name
        else:
            self.connected_to = None

    def config(self, *, reconnects):
        self.reconnects = reconnects

    def scan(self):
        if not self.up:
            raise OSError("STA must be active")
        return [(b"home", b"\1" * 6, 6, -51, 3, False), (b"cafe", b"\2" * 6, 1, -70, 0, False)]

    def connect(self, ssid, password):
        assert self.up
        self.asked.append((ssid, password))
        self.polls = 0

    def isconnected(self):
        self.polls += 1
        if self.asked and self.asked[-1] == (b"home", b"correct") and self.polls > 3 and self.up:
            self.connected_to = b"home"
        return self.connected_to is not None

    def status(self):
        no_end = self.asked[-1] in {(b"home", b"correct"), (b"slow", b"x")}
        if self.polls < 3 or self.reconnects < 0 or no_end:
            return _Module.STAT_CONNECTING
        return _Module.STAT_WRONG_PASSWORD

    def disconnect(self):
        assert self.up, "the driver refuses"
        self.connected_to = None


class _Module:
    STA_IF = 0
    STAT_CONNECTING = 1001
    STAT_WRONG_PASSWORD = 202
    STAT_NO_AP_FOUND = 201
    STAT_CONNECT_FAIL = 203
    WLAN = _Wlan
    name = "mpy-esp32"
    made = None

    @classmethod
    def hostname(cls, name):
        cls.name = name


class _Machine:
    @staticmethod
    def unique_id():
        return b"\x10\x20\x30\xa1\xb2\xc3"


class _Interrupts:
    characters: list[int] = []  # noqa: RUF012 - MicroPython has no ClassVar

    @classmethod
    def kbd_intr(cls, character):
        cls.characters.append(character)


_REAL = {name: sys.modules.get(name) for name in ("network", "machine", "micropython")}
sys.modules["network"] = _Module
sys.modules["machine"] = _Machine
sys.modules["micropython"] = _Interrupts
from boards.esp32 import radio as edge  # noqa: E402 - over the modules made above

for _name, _module in _REAL.items():
    if _module is None:
        del sys.modules[_name]
    else:
        sys.modules[_name] = _module


async def test_networks_are_told_with_level_and_lock():
    assert await edge.WlanRadio().scan() == [(b"home", -51, True), (b"cafe", -70, False)]


async def test_the_right_password_joins_under_the_hostname():
    radio = edge.WlanRadio()
    assert radio.hostname == "tare-a1b2c3"
    assert not radio.is_joined()
    assert await radio.join(b"home", b"correct", "bath")
    assert radio.is_joined()
    assert _Module.made.named == "bath", "set before the interface went up"
    radio.leave()
    radio.leave()
    assert not radio.is_joined()
    assert not _Module.made.up


async def test_a_wrong_password_is_an_answer_and_turns_the_radio_off():
    radio = edge.WlanRadio()
    assert not await radio.join(b"home", b"wrong", "bath")
    assert not _Module.made.up
    assert not await radio.join(b"cafe", b"", "bath")
    assert _Module.made.asked == [(b"home", b"wrong"), (b"cafe", None)]


async def test_who_gives_up_leaves_the_radio_off():
    radio = edge.WlanRadio()
    try:
        await asyncio.wait_for_ms(radio.join(b"slow", b"x", "bath"), 150)
    except asyncio.TimeoutError:
        assert not _Module.made.up
    else:
        raise AssertionError("it does not end by itself")


def test_ctrl_c_is_byte_3_or_no_byte():
    edge.interruptible(on=False)
    edge.interruptible(on=True)
    assert _Interrupts.characters == [-1, 3]
