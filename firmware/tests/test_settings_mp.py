"""Settings: kept through restarts, never in the way of weighing, set back without a trace."""

import json

from protocol import cbor, settings
from sim.memory_folder import MemoryFolder
from sim.nor import Memory, Nor
from tare import flash as flash_map
from tare.console import Console
from tare.display import weight
from tare.errors import FlashError, StorageError
from tare.littlefs import Folder
from tare.settings import Settings

_COUNT = 8
_SIZE = (1 + _COUNT) * flash_map.SECTOR


class _Bench:
    """Settings in real littlefs behind one sector that is not theirs."""

    def __init__(self):
        self.flash = Nor(Memory(_SIZE))
        self.folder = Folder(self.flash, 1, _COUNT)
        self.log = []

    def start(self, **options):
        return Settings(self.folder, self.log.append, **options)


def test_nothing_is_written_before_something_is_set():
    bench = _Bench()
    found = bench.start()
    assert [found.value(each.number) for each in settings.TABLE] == [0, 60, 5]
    assert (found.unit, found.awake_ms(), found.shown_ms()) == (0, 60_000, 5_000)
    found.reset()
    assert (bench.flash.operations, bench.log) == (0, [])


def test_what_was_set_is_there_after_a_restart():
    bench = _Bench()
    bench.start().change([(settings.UNIT, settings.STONE), (settings.SHOWN_S, 30)])
    bench.start().change([(settings.AWAKE_S, 15)])
    found = bench.start()
    assert (found.unit, found.awake_ms(), found.shown_ms()) == (2, 15_000, 30_000)
    assert bench.flash.read(0, flash_map.SECTOR) == b"\xff" * flash_map.SECTOR


def test_what_is_set_already_is_not_written_again():
    bench = _Bench()
    found = bench.start()
    found.change([(settings.UNIT, settings.POUND)])
    operations = bench.flash.operations
    found.change([(settings.UNIT, settings.POUND)])
    bench.start().change([(settings.UNIT, settings.POUND)])
    assert bench.flash.operations == operations


def test_the_boards_own_awake_time_holds_until_one_is_set():
    bench = _Bench()
    found = bench.start(awake_s=2)
    assert found.awake_ms() == 2_000
    found.change([(settings.AWAKE_S, 60)])
    assert bench.start(awake_s=2).awake_ms() == 60_000


def test_all_is_as_at_first_after_a_reset():
    bench = _Bench()
    found = bench.start()
    found.change([(settings.UNIT, settings.POUND)])
    found.reset()
    operations = bench.flash.operations
    found.reset()
    assert bench.flash.operations == operations, "done twice, written once"
    assert (found.unit, bench.start().unit, bench.log) == (0, 0, [])
    found.change([(settings.UNIT, settings.STONE)])
    assert bench.start().unit == settings.STONE


def test_what_newer_firmware_set_is_kept():
    bench = _Bench()
    bench.folder.format()
    bench.folder.replace("settings", cbor.encode([[1, 1], [200, 7]]))
    bench.start().change([(settings.UNIT, settings.STONE)])
    assert cbor.decode(bench.folder.read("settings", 99)) == [[1, 2], [200, 7]]
    assert bench.log == []


def test_a_value_that_only_newer_firmware_knows_costs_none_of_the_others():
    bench = _Bench()
    bench.folder.format()
    bench.folder.replace("settings", cbor.encode([[1, 3], [2, 120], [3, 10], [9, 77]]))
    found = bench.start()
    assert (found.unit, found.awake_ms(), found.shown_ms()) == (0, 120_000, 10_000)
    found.change([(settings.SHOWN_S, 6)])
    kept = cbor.decode(bench.folder.read("settings", 99))
    assert kept == [[1, 3], [2, 120], [3, 6], [9, 77]]
    assert bench.log == []


class _WornNor(Nor):
    """Takes no program any more."""

    def program(self, _address, _data):
        raise FlashError("worn")


