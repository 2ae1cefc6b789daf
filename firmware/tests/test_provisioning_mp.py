"""Improv and console on one line, the window without Ctrl-C, the radio's limits: virtual time."""

import asyncio
import json

from protocol import improv
from sim.nor import Memory, Nor
from tare import flash as flash_map
from tare.board import Radio
from tare.console import Console
from tare.provisioning import FIRST_WINDOW_MS, WINDOW_MS, Provisioning, serve_line
from tare.wifi import Wifi, WifiStore

_SIZE = (flash_map.WIFI + 2) * flash_map.SECTOR
_STATE = improv.rpc(improv.GET_STATE)
_READY = improv.error(0) + improv.state(2)


class _Radio(Radio):
    hostname = "a-scale"

    def __init__(self):
        self.on = False
        self.gave_up = 0
        self.fault = None

    async def scan(self):
        if self.fault is not None:
            raise self.fault
        await asyncio.sleep_ms(1)
        return [(b"home", -50, True)]

    async def join(self, ssid, password, hostname):  # noqa: ARG002 - as the interface
        if self.fault is not None:
            raise self.fault
        try:
            await asyncio.sleep_ms(1 if ssid == b"home" else 600_000)
        except asyncio.CancelledError:
            self.gave_up += 1
            raise
        self.on = password == b"correct horse"
        return self.on

    def is_joined(self):
        return self.on

    def leave(self):
        self.on = False


class _Board:
    """Its time goes on only when a test says so."""

    model = "test-scale"

    def __init__(self, flash=None):
        self.flash = flash or Nor(Memory(_SIZE))
        self.now_ms = 5_000
        self.interrupts = []
        self.out = b""
        self.given = []

    def monotonic_ms(self):
        return self.now_ms

    def interruptible(self, *, on):
        self.interrupts.append(on)

    def write_line(self, text):
        self.out += text.encode() + b"\n"

    def write_packet(self, packet):
        self.out += packet

    async def read_console(self):
        while not self.given:
            await asyncio.sleep_ms(1)
        return self.given.pop(0)


class _Bench:
    def __init__(self, flash=None):
        self.board = _Board(flash)
        self.radio = _Radio()
        self.wifi = Wifi(self.radio, WifiStore(self.board.flash, "a-scale"))
        self.console = Console(self.board.write_line)
        self.joined = 0
        self.provisioning = Provisioning(self.board, self.wifi, self.console, self._count)

    def _count(self):
        self.joined += 1

    async def run(self, script):
        tasks = [
            asyncio.create_task(self.provisioning.run()),
            asyncio.create_task(serve_line(self.board, self.console, self.provisioning)),
        ]
        try:
            await script(self)
        finally:
            for task in tasks:
                task.cancel()

    async def say(self, data):
        """Send bytes; return what the device says to them at once."""
        self.board.out = b""
        self.board.given.append(data)
        while self.board.given:
            await asyncio.sleep_ms(2)
        await asyncio.sleep_ms(10)
        return self.board.out

    async def hear(self, data):
        """Wait for these bytes."""
        for _ in range(400):
            if data in self.board.out:
                return
            await asyncio.sleep_ms(5)
        raise AssertionError(self.board.out)

    async def window_closes(self):
        for _ in range(400):
            if self.board.interrupts and self.board.interrupts[-1]:
                return True
            await asyncio.sleep_ms(5)
        return False


async def test_packets_and_lines_share_the_line():
    async def script(bench):
        bench.provisioning.open()
        said = await bench.say(b"1 he" + _STATE + b"lp\n" + _STATE + b"2 log\n")
        replies = b'= 1 ok {"verbs": ["help", "log", "portal", "wifi"]}\n= 2 ok {"lines": []}\n'
        assert said == _READY + _READY + replies
        assert bench.console.heard == 4 + 3 + 6 + 2 * len(_STATE)

    await _Bench().run(script)


async def test_ctrl_c_is_off_only_while_the_window_is_open():
    async def script(bench):
        board = bench.board
        assert board.interrupts == []
        bench.provisioning.open()
        assert board.interrupts == [False]
        board.now_ms += WINDOW_MS - 1
        assert await bench.say(_STATE) == _READY
        board.now_ms += WINDOW_MS - 1
        assert await bench.say(_STATE) == _READY, "the last request keeps it open"
        assert bench.provisioning.is_busy
        board.now_ms += WINDOW_MS
        assert await bench.window_closes()
        assert board.interrupts == [False, True]
        assert not bench.provisioning.is_busy
        # Outside it a packet is nonsense on the console, and that is all.
        assert (await bench.say(_STATE)).startswith(b"= 0 error syntax")

    await _Bench().run(script)


async def test_lines_do_not_keep_the_window_open():
    async def script(bench):
        bench.provisioning.open()
        bench.board.now_ms += WINDOW_MS - 1
        await bench.say(b"1 log\n" + improv.state(2))
        assert not bench.provisioning.is_busy
        bench.board.now_ms += 1
        assert await bench.window_closes()

    await _Bench().run(script)


