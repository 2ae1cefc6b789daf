"""Commands: once, in order, in time; finished after a cut anywhere; erasure leaves no byte."""

from protocol import cbor, frame, p256
from protocol.command import Command
from sim.memory_folder import MemoryFolder
from sim.nor import TEARS, Memory, Nor, PowerCutError
from tare import flash as flash_map
from tare.commands import Commands
from tare.errors import JournalFullError, StorageError
from tare.journal import RECEIPT, VOID, Journal
from tare.settings import Settings
from tare.state import State

TIMEOUT_S = 200
_NOW = 1_790_000_000
_SECTORS = 12
_SIZE = _SECTORS * flash_map.SECTOR
_FIRST = flash_map.JOURNAL_FIRST
_COUNT = _SECTORS - _FIRST
_SECRET_G = 73_219
_SECRET = _SECRET_G.to_bytes(4, "big")


class _Device:
    def __init__(self, flash):
        self.state = State(flash)
        self.journal = Journal(flash, _FIRST, _COUNT)
        self.folder = MemoryFolder()
        self.settings = Settings(self.folder, print)
        self.commands = Commands(self.state, self.journal, self.settings, None)


def _command(counter, verb, arguments, expires_s=_NOW + 60):
    return Command(
        counter=counter,
        issued_s=_NOW - 60,
        expires_s=expires_s,
        verb=verb,
        arguments=arguments,
    )


def _receipts(journal):
    found = []
    start = journal.oldest
    while start < journal.next_sequence:
        batch = journal.batch(start)
        if batch.kind == RECEIPT:
            found += batch.items
        start = batch.last + 1
    return found


def _claimed(memory):
    device = _Device(Nor(memory))
    assert device.commands.obey(_command(1, 1, [7, [[3, 1, _SECRET_G]]]), _NOW)
    for _ in range(5):
        device.journal.append_reading(7, 3, 1, [_NOW, 1 | 1 << 5, [_SECRET_G]])
    return device


def test_a_claim_is_kept_and_receipted():
    memory = Memory(_SIZE)
    _claimed(memory)
    again = _Device(Nor(memory))
    assert again.state.claim_epoch == 7
    assert [person.item() for person in again.state.people] == [[3, 1, _SECRET_G]]
    assert again.state.command_counter == 1
    assert again.state.pending is None
    assert _receipts(again.journal) == [[1, 1, frame.OUTCOME_DONE]]


def test_old_repeated_and_expired_commands_are_ignored():
    device = _claimed(Memory(_SIZE))
    kept = device.journal.kept
    assert not device.commands.obey(_command(1, 4, []), _NOW)
    assert not device.commands.obey(_command(2, 4, [], expires_s=_NOW), _NOW)
    assert (device.state.claim_epoch, device.journal.kept) == (7, kept)
    assert device.state.command_counter == 1


def test_what_cannot_be_done_is_answered():
    device = _claimed(Memory(_SIZE))
    for counter, verb, arguments, outcome in [
        (2, 99, [], frame.OUTCOME_UNKNOWN_VERB),
        (3, 6, [4, 2, bytes(64)], frame.OUTCOME_ARGUMENTS_REFUSED),
        (4, 1, [8, []], frame.OUTCOME_ARGUMENTS_REFUSED),
        (5, 2, [[[1, 1, -1]]], frame.OUTCOME_ARGUMENTS_REFUSED),
        (6, 4, [None], frame.OUTCOME_ARGUMENTS_REFUSED),
    ]:
        assert device.commands.obey(_command(counter, verb, arguments), _NOW)
        assert _receipts(device.journal)[-1] == [counter, verb, outcome]
    assert device.state.claim_epoch == 7
    assert len(device.state.people) == 1


def test_settings_are_changed_wholly_or_not_at_all():
    device = _Device(Nor(Memory(_SIZE)))
    for counter, changes, outcome, unit, shown_s in [
        (1, [[1, 1], [3, 10]], frame.OUTCOME_DONE, 1, 10),
        (2, [[1, 2], [99, 1]], frame.OUTCOME_ARGUMENTS_REFUSED, 1, 10),
        (3, [[1, 2], [3, 31]], frame.OUTCOME_ARGUMENTS_REFUSED, 1, 10),
        (4, [[1, 2]], frame.OUTCOME_DONE, 2, 10),
    ]:
        assert device.commands.obey(_command(counter, 3, [changes]), _NOW)
        assert _receipts(device.journal)[-1] == [counter, 3, outcome]
        assert (device.settings.unit, device.settings.shown_ms()) == (unit, 1000 * shown_s)


def test_settings_that_cannot_be_stored_are_receipted_as_failed():
    device = _Device(Nor(Memory(_SIZE)))
    device.folder.replace = _refuse
    assert device.commands.obey(_command(1, 3, [[[1, 1]]]), _NOW)
    assert _receipts(device.journal) == [[1, 3, frame.OUTCOME_FAILED]]
    assert device.settings.unit == 0


def _refuse(_name, _data):
    raise StorageError("no room")


