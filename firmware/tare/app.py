"""The application: boots, wires the parts to a board, and runs the tasks.

Journal first, radio second: a reading is in flash before it is called saved, and before anything is
sent. What decides lives in the cores; here is only who hears of what.
"""

import asyncio

from protocol import claim_code, frame, reading
from protocol.errors import ProtocolError
from tare import boot_guard, calibration, clock, people, retained, scale, trust, version
from tare import console as console_rules
from tare import flash as flash_map
from tare.clock import Clock
from tare.commands import Commands
from tare.console import Console
from tare.display import Display
from tare.enrol_console import EnrolConsole
from tare.errors import (
    ConsoleError,
    FirmwareError,
    FlashError,
    JournalFullError,
    SensorError,
)
from tare.identity import Enrolment, Identity, IdentityStore
from tare.journal import Journal
from tare.link import ASLEEP, DAY_MS, STEP_MS, Link
from tare.littlefs import Folder
from tare.provisioning import Provisioning, serve_line
from tare.retained import Retained
from tare.settings import Settings
from tare.sleep import Drowsiness
from tare.state import BootState, State
from tare.sync import COMMAND, ClaimWindow, Device
from tare.two_copies import TwoCopies
from tare.watch import Watch
from tare.wifi import wifi_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocol.trust import Trust
    from tare.board import Board

_WINDOW_MS = 600_000
_TICK_MS = 1_000
# A task that ticks each second is stuck when it has not done so for this long.
_STUCK_MS = 20_000
# A single sample at the end of the range is a disturbance on the wire; half a second is a fault.
_BAD_SAMPLES = scale.SAMPLES_PER_S // 2


