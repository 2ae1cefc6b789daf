"""Small state survives a power cut at every operation: the old value or the new, never neither."""

from sim.nor import TEARS, Memory, Nor, PowerCutError
from tare import flash as flash_map
from tare.errors import StorageError
from tare.two_copies import TwoCopies

_SIZE = 4 * flash_map.SECTOR


def test_nothing_is_stored_at_first():
    assert TwoCopies(Nor(Memory(_SIZE)), 0).item() is None


def test_the_last_value_is_found_again():
    memory = Memory(_SIZE)
    for value in range(5):
        TwoCopies(Nor(memory), 2).store([value, b"x" * 300])
    assert TwoCopies(Nor(memory), 2).item() == [4, b"x" * 300]
    assert TwoCopies(Nor(memory), 0).item() is None, "another place is not touched"


def test_every_cut_leaves_the_old_value_or_the_new():
    cuts = 0
    for tear in TEARS:
        for cut_at in range(1, 9):
            memory = Memory(_SIZE)
            TwoCopies(Nor(memory), 0).store(["old"])
            TwoCopies(Nor(memory), 0).store(["older by one"])
            nor = Nor(memory, cut_at, tear)
            before: object = ["older by one"]
            try:
                for value in range(4):
                    after = [value, b"y" * 100]
                    TwoCopies(nor, 0).store(after)
                    before = after
            except PowerCutError:
                cuts += 1
            found = TwoCopies(Nor(memory), 0).item()
            assert found in (before, after), (tear, cut_at, found)
            TwoCopies(Nor(memory), 0).store(["works again"])
            assert TwoCopies(Nor(memory), 0).item() == ["works again"]
    assert cuts == 8 * len(TEARS)


def test_a_flipped_bit_falls_back_to_the_other_copy():
    for bit in range(0, 8 * 24, 5):
        memory = Memory(_SIZE)
        copies = TwoCopies(Nor(memory), 0)
        copies.store([1])
        copies.store([2])
        memory.data[flash_map.SECTOR + bit // 8] ^= 1 << bit % 8
        found = _read(memory)
        # Behind header and body lies nothing that counts.
        assert found == ([1] if bit < 8 * 18 else [2]), (bit, found)


def _read(memory):
    try:
        return TwoCopies(Nor(memory), 0).item()
    except StorageError:
        return "another version"


def test_storing_without_trace_leaves_no_old_byte():
    memory = Memory(_SIZE)
    copies = TwoCopies(Nor(memory), 0)
    copies.store([b"canary-of-old-state"])
    copies.store([b"canary-of-old-state", 2])
    assert bytes(memory.data).count(b"canary-of-old-state") == 2, "the scan can see it"
    copies.store_without_trace([])
    assert b"canary" not in bytes(memory.data)
    assert TwoCopies(Nor(memory), 0).item() == []


def test_too_much_is_refused_and_the_old_stays():
    memory = Memory(_SIZE)
    copies = TwoCopies(Nor(memory), 0)
    copies.store([1])
    try:
        copies.store([b"z" * flash_map.SECTOR])
    except StorageError:
        pass
    else:
        raise AssertionError("stored")
    assert TwoCopies(Nor(memory), 0).item() == [1]
