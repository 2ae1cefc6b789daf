"""The journal keeps what it saved, numbers it once, and forgets what it must (SPEC 8, 12.2)."""

from sim.nor import Memory, Nor
from tare import flash as flash_map
from tare.errors import JournalFullError
from tare.journal import READING, RECEIPT, VOID, Journal

_COUNT = 4
_SIZE = _COUNT * flash_map.SECTOR


def _journal(memory):
    return Journal(Nor(memory), 0, _COUNT)


def _reading(grams, seconds=1_790_000_000, packed=1):
    return [seconds, packed, [grams]]


def _fill(journal):
    saved = 0
    try:
        while True:
            journal.append_reading(1, 0, 1, _reading(70_000 + saved))
            saved += 1
    except JournalFullError:
        return saved


def test_an_empty_journal_begins_at_sequence_one():
    journal = _journal(Memory(_SIZE))
    assert (journal.oldest, journal.next_sequence, journal.kept) == (1, 1, 0)
    assert journal.batch(0) is None


def test_records_are_found_again_in_order():
    memory = Memory(_SIZE)
    journal = _journal(memory)
    assert journal.append_reading(3, 1, 2, _reading(70_000)) == 1
    assert journal.append_reading(3, 1, 2, _reading(70_050)) == 2
    assert journal.append_receipt([9, 1, 0]) == 3
    again = _journal(memory)
    assert (again.oldest, again.next_sequence) == (1, 4)
    batch = again.batch(0)
    assert (batch.kind, batch.first, batch.last) == (READING, 1, 2)
    assert (batch.claim_epoch, batch.handle, batch.clock_epoch, batch.timed) == (3, 1, 2, True)
    assert batch.items == [_reading(70_000), _reading(70_050)]
    receipts = again.batch(3)
    assert (receipts.kind, receipts.first, receipts.items) == (RECEIPT, 3, [[9, 1, 0]])


def test_a_frame_ends_where_what_it_says_once_changes():
    journal = _journal(Memory(_SIZE))
    same = (1, 1, 1, _reading(1))
    for change in [
        (2, 1, 1, _reading(1)),
        (1, 2, 1, _reading(1)),
        (1, 1, 2, _reading(1)),
        (1, 1, 1, _reading(1, 5, 17)),
    ]:
        first = journal.append_reading(*same)
        journal.append_reading(*change)
        assert journal.batch(first).last == first
    for _ in range(40):
        journal.append_reading(*same)
    assert journal.batch(9).count == 32


def test_trim_and_restart_agree():
    memory = Memory(_SIZE)
    journal = _journal(memory)
    for grams in range(10):
        journal.append_reading(1, 0, 1, _reading(50_000 + grams))
    assert journal.trim(7)
    assert (journal.oldest, journal.kept) == (8, 3)
    assert journal.trim(3), "an old answer moves nothing back"
    again = _journal(memory)
    assert (again.oldest, again.next_sequence) == (8, 11)
    assert again.batch(0).items == [_reading(50_007), _reading(50_008), _reading(50_009)]
    again.trim(10)
    assert (_journal(memory).oldest, _journal(memory).next_sequence) == (11, 11)


def test_the_sequence_survives_many_turns_of_the_ring():
    memory = Memory(_SIZE)
    for turn in range(700):
        # The first turn makes it.
        journal = _journal(memory) if turn % 7 == 0 else journal  # noqa: F821
        assert journal.append_reading(1, 1, 1, _reading(60_000)) == turn + 1
        journal.trim(turn + 1)
    assert _journal(memory).next_sequence == 701