class App:
    """One device on one board. `run` serves for ever."""

    def __init__(self, board: "Board") -> None:
        self._board = board
        self.console = Console(board.write_line)
        self.display = Display(lambda lines: self.console.event("display", {"lines": lines}))
        # The start is counted before anything that can fail.
        self.boot = BootState(board.flash)
        self.clock = self._boot()
        self.watch = Watch(board, self.boot, self.console.log)
        self.journal = Journal(board.flash)
        self.state = State(board.flash)
        folder = Folder(board.flash, flash_map.SETTINGS_FIRST, flash_map.SETTINGS_COUNT)
        self.settings = Settings(folder, self.console.log, board.awake_ms // 1000)
        self.settings.add_verbs(self.console)
        wifi = wifi_of(board)
        self.commands = Commands(self.state, self.journal, self.settings, self._renew, wifi)
        self._calibration = calibration.load(
            TwoCopies(board.flash, flash_map.CALIBRATION), board.calibration
        )
        identities = IdentityStore(board.flash, board.make_signer)
        self._enrolment = Enrolment(identities, board.random, board.make_signer)
        EnrolConsole(self._enrolment, board.model, self._is_enrolled).add_verbs(self.console)
        self.identity = identities.load()
        self._enrolled = asyncio.Event()
        self.link = Link(board, self.console.log, self._noticed, self._link_alive)
        self.link.awake_ms = self.settings.awake_ms
        self.link.wifi = wifi
        self._provisioning: Provisioning | None = None
        if wifi is not None:
            self._provisioning = Provisioning(board, wifi, self.console, self.link.call)
            if not boot_guard.is_safe(self.boot):
                self._provisioning.open_at_start(woken=self._woken is not None)
        self._scale = scale.Scale()
        if self._woken is not None:
            # It slept: nobody stepped off a plate that was empty, and nothing is due that was not.
            self._scale = scale.Scale(self._woken.zero_g)
            self.link.asleep_ms = self._woken.asleep_ms
        self._claimed = self.state.claim_epoch != 0
        self._drowsiness = Drowsiness(board.monotonic_ms())
        self._bad_samples = 0
        self._shown_ms = 0
        self._resetting: asyncio.Task[None] | None = None
        self._add_verbs()
        self._retain()

    async def run(self) -> None:
        """Finish what a power cut left, then run the tasks."""
        self.console.log(
            "%s, firmware %s, boot %d" % (self._board.model, version.FIRMWARE, self.boot.counter)
        )
        if boot_guard.is_safe(self.boot):
            self.console.log("safe mode: %s" % boot_guard.words(self.boot.why))
        else:
            self._finish_command()
        if self.identity is not None:
            self._enrolled.set()
            if self._woken is None:
                self.link.wake()
        self._show_idle()
        tasks = [("console", self._serve_console), ("display", self._tidy), ("link", self._connect)]
        if self._provisioning is not None:
            tasks.append(("wifi", self._provisioning.run))
        if not boot_guard.is_safe(self.boot):
            tasks.append(("scale", self._weigh))
        running = [self.watch.keep_running(name, task) for name, task in tasks]
        await asyncio.gather(self.watch.run(), *running)

    def _boot(self) -> Clock:
        """Count this start and find out whether the clock ran on (SPEC 9.1)."""
        board, boot = self._board, self.boot
        now_ms, reason = board.monotonic_ms(), board.boot_reason()
        kept = retained.unpack(board.retained())
        running = None
        if kept is not None:
            running = clock.continued(kept.clock, boot.clock_epoch, now_ms)
        boot_guard.begin(boot, reason)
        #: What was retained in a planned sleep; None after any other start.
        self._woken = kept if running and reason == frame.BOOT_DEEP_SLEEP_WAKE else None
        if running is None:
            boot.clock_epoch += 1
            running = Clock(boot.clock_epoch, now_ms)
        if self._woken is None:
            # A wake is stored with the next welcome: it happens many times a day.
            boot.save()
        return running

    def _retain(self) -> None:
        kept = Retained(self.clock.item(), self._scale.zero_g, self.link.asleep_ms)
        self._board.retain(kept.pack())

    def _renew(self, order: "Trust") -> tuple[int, bytes]:
        if self.identity is None:  # a command of an identity that is no more
            return frame.OUTCOME_FAILED, b""
        return trust.renew(self.identity, order, self._board.random, self._board.presents)

    def _finish_command(self) -> None:
        """It must not stop the start: what cannot be finished now is tried at each welcome."""
        try:
            self.commands.finish()
            self.commands.settled()
        except (FirmwareError, ProtocolError) as error:
            self.console.log("stored command not finished: %s" % error)

    async def _serve_console(self) -> None:
        await serve_line(self._board, self.console, self._provisioning)

    async def _connect(self) -> None:
        await self._enrolled.wait()
        if boot_guard.is_safe(self.boot):
            await asyncio.sleep_ms(boot_guard.SAFE_LINK_MS)
            self.link.wake()
        identity = self.identity
        if identity is not None:
            await self.link.run(self._device(identity))

    def _device(self, identity: Identity) -> Device:
        return Device(
            model=self._board.model,
            identity=identity,
            journal=self.journal,
            state=self.state,
            boot=self.boot,
            clock=self.clock,
            commands=self.commands,
        )

    async def _weigh(self) -> None:
        while True:
            self._sampled(await self._board.next_counts())

    def _sampled(self, counts: int) -> None:
        try:
            event = self._scale.feed(self._calibration.grams(counts))
        except SensorError as error:
            self._bad_samples += 1
            if self._bad_samples == _BAD_SAMPLES:
                self._sensor_failed(error)
            return
        self._bad_samples = 0
        if event is not None:
            self._weighed(event)

    def _sensor_failed(self, error: SensorError) -> None:
        self.console.log("scale: %s" % error)
        # What comes after the gap is not the same weigh-in, and its zero is in doubt.
        self._scale = scale.Scale()
        self._shown_ms = self._board.monotonic_ms()
        self.display.put("Sensor error")

    def _link_alive(self, within_ms: int = STEP_MS) -> None:
        self.watch.promise("link", within_ms)

    async def _tidy(self) -> None:
        while True:
            self.watch.promise("display", _STUCK_MS)
            await asyncio.sleep_ms(_TICK_MS)
            idle = self._clear_display()
            if self._board.can_sleep and not boot_guard.is_safe(self.boot):
                self._sleep_when_idle(idle=idle)

    def _clear_display(self) -> bool:
        """Go back to idle, and tell so: the plate is empty, the result was shown long enough."""
        shown_ms = self._board.monotonic_ms() - self._shown_ms
        busy = self._scale.state != scale.EMPTY or self._bad_samples >= _BAD_SAMPLES
        if busy or shown_ms < self.settings.shown_ms():
            return False
        self._show_idle()
        return True

    def _sleep_when_idle(self, *, idle: bool) -> None:
        now_ms = self._board.monotonic_ms()
        busy = not idle or self.link.is_awake() or self.link.state != ASLEEP
        busy = busy or (self._provisioning is not None and self._provisioning.is_busy)
        self._drowsiness.look(now_ms, self.console.heard, busy=busy)
        # Without an identity there is no link that would move its next try.
        due_ms = now_ms + DAY_MS if self.identity is None else self.link.due_ms(self.journal.kept)
        sleep_ms = self._drowsiness.sleep_ms(now_ms, due_ms, patient=self._enrolment.has_begun)
        if sleep_ms:
            self.display.put()
            self._retain()
            self.watch.sleep(sleep_ms)

    def _weighed(self, event: scale.Event) -> None:
        self._shown_ms = self._board.monotonic_ms()
        if event.kind == scale.STEP_ON:
            self.display.put("Weighing ...")
        elif event.kind == scale.UNSTEADY:
            self.display.put("Please stand still")
        elif event.kind == scale.LOCKED:
            if not 0 < event.grams <= scale.MAX_G:
                self.display.put("Out of range")
            elif event.final:
                self._record(event)
            else:
                self._show_weight(event, "step off, please")

    def _record(self, event: scale.Event) -> None:
        """Save a reading and say what became of it."""
        if self.state.claim_epoch == 0:
            self._show_weight(event, "not kept: no owner")
            return
        handle = people.recognise(self.state.people, event.grams)
        try:
            sequence = self.journal.append_reading(
                self.state.claim_epoch, handle, self.clock.epoch, self._reading(event, handle)
            )
        except JournalFullError:
            self._not_saved(event, "full")
            return
        except FlashError:
            self._not_saved(event, "fault")
            return
        self._show_weight(event, "saved")
        self.console.event("saved", {"sequence": sequence})
        self.link.wake()
        if not event.moved and people.learn(self.state.people, handle, event.grams):
            self._save_learnt()

    def _show_weight(self, event: scale.Event, note: str) -> None:
        self.display.weight(event.grams, self.settings.unit, note)

    def _save_learnt(self) -> None:
        """The reading is safe already: a fault here costs a habit of the person, nothing else."""
        try:
            self.state.save()
        except FlashError as error:
            self.console.log("what was learnt was not stored: %s" % error)

    def _not_saved(self, event: scale.Event, why: str) -> None:
        self._show_weight(event, "NOT SAVED: " + why)
        self.console.log("a reading was not saved: journal " + why)
        self.link.wake()

    def _reading(self, event: scale.Event, handle: int) -> list[object]:
        now_ms = self._board.monotonic_ms()
        wall = self.clock.wall(now_ms)
        flags = reading.FLAG_MOVED if event.moved else 0
        flags |= reading.FLAG_ZERO_CORRECTED if event.corrected else 0
        attribution = reading.ATTRIBUTION_RECOGNISED if handle else reading.ATTRIBUTION_UNKNOWN
        return reading.weight(
            self.clock.seconds(now_ms) if wall is None else wall,
            event.grams,
            since_epoch=wall is None,
            attribution=attribution,
            flags=flags,
        ).item()

    def _noticed(self, what: str) -> None:
        """The cloud said something that counted."""
        self._retain()
        self.commands.settled()
        was_claimed, self._claimed = self._claimed, self.state.claim_epoch != 0
        if what == COMMAND and self.state.claim_epoch and self.link.window is not None:
            self.link.window = None
            self._shown_ms = self._board.monotonic_ms()
            self.display.put("Claimed", "Step on the scale")
        elif was_claimed and not self._claimed:
            # Whoever stands there began under a claim that is over.
            self._scale = scale.Scale(self._scale.zero_g)
            self._show_idle()

    def _show_idle(self) -> None:
        window = self.link.window
        if boot_guard.is_safe(self.boot):
            self.display.put("Safe mode", boot_guard.words(self.boot.why))
        elif self.identity is None:
            self.display.put("Not enrolled")
        elif window is not None and window.left_s(self._board.monotonic_ms()):
            self.display.claim_code(claim_code.to_text(window.code))
        elif self.state.claim_epoch == 0:
            self.display.put("No owner", "Press the button")
        else:
            self.display.put("Step on the scale")

    def _is_enrolled(self, identity: Identity) -> None:
        self.identity = identity
        self.console.log("enrolled")
        self._enrolled.set()
        self._show_idle()
        self.link.wake()

    def _add_verbs(self) -> None:
        for verb, handler in (
            ("about", self._about),
            ("button", self._button),
            ("wake", self._wake),
            ("reboot", self._reboot),
        ):
            self.console.add(verb, handler)
        self._board.add_verbs(self.console)

    def _about(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 0)
        now_ms = self._board.monotonic_ms()
        return {
            "id": self.identity.device_id if self.identity else None,
            "model": self._board.model,
            "firmware": version.FIRMWARE,
            "enrolled": self.identity is not None,
            "claim_epoch": self.state.claim_epoch,
            "journal": [self.journal.oldest, self.journal.next_sequence],
            "clock": [self.clock.epoch, self.clock.seconds(now_ms), self.clock.wall(now_ms)],
            "link": self.link.state,
            "safe_mode": boot_guard.words(self.boot.why) if boot_guard.is_safe(self.boot) else None,
        }

    def _button(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 1)
        if arguments[0] != "short":
            raise ConsoleError("arguments", "expected: button short")
        if self._provisioning is not None:
            self._provisioning.open()
        if self.identity is None:
            raise ConsoleError("refused", "not enrolled")
        if self.state.claim_epoch == 0:
            code = self._board.random(claim_code.CODE_SIZE)
            window_ms = min(_WINDOW_MS, frame.MAX_CLAIM_WINDOW_S * 1000)
            self.link.window = ClaimWindow(code, self._board.monotonic_ms() + window_ms)
            self._show_idle()
        elif self._scale.state == scale.EMPTY:
            self._shown_ms = self._board.monotonic_ms()
            self.display.put("This scale", "has an owner")
        self.link.call()
        return None

    def _wake(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 0)
        self.link.call()
        return None

    def _reboot(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 0)
        # After the reply has gone out.
        self._resetting = asyncio.create_task(self._reset_soon())
        return None

    async def _reset_soon(self) -> None:
        await asyncio.sleep_ms(100)
        self._retain()
        self.watch.reboot()