def test_a_start_opens_the_window_longer_where_no_wifi_is_set():
    for known, woken, window_s in ((0, 0, 600), (0, 1, 600), (1, 0, 60), (1, 1, 0)):
        bench = _Bench()
        if known:
            bench.wifi.store.set_network(b"home", b"correct horse")
        bench.provisioning.open_at_start(woken=bool(woken))
        bench.console.handle("1 wifi")
        assert (b'"window_s": %d' % window_s) in bench.board.out
        assert bench.board.interrupts == ([False] if window_s else [])
    assert (WINDOW_MS, FIRST_WINDOW_MS) == (60_000, 600_000)


async def test_a_network_is_tried_stored_and_used():
    async def script(bench):
        bench.provisioning.open()
        await bench.say(improv.rpc(improv.SCAN))
        await bench.hear(improv.result(4, [b"home", b"-50", b"YES"]) + improv.result(4, []))
        said = await bench.say(improv.wifi_settings(b"home", b"wrong"))
        assert said.startswith(improv.error(0) + improv.state(3))
        await bench.hear(improv.error(3) + improv.state(2))
        assert not bench.wifi.store.is_set
        assert not bench.radio.on
        await bench.say(improv.wifi_settings(b"home", b"correct horse"))
        await bench.hear(improv.state(4) + improv.result(1, [b""]))
        assert WifiStore(bench.board.flash, "").network == (b"home", b"correct horse")
        assert (bench.joined, bench.radio.on) == (1, True)
        await asyncio.sleep_ms(120)
        bench.board.now_ms += WINDOW_MS
        assert await bench.window_closes()
        assert not bench.radio.on, "nobody needs it any more"

    bench = _Bench()
    await bench.run(script)
    said = bench.board.out
    assert b"correct horse" not in said
    assert b"home" not in said


async def test_the_radio_is_stopped_after_30_s_and_the_window_stays_open_so_long():
    async def script(bench):
        bench.provisioning.open()
        await bench.say(improv.wifi_settings(b"full", b"no room left"))
        bench.board.now_ms += 29_999
        assert await bench.say(_STATE) == improv.error(0) + improv.state(3)
        bench.board.now_ms += 1
        await bench.hear(improv.error(3) + improv.state(2))
        await asyncio.sleep_ms(120)
        assert bench.radio.gave_up == 1
        await bench.say(improv.wifi_settings(b"home", b"correct horse"))
        await bench.hear(improv.state(4))
        assert bench.board.interrupts == [False]

    await _Bench().run(script)


async def test_whatever_the_radio_raises_is_answered():
    async def script(bench):
        bench.provisioning.open()
        for fault in (OSError(5), ValueError("home"), MemoryError()):
            bench.radio.fault = fault
            await bench.say(improv.rpc(improv.SCAN))
            await bench.hear(improv.error(255))
            await bench.say(improv.wifi_settings(b"home", b"correct horse"))
            await bench.hear(improv.error(3) + improv.state(2))
            assert b"home" not in bench.board.out

    await _Bench().run(script)


async def test_a_damaged_packet_is_called_invalid():
    async def script(bench):
        bench.provisioning.open()
        damaged = _STATE[:-2] + b"\x00\n"
        assert await bench.say(damaged + b"1 log\n") == (
            improv.error(0) + improv.error(1) + b'= 1 ok {"lines": []}\n'
        )

    await _Bench().run(script)


def test_the_window_and_the_portal_can_be_set_over_the_console():
    bench = _Bench()
    for line, reply in (
        (
            "1 wifi open",
            '= 1 ok {"set": false, "joined": false, "hostname": "a-scale", "window_s": 60}',
        ),
        (
            "2 wifi close",
            '= 2 ok {"set": false, "joined": false, "hostname": "a-scale", "window_s": 0}',
        ),
        ("3 wifi shut", "= 3 error arguments wrong number of arguments"),
        ("4 portal https://portal.example/claim", '= 4 ok {"url": "https://portal.example/claim"}'),
        ("5 portal", '= 5 ok {"url": "https://portal.example/claim"}'),
        (
            "6 portal ftp://portal.example",
            "= 6 error arguments expected an http or https URL, or none",
        ),
        (
            "7 portal https://" + "x" * 193,
            "= 7 error arguments expected an http or https URL, or none",
        ),
        ("8 portal none", '= 8 ok {"url": ""}'),
        ("9 portal a b", "= 9 error arguments wrong number of arguments"),
    ):
        bench.board.out = b""
        bench.console.handle(line)
        number, _, rest = reply[2:].partition(" ok ")
        if rest:
            assert bench.board.out.startswith(b"= %s ok " % number.encode()), bench.board.out
            assert json.loads(bench.board.out[7:]) == json.loads(rest)
        else:
            assert bench.board.out == reply.encode() + b"\n"
    assert bench.board.interrupts == [False, True]
