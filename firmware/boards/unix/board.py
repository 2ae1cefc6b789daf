"""The unix board: flash file, standard input and output as console, simulated parts, TLS.

The host's clock is never used as the time. (MicroPython's TLS reads it by itself for the dates of
certificates, as a real board reads its own clock.)
"""
# ruff: noqa: D102 - the methods are described where the interface is, in tare/board.py

import asyncio
import os
import select
import sys
import time

import ffi  # type: ignore[import-not-found]  # the unix build's door to the C library: no stubs
import tls

from boards.unix.radio import SimulatedRadio
from boards.unix.sensor import SimulatedSensor
from protocol import frame
from sim import load_cell, nor
from tare.board import Board
from tare.calibration import Calibration
from tare.console import expect
from tare.errors import ConsoleError
from tare.signer import make_signer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocol.envelope import Signer
    from tare.console import Console
    from tare.identity import Identity
    from tare.mqtt import Stream

_FLASH_SIZE = 1 << 20
# The exit codes by which the host is asked to start this program again: at once, or after a sleep.
RESET_CODE = 75
SLEEP_CODE = 76
_NUMBER_SIZE = 8
_NUMBERS = 3
_CTRL_C = 3
# SIGALRM ends a process that does not ask for it anew: a watchdog that no Python code can stop.
_alarm = ffi.open(None).func("I", "alarm", "I")


class UnixBoard(Board):
    """`path` is the flash file; beside it lies what a reset or sleep retains, while it lasts.

    The host plays what stays on in a sleep: the clock, and what wakes. `slept_ms` is what that
    clock counted, None after any other start.
    """

    model = "virtual-scale"

    def __init__(
        self,
        path: str,
        awake_ms: int,
        *,
        fast: bool,
        watchdog_s: int,
        can_sleep: bool = False,
        slept_ms: int | None = None,
    ) -> None:
        self.awake_ms = awake_ms
        self.can_sleep = can_sleep
        self.flash = nor.Nor(nor.File(path, _FLASH_SIZE))
        self.calibration = Calibration(load_cell.ZERO_COUNTS, load_cell.COUNTS_PER_KG)
        self.sensor = SimulatedSensor(self.random, fast=fast)
        self._radio = self.radio = SimulatedRadio(self.random)
        self._interruptible = True
        self._watchdog_s = watchdog_s
        self._retained_path = path + ".retained"
        self._retained = b""
        self._uptime_ms = 0
        self._ticks = time.ticks_ms()
        self._reason = frame.BOOT_POWER_ON
        self._take_retained(slept_ms)
        self._input = select.poll()
        self._input.register(sys.stdin, select.POLLIN)

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def make_signer(self, private: bytes) -> "Signer":
        return make_signer(private, self.random)

    def monotonic_ms(self) -> int:
        # ticks_ms wraps: often enough (every console poll) its difference is added up.
        now = time.ticks_ms()
        self._uptime_ms += time.ticks_diff(now, self._ticks)
        self._ticks = now
        return self._uptime_ms

    def boot_reason(self) -> int:
        return self._reason

    def retained(self) -> bytes:
        return self._retained

    def retain(self, data: bytes) -> None:
        self._retained = data

    def reset(self) -> None:
        """Only an orderly reset retains; a killed process had its power cut."""
        self._leave_retained(0)
        sys.exit(RESET_CODE)

    def deep_sleep(self, sleep_ms: int) -> None:
        self._leave_retained(sleep_ms)
        sys.exit(SLEEP_CODE)

    def _leave_retained(self, sleep_ms: int) -> None:
        """Uptime, ticks of the host, how long to sleep (for the host), what the firmware kept."""
        uptime_ms = self.monotonic_ms()
        with open(self._retained_path, "wb") as file:
            for number in (uptime_ms, self._ticks, sleep_ms):
                file.write(number.to_bytes(_NUMBER_SIZE, "big"))
            file.write(self._retained)

    def feed_watchdog(self) -> None:
        _alarm(self._watchdog_s)

    def write_line(self, text: str) -> None:
        sys.stdout.write(text + "\n")

    def write_packet(self, packet: bytes) -> None:
        sys.stdout.buffer.write(packet)

    def interruptible(self, *, on: bool) -> None:
        self._interruptible = on

    async def read_console(self) -> bytes:
        """Byte by byte: a read of more would wait until there is more."""
        while not self._input.poll(0):
            await asyncio.sleep_ms(10)
            self.monotonic_ms()
        data = bytearray()
        while self._input.poll(0) and len(data) < 1024:
            byte = sys.stdin.buffer.read(1)
            if not byte:
                sys.exit(0)  # the host went away
            if self._interruptible and byte[0] == _CTRL_C:
                self._stop()
            data.extend(byte)
        return bytes(data)

    def _stop(self) -> None:
        """What Ctrl-C does on a chip: the program ends, and nobody feeds the watchdog any more."""
        while True:
            time.sleep(1)

    async def next_counts(self) -> int:
        return await self.sensor.next_counts()

    def presents(self, certificate: bytes, key: bytes) -> bool:
        try:
            tls.SSLContext(tls.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
        except (OSError, ValueError):
            return False
        return True

    async def open_stream(self, identity: "Identity") -> "Stream":
        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]  # the stubs lack it
        context.load_verify_locations(identity.ca_certificate)
        context.load_cert_chain(identity.certificate, identity.tls_key())
        stream, _ = await asyncio.open_connection(
            identity.host, identity.port, ssl=context, server_hostname=identity.server_name
        )
        return stream  # type: ignore[return-value]  # it writes too: MicroPython has one class

    def add_verbs(self, console: "Console") -> None:
        console.add("sim", self.sensor.command)
        console.add("fault", self._fault)
        console.add("air", self._radio.command)

    def bitten(self) -> None:
        """The host says that the watchdog ended the last run; what was retained is lost with it."""
        self._reason = frame.BOOT_WATCHDOG

    def _fault(self, arguments: list[str]) -> object:
        expect(arguments, 1)
        if arguments[0] == "hang":
            while True:
                pass
        if arguments[0] != "sensor":
            raise ConsoleError("arguments", "expected hang or sensor")
        self.sensor.fail()
        return None

    def _take_retained(self, slept_ms: int | None) -> None:
        try:
            with open(self._retained_path, "rb") as file:
                data = file.read()
            os.remove(self._retained_path)
        except OSError:
            return
        head = _NUMBERS * _NUMBER_SIZE
        if len(data) < head:
            return
        self._uptime_ms = int.from_bytes(data[:_NUMBER_SIZE], "big")
        if slept_ms is None:
            self._reason = frame.BOOT_RESET
            # The host's ticks ran on while the program was started again.
            before = int.from_bytes(data[_NUMBER_SIZE : 2 * _NUMBER_SIZE], "big")
            self._uptime_ms += time.ticks_diff(self._ticks, before)
        else:
            self._reason = frame.BOOT_DEEP_SLEEP_WAKE
            self._uptime_ms += slept_ms
        self._retained = data[head:]
