"""The scripted life of a device (boots, commands, readings, welcomes), with a perfect memory of it.

See power_cuts.py. The parts are those of the firmware, put together as tare/app.py does.
"""
# ruff: noqa: RUF005 - MicroPython does not unpack inside a list

import power_cut_sectors  # noqa: F401 - first, see there

from protocol import frame
from protocol import settings as schema
from protocol.command import Command
from tare import boot_guard, clock, version
from tare import flash as flash_map
from tare.commands import Commands
from tare.errors import JournalFullError
from tare.journal import RECEIPT, VOID, Journal
from tare.littlefs import Folder
from tare.settings import Settings
from tare.state import BootState, State

RING = 5
_SETTINGS_FIRST = flash_map.JOURNAL_FIRST + RING
_SETTINGS_COUNT = 8
SECTORS = _SETTINGS_FIRST + _SETTINGS_COUNT
#: The weight of person 1, in flash as these bytes: recognisable, and within the range of a person.
SECRET_G = 73_219
_SECRET_BYTES = SECRET_G.to_bytes(4, "big")
_KEY = b"sixteen key byte" * 4
_NOW_S = 1_900_000_000


_DEFAULTS = [each.default for each in schema.TABLE]


def _ignore(_text):
    pass


class _Parts:
    """What lives from one start to the next."""

    def __init__(self, flash, commands):
        self.state = State(flash)
        self.journal = Journal(flash, flash_map.JOURNAL_FIRST, RING)
        self.boot = BootState(flash)
        folder = Folder(flash, _SETTINGS_FIRST, _SETTINGS_COUNT)
        self.settings = Settings(folder, _ignore)
        self.commands = commands(self.state, self.journal, self.settings, None)