def test_a_worn_flash_is_an_answer_and_no_end():
    """Littlefs gives up in ways of its own: none of them may leave the folder."""
    bench = _Bench()
    bench.folder = Folder(_WornNor(Memory(_SIZE)), 1, _COUNT)
    found = bench.start()
    for act in (
        lambda: found.change([(settings.UNIT, settings.POUND)]),
        bench.folder.format,
        bench.folder.ensure,
        bench.folder.mount,
    ):
        try:
            act()
        except StorageError:
            continue
        raise AssertionError("it must say that it could not")
    assert found.unit == settings.KILOGRAM
    said = []
    console = Console(said.append)
    found.add_verbs(console)
    console.handle("7 set unit lb")
    assert said[-1].startswith("= 7 error failed"), said


def test_what_cannot_be_read_is_as_at_first_and_can_be_set_again():
    for content in (
        b"",
        b"\xff",
        cbor.encode(7),
        cbor.encode([[1]]),
        cbor.encode([[b"x", 1], [1, None]]),
        cbor.encode([[[1], 1]]),
        b"\x81\x82\x01\x01" + b"\x00" * 600,
    ):
        bench = _Bench()
        bench.folder.format()
        bench.folder.replace("settings", content)
        found = bench.start()
        assert bench.log == ["settings cannot be read: they are as at first"], content
        assert found.unit == settings.KILOGRAM
        found.change([(settings.UNIT, settings.POUND)])
        assert bench.start().unit == settings.POUND


def test_a_file_system_that_is_none_is_made_anew():
    bench = _Bench()
    for sector in range(1, 1 + _COUNT):
        bench.flash.program(sector * flash_map.SECTOR, b"nothing of ours.")
    found = bench.start()
    assert len(bench.log) == 1
    found.change([(settings.UNIT, settings.POUND)])
    assert bench.start().unit == settings.POUND


class _FullFolder(MemoryFolder):
    def replace(self, _name, _data):
        raise StorageError("no room")


def test_what_cannot_be_stored_is_not_called_set():
    found = Settings(_FullFolder(), print)
    try:
        found.change([(settings.UNIT, settings.POUND)])
    except StorageError:
        assert found.unit == settings.KILOGRAM
    else:
        raise AssertionError("not refused")


def test_the_console_shows_and_sets():
    out = []
    console = Console(out.append)
    found = Settings(MemoryFolder(), print)
    found.add_verbs(console)
    for line in ("1 set unit st", "2 set awake_s 15", "3 settings"):
        console.handle(line)
    assert out[:2] == ["= 1 ok", "= 2 ok"]
    assert json.loads(out[2][7:]) == {"unit": "st", "awake_s": 15, "shown_s": 5}
    out.clear()
    for line in ("4 set unit ounce", "5 set awake_s 14", "6 set colour 1", "7 set unit", "8 set"):
        console.handle(line)
    assert out == [
        "= 4 error arguments unit: kg, lb, st",
        "= 5 error arguments awake_s: 15 to 300",
        "= 6 error arguments no such setting; settings lists them",
        "= 7 error arguments wrong number of arguments",
        "= 8 error arguments wrong number of arguments",
    ]
    assert found.unit == settings.STONE


def test_weights_are_rounded_in_each_unit():
    for grams, kilograms, pounds, stones in (
        (72_500, "72.50 kg", "159.8 lb", "11 st 5.8 lb"),
        (72_574, "72.57 kg", "160.0 lb", "11 st 6.0 lb"),
        (72_575, "72.58 kg", "160.0 lb", "11 st 6.0 lb"),
        (6_350, "6.35 kg", "14.0 lb", "1 st 0.0 lb"),
        (6_327, "6.33 kg", "13.9 lb", "0 st 13.9 lb"),
        (1, "0.00 kg", "0.0 lb", "0 st 0.0 lb"),
        (300_000, "300.00 kg", "661.4 lb", "47 st 3.4 lb"),
    ):
        shown = [weight(grams, unit) for unit in (0, 1, 2)]
        assert shown == [kilograms, pounds, stones], shown