def test_a_full_journal_refuses_and_keeps_the_oldest():
    memory = Memory(_SIZE)
    journal = _journal(memory)
    saved = _fill(journal)
    assert saved > 2 * 80, "all but the reserve is used"
    assert _journal(memory).kept == saved
    assert _journal(memory).batch(0).items[0] == _reading(70_000)
    assert journal.append_receipt([1, 1, 0]) == saved + 1, "a receipt has a reserve"
    journal.trim(saved // 2)
    assert journal.append_reading(1, 0, 1, _reading(1)) == saved + 2


def test_settled_beyond_what_was_given_continues_behind_it():
    memory = Memory(_SIZE)
    journal = _journal(memory)
    journal.append_reading(1, 0, 1, _reading(70_000))
    assert journal.trim(500) is False
    assert (journal.oldest, journal.next_sequence) == (501, 501)
    assert _journal(memory).append_reading(1, 0, 1, _reading(70_000)) == 501


def test_dates_of_clock_epochs_are_kept():
    memory = Memory(_SIZE)
    journal = _journal(memory)
    journal.append_reading(1, 0, 4, _reading(70_000, 10, 17))
    journal.append_reading(1, 0, 4, _reading(70_000, 30, 17))
    journal.append_reading(1, 0, 5, _reading(70_000, 7, 17))
    journal.append_reading(1, 0, 6, _reading(70_000))
    assert journal.undated() == {4: 30, 5: 7}
    journal.date(5, 1_790_000_000)
    journal.bound(4, 1_780_000_000, 1_789_999_000)
    again = _journal(memory)
    assert again.undated() == {}
    assert again.date_of(5) == (1_790_000_000, 1_790_000_000)
    assert again.date_of(4) == (1_780_000_000, 1_789_999_000)
    assert again.date_of(6) is None


def test_wiping_leaves_voids_and_no_byte_of_a_record():
    memory = Memory(_SIZE)
    journal = _journal(memory)
    for _ in range(100):
        journal.append_reading(1, 1, 1, [1_790_000_000, 1, [0x0BADCAFE]])
    journal.trim(10)
    assert b"\x0b\xad\xca\xfe" in bytes(memory.data), "the scan can see it"
    journal.wipe()
    assert b"\x0b\xad\xca\xfe" not in bytes(memory.data)
    for one in (journal, _journal(memory)):
        assert (one.oldest, one.next_sequence) == (11, 101)
        batch = one.batch(0)
        assert (batch.kind, batch.first, batch.count) == (VOID, 11, 90)
    journal.wipe()
    assert _journal(memory).batch(0).count == 90, "wiping twice is harmless"


def test_wiping_a_full_or_empty_journal_works():
    memory = Memory(_SIZE)
    journal = _journal(memory)
    journal.wipe()
    assert _journal(memory).next_sequence == 1
    saved = _fill(journal)
    try:
        for number in range(1000):
            journal.append_receipt([number + 1, 1, 0])
            saved += 1
    except JournalFullError:
        pass
    journal.wipe()
    batch = _journal(memory).batch(0)
    assert (batch.kind, batch.first, batch.count) == (VOID, 1, saved)


def test_a_record_that_went_bad_is_told_as_a_void():
    memory = Memory(_SIZE)
    journal = _journal(memory)
    for grams in range(5):
        journal.append_reading(1, 1, 1, _reading(70_000 + grams))
    at = bytes(memory.data).find(_reading(70_002)[2][0].to_bytes(4, "big"))
    memory.data[at] ^= 1
    again = _journal(memory)
    assert [again.batch(start).kind for start in (1, 3, 4)] == [READING, VOID, READING]
    assert again.batch(1).last == 2
    assert (again.batch(3).first, again.batch(3).count) == (3, 1)
    assert again.next_sequence == 6


def test_erasing_one_person_keeps_the_others():
    memory = Memory(_SIZE)
    journal = _journal(memory)
    for number in range(30):
        secret = [0x0BADCAFE] if number % 3 == 0 else [number]
        journal.append_reading(1, 1 if number % 3 == 0 else 2, 1, [1_790_000_000, 1, secret])
    journal.append_reading(1, 2, 9, _reading(1, 5, 17))
    journal.date(9, 1_790_000_000)
    journal.trim(3)
    assert b"\x0b\xad\xca\xfe" in bytes(memory.data), "the scan can see it"
    assert journal.erase(1)
    assert b"\x0b\xad\xca\xfe" not in bytes(memory.data)
    for one in (journal, _journal(memory)):
        assert (one.oldest, one.next_sequence) == (4, 32)
        assert (one.batch(0).kind, one.batch(0).count) == (VOID, 1)
        assert (one.batch(5).handle, one.batch(5).items) == (
            2,
            [[1_790_000_000, 1, [4]], [1_790_000_000, 1, [5]]],
        )
        assert one.date_of(9) == (1_790_000_000, 1_790_000_000)


def test_erasing_one_person_without_room_for_a_copy_says_so():
    memory = Memory(_SIZE)
    journal = _journal(memory)
    _fill(journal)
    assert journal.erase(1) is False
    assert _journal(memory).kept == journal.kept