class DeviceLife:
    """Plays `steps`: ("boot",), ("order", verb, arguments) and its outcome where that is not done,
    ("read", handle), ("fill", handle) until the ring is full, ("learn", grams), ("ack",) the cloud
    settles all, ("welcome",) its time dates what it can.
    """

    def __init__(self, steps, commands=Commands):
        self.memory = None
        self._steps = steps
        self._commands = commands
        self._parts = None
        self._flash = None
        self._clock = None
        self._counter = 0
        self._command = None
        self._outcome = frame.OUTCOME_DONE
        # Claim epoch, people, command counter and settings: before and, during an order, after.
        self._states = [(0, [], 0, _DEFAULTS)]
        self._boots = (0, 0)
        self._failed = 0
        self._proved_good = False
        self._given = {}
        self._handles = {}
        self._erased = set()
        self._highest = 0
        self._settled = 0
        self._trying = None
        self._secret_kept = False
        self._dates = {}
        self._number = 0

    def play(self, flash):
        """Live it, after the cable has put a key into its place."""
        for sector in (0, 1):
            self.memory.write(sector * flash_map.SECTOR, _KEY)
        self._flash = flash
        self._step_boot()
        for step in self._steps:
            getattr(self, "_step_" + step[0])(*step[1:])

    def restart(self, flash, second):
        """Start as the application does, finish what was begun, and check everything."""
        del second
        parts = _Parts(flash, self._commands)
        read = flash.bytes_read
        self._check_boot(parts.boot)
        boot_guard.begin(parts.boot, frame.BOOT_POWER_ON)
        parts.boot.clock_epoch += 1
        parts.boot.save()
        assert parts.commands.finish(), "a command was left unfinished"
        done = self._check_state(parts)
        self._check_journal(parts.journal, done)
        self._check_erased(done)
        self._check_replay(flash, parts)
        return read

    def _step_boot(self):
        parts = self._parts = _Parts(self._flash, self._commands)
        boot_guard.begin(parts.boot, frame.BOOT_POWER_ON)
        parts.boot.clock_epoch += 1
        parts.boot.save()
        self._boots = (parts.boot.counter, parts.boot.clock_epoch)
        self._failed += 1
        self._clock = clock.Clock(parts.boot.clock_epoch, 0)
        assert parts.commands.finish()

    def _step_order(self, verb, arguments, outcome=frame.OUTCOME_DONE):
        self._counter += 1
        self._command = Command(
            counter=self._counter,
            issued_s=_NOW_S,
            expires_s=_NOW_S + 60,
            verb=verb,
            arguments=arguments,
        )
        self._outcome = outcome
        self._states.append(_after(self._states[0], self._command, outcome))
        self._secret_kept = self._secret_kept or "%d" % SECRET_G in str(arguments)
        assert self._parts.commands.obey(self._command, _NOW_S)
        self._states.pop(0)
        self._highest = self._parts.journal.next_sequence - 1
        self._given[self._highest] = self._receipt()
        if self._erases():
            self._erased |= {each for each in self._given if self._being_erased(each)}
            self._secret_kept = self._secret_kept and bool(arguments) and arguments != [1]
        self._command = None

    def _step_read(self, handle):
        self._number += 1
        grams = SECRET_G if handle == 1 else 60_000 + self._number
        record = [self._number, 1 | 1 << 4 | 1 << 5, [grams]]
        self._trying = record
        self._secret_kept = self._secret_kept or handle == 1
        epoch = self._states[0][0]
        try:
            number = self._parts.journal.append_reading(epoch, handle, self._clock.epoch, record)
        finally:
            self._trying = None
        assert number == self._highest + 1
        self._highest = number
        self._given[number] = record
        self._handles[number] = handle

    def _step_fill(self, handle):
        try:
            while True:
                self._step_read(handle)
        except JournalFullError:
            pass

    def _step_learn(self, grams):
        epoch, people, counter, settings = self._states[0]
        learnt = [people[0][:2] + [grams]] + people[1:]
        self._states.append((epoch, learnt, counter, settings))
        self._parts.state.people[0].reference_g = grams
        self._parts.state.save()
        self._states.pop(0)

    def _step_ack(self):
        self._settled = self._highest
        self._parts.journal.trim(self._settled)

    def _step_welcome(self):
        parts, time_s = self._parts, version.BUILD_TIME_S + 1000 * self._boots[0]
        assert self._clock.learn(time_s, 0, 0)
        for epoch in parts.journal.undated():
            self._dates[epoch] = epoch == self._clock.epoch
        clock.date_readings(parts.journal, self._clock, parts.boot.last_known_s)
        for epoch in self._dates:
            self._dates[epoch] = parts.journal.date_of(epoch)
        parts.boot.last_known_s = time_s
        self._proved_good = True
        boot_guard.proved_good(parts.boot)
        parts.boot.save()
        self._proved_good = False
        # Safe mode proves nothing.
        self._failed = 0 if self._failed <= boot_guard.MOST_FAILED else self._failed

    def _receipt(self):
        return [self._command.counter, self._command.verb, self._outcome]

    def _erases(self):
        return self._command.verb in {4, 5} and self._outcome == frame.OUTCOME_DONE

    def _check_boot(self, boot):
        counter, epoch = self._boots
        assert boot.counter >= counter, "the boot counter went back"
        assert boot.clock_epoch >= epoch, "a clock epoch could be given twice"
        assert boot.counter <= counter + 2, "the boot counter jumped"
        # Up to two more: the start that was cut, and the one whose recovery was.
        known = [self._failed, 0] if self._proved_good else [self._failed]
        counted = any(each <= boot.failed <= each + 2 for each in known)
        assert counted, ("a start that came to nothing was not counted", boot.failed, known)

    def _check_state(self, parts):
        """Return whether the command that was being obeyed is done."""
        state = parts.state
        people = [each.item() for each in state.people]
        settings = [parts.settings.value(each.number) for each in schema.TABLE]
        found = (state.claim_epoch, people, state.command_counter, settings)
        assert found in self._states, ("neither before nor after", found)
        assert state.pending is None
        return self._command is not None and found[2] == self._command.counter

    def _check_journal(self, journal, done):
        assert journal.oldest <= self._settled + 1, "given up before it was settled"
        assert journal.next_sequence > self._highest, "a number could be given twice"
        assert not done or journal.next_sequence > self._highest + 1, "no receipt"
        expected, receipts = journal.oldest, []
        while expected < journal.next_sequence:
            batch = journal.batch(expected)
            assert batch.first == expected, "a gap"
            for place in range(batch.count):
                found = None if batch.kind == VOID else batch.items[place]
                self._check_record(expected + place, found, batch.handle, done)
            if batch.kind == RECEIPT:
                receipts += batch.items
            expected = batch.last + 1
        assert not done or self._receipt() in receipts, "no receipt"
        self._check_dates(journal)

    def _check_record(self, sequence, found, handle, done):
        given = self._given.get(sequence)
        if given is None:
            allowed = [self._trying, None] + ([self._receipt()] if done else [])
            assert sequence <= self._settled or found in allowed, ("never given", sequence, found)
        elif found is None:
            erased = sequence in self._erased or (done and self._being_erased(sequence))
            assert erased or sequence <= self._settled, ("lost", sequence)
        else:
            assert found == given, ("changed", sequence, found)
            assert handle == self._handles.get(sequence, 0), ("another person", sequence)
            assert sequence not in self._erased, ("came back", sequence)

    def _being_erased(self, sequence):
        """Tell whether the command takes a record away (its own receipt stays)."""
        if not self._erases():
            return False
        if self._command.arguments:
            return self._handles.get(sequence) == self._command.arguments[0]
        return self._given[sequence] != self._receipt()

    def _check_dates(self, journal):
        undated = journal.undated()
        for epoch, date in self._dates.items():
            if isinstance(date, tuple):
                assert epoch not in undated, "a date was forgotten"
                assert journal.date_of(epoch) in {date, None}, "another date"

    def _check_erased(self, done):
        erasing = done and self._erases() and self._command.arguments in ([], [1])
        if erasing or not self._secret_kept:
            assert not self.memory.holds(_SECRET_BYTES), "an erased reading can be read"
        for sector in (0, 1):
            at = sector * flash_map.SECTOR
            assert self.memory.data[at : at + len(_KEY)] == _KEY, "the key changed"

    def _check_replay(self, flash, parts):
        """What was obeyed once does nothing again, and neither does what has expired."""
        before, counter = flash.operations, parts.state.command_counter
        if counter:
            again = Command(counter=counter, issued_s=0, expires_s=60, verb=4, arguments=[])
            assert not parts.commands.obey(again, 1), "obeyed twice"
        late = Command(counter=counter + 1, issued_s=0, expires_s=60, verb=4, arguments=[])
        assert not parts.commands.obey(late, 60), "obeyed too late"
        assert flash.operations == before


def _after(state, command, outcome):
    """What a command makes of (claim epoch, people, counter, settings)."""
    epoch, people, _, settings = state
    if outcome != frame.OUTCOME_DONE:
        return epoch, people, command.counter, settings
    if command.verb == 1:
        epoch, people = command.arguments[0], command.arguments[1]
    elif command.verb == 2:
        people = command.arguments[0]
    elif command.verb == 3:
        changes = dict(command.arguments[0])
        settings = [
            changes.get(each.number, settings[place]) for place, each in enumerate(schema.TABLE)
        ]
    elif command.verb in {4, 5}:
        handle = command.arguments[0] if command.arguments else None
        settings = settings if handle is not None else _DEFAULTS
        people = [each for each in people if handle is not None and each[0] != handle]
        epoch = epoch if handle is not None else 0
    return epoch, people, command.counter, settings
