"""The simulated flash keeps the rules of NOR flash, tears as asked, and writes through at once."""

from sim.nor import EVERY_TEAR, File, Memory, Nor, Operation, PowerCutError
from tare.errors import FlashError
from tare.flash import SECTOR
from tools.mp_support import scratch_folder

_SIZE = 2 * SECTOR


def _refused(call):
    try:
        call()
    except FlashError:
        return True
    return False


def test_a_zero_becomes_a_one_only_by_an_erase():
    nor = Nor(Memory(_SIZE))
    nor.program(0, b"\x0f" * 16)
    nor.program(0, b"\x0e" * 16)
    assert _refused(lambda: nor.program(0, b"\x1e" * 16))
    assert nor.read(0, 16) == b"\x0e" * 16
    nor.erase(0)
    nor.program(0, b"\x1e" * 16)


def test_only_whole_aligned_units_inside_the_flash_are_programmed():
    nor = Nor(Memory(_SIZE))
    for address, size in [(1, 16), (0, 15), (8, 16), (_SIZE, 16), (_SIZE - 16, 32), (-16, 16)]:
        assert _refused(lambda address=address, size=size: nor.program(address, bytes(size)))
    assert _refused(lambda: nor.erase(2))
    assert _refused(lambda: nor.read(_SIZE - 1, 2))


def test_an_erase_takes_one_sector():
    nor = Nor(Memory(_SIZE))
    nor.program(0, bytes(16))
    nor.program(SECTOR, bytes(16))
    nor.erase(0)
    assert nor.read(0, 16) == b"\xff" * 16
    assert nor.read(SECTOR, 16) == bytes(16)


def test_tears_differ_and_clear_bits_only():
    seen = set()
    for tear in EVERY_TEAR:
        memory = Memory(_SIZE)
        nor = Nor(memory, 1, tear)
        try:
            nor.program(0, bytes(64))
        except PowerCutError:
            pass
        seen.add(bytes(memory.data[:64]))
        try:
            nor.read(0, 1)
        except PowerCutError:
            continue
        raise AssertionError("there is no power")
    assert len(seen) == len(EVERY_TEAR)


def test_a_torn_program_only_clears_and_a_torn_erase_only_sets():
    old, new = b"\xf0" * 64, b"\x30" * 64
    ones = b"\xff" * SECTOR
    for tear in EVERY_TEAR:
        left = Operation(0, old, new, False).torn(tear)
        assert len(left) == 64
        assert all(byte & 0xF0 == byte and byte & 0x30 == 0x30 for byte in left), tear
        left = Operation(0, b"\x21" * SECTOR, ones, True).torn(tear)
        assert len(left) == SECTOR
        assert all(byte & 0x21 == 0x21 for byte in left), tear


def test_a_file_has_every_operation_at_once_and_keeps_it():
    path = scratch_folder() + "/flash.img"
    nor = Nor(File(path, _SIZE))
    nor.program(16, b"0123456789abcdef")
    with open(path, "rb") as other:
        assert other.read()[:48] == b"\xff" * 16 + b"0123456789abcdef" + b"\xff" * 16
    again = Nor(File(path, _SIZE))
    assert again.read(16, 16) == b"0123456789abcdef"
    buffer = bytearray(16)
    again.read_into(16, buffer)
    assert buffer == b"0123456789abcdef"
    again.erase(0)
    assert Nor(File(path, _SIZE)).read(16, 16) == b"\xff" * 16


def test_a_file_of_another_size_is_refused():
    path = scratch_folder() + "/flash.img"
    with open(path, "wb") as file:
        file.write(b"x" * 100)
    assert _refused(lambda: File(path, _SIZE))