def test_an_erasure_of_everything_sets_the_settings_back_and_that_of_a_person_does_not():
    for verb, arguments, unit in ((4, [3], 1), (4, [], 0), (5, [], 0)):
        device = _claimed(Memory(_SIZE))
        assert device.commands.obey(_command(2, 3, [[[1, 1]]]), _NOW)
        assert device.commands.obey(_command(3, verb, arguments), _NOW)
        assert device.settings.unit == unit, (verb, arguments)


def test_the_same_claim_again_renews_the_people_and_keeps_what_was_learnt():
    device = _claimed(Memory(_SIZE))
    assert device.commands.obey(_command(2, 1, [7, [[3, 1, 0], [4, 2, 60_000]]]), _NOW)
    assert [person.item() for person in device.state.people] == [
        [3, 1, _SECRET_G],
        [4, 2, 60_000],
    ]
    assert device.commands.obey(_command(3, 2, [[[4, 1, 0]]]), _NOW)
    assert [person.item() for person in device.state.people] == [[4, 1, 60_000]]


def test_erasing_everything_leaves_voids_a_receipt_and_no_byte():
    for verb in (4, 5):
        memory = Memory(_SIZE)
        device = _claimed(memory)
        assert _SECRET in bytes(memory.data), "the scan can see it"
        assert device.commands.obey(_command(2, verb, []), _NOW)
        assert _SECRET not in bytes(memory.data)
        again = _Device(Nor(memory))
        assert (again.state.claim_epoch, again.state.people) == (0, [])
        batch = again.journal.batch(0)
        assert (batch.kind, batch.first, batch.count) == (VOID, 1, 6)
        assert _receipts(again.journal) == [[2, verb, frame.OUTCOME_DONE]]


def test_erasing_one_person_keeps_the_rest():
    memory = Memory(_SIZE)
    device = _claimed(memory)
    device.commands.obey(_command(2, 2, [[[3, 1, _SECRET_G], [4, 2, 60_000]]]), _NOW)
    device.journal.append_reading(7, 4, 1, [_NOW, 1 | 1 << 5, [60_000]])
    assert device.commands.obey(_command(3, 4, [3]), _NOW)
    assert _SECRET not in bytes(memory.data)
    again = _Device(Nor(memory))
    assert [person.handle for person in again.state.people] == [4]
    kinds = []
    start = 1
    while start < again.journal.next_sequence:
        batch = again.journal.batch(start)
        kinds.append(batch.kind)
        start = batch.last + 1
    assert kinds.count(VOID) == 5
    assert again.journal.batch(8).items == [[_NOW, 1 | 1 << 5, [60_000]]]


def test_a_cut_anywhere_in_a_command_is_finished_at_the_next_start():
    total = 0
    for tear in TEARS:
        cut_at = 0
        while True:
            cut_at += 1
            memory = Memory(_SIZE)
            _claimed(memory)
            device = _Device(Nor(memory, cut_at, tear))
            try:
                device.commands.obey(_command(2, 4, []), _NOW)
            except PowerCutError:
                total += 1
                _check_after_cut(memory, (tear, cut_at))
                continue
            break
    assert total > 5 * 12


def _check_after_cut(memory, cut):
    again = _Device(Nor(memory))
    begun = again.state.command_counter == 2
    assert again.commands.finish()
    if not begun:
        # Not a trace of the command: the cloud sends it again.
        assert again.state.claim_epoch == 7, cut
        assert _receipts(again.journal) == [[1, 1, 0]], cut
        assert again.commands.obey(_command(3, 4, []), _NOW), cut
    final = _Device(Nor(memory))
    assert final.state.claim_epoch == 0, cut
    assert final.state.pending is None, cut
    assert _receipts(final.journal)[-1][2] == frame.OUTCOME_DONE, cut
    assert _SECRET not in bytes(memory.data), cut
    assert not final.commands.obey(_command(final.state.command_counter, 4, []), _NOW), cut


def test_the_stored_command_is_the_whole_command():
    memory = Memory(_SIZE)
    device = _Device(Nor(memory))
    order = _command(1, 1, [7, [[3, 1, 0]]])
    device.state.pending = order.encode()
    device.state.command_counter = 1
    device.state.save()
    again = _Device(Nor(memory))
    assert cbor.decode(again.state.pending) == order.item()
    assert again.commands.finish()
    assert again.state.claim_epoch == 7


def test_while_its_receipt_has_no_room_a_command_is_not_done_again():
    done = []

    def renew(order):
        done.append(order)
        return frame.OUTCOME_DONE, b""

    flash = Nor(Memory(_SIZE))
    device = _Device(flash)
    commands = Commands(device.state, device.journal, device.settings, renew)
    append = device.journal.append_receipt

    def full(_receipt):
        raise JournalFullError("full")

    device.journal.append_receipt = full
    key = p256.public_key(b"\x21" * 32)
    assert commands.obey(_command(1, 6, [3, key]), _NOW)
    for _ in range(3):
        assert not commands.finish()
    device.journal.append_receipt = append
    assert commands.finish()
    assert len(done) == 1
    assert _receipts(device.journal)[-1] == [1, 6, frame.OUTCOME_DONE]
    assert commands.obey(_command(2, 6, [3, key]), _NOW)
    assert len(done) == 2, "another command is another"
