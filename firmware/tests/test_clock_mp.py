"""Time: counted in clock epochs, known only from a welcome, honest about what is not known."""

from sim.nor import Memory, Nor
from tare import clock, version
from tare import flash as flash_map
from tare.journal import Journal

_NOW = 1_790_000_000


def _journal():
    return Journal(Nor(Memory(4 * flash_map.SECTOR)), 0, 4)


def _reading(seconds):
    return [seconds, 1 | 16, [70_000]]


def test_a_new_epoch_counts_and_knows_no_time():
    one = clock.Clock(3, 10_000)
    assert one.seconds(12_999) == 2
    assert one.wall(12_999) is None


def test_a_welcome_dates_the_whole_epoch_from_the_middle_of_the_round_trip():
    one = clock.Clock(3, 0)
    assert one.learn(_NOW, 98_000, 102_000)
    assert one.zero_s == _NOW - 100
    assert one.wall(160_000) == _NOW + 60


def test_a_time_before_the_firmware_is_refused():
    one = clock.Clock(1, 0)
    assert not one.learn(version.BUILD_TIME_S - 1, 0, 0)
    assert one.wall(0) is None
    assert one.learn(version.BUILD_TIME_S, 0, 0)
    assert not one.learn(1, 5_000, 5_000)
    assert one.zero_s == version.BUILD_TIME_S, "a refused time changes nothing"


def test_an_epoch_goes_on_through_a_reset():
    one = clock.Clock(7, 5_000)
    one.learn(_NOW, 6_000, 6_000)
    again = clock.continued(one.item(), 7, 90_000)
    assert again is not None
    assert (again.epoch, again.zero_s) == (7, one.zero_s)
    assert again.seconds(90_000) == 85


def test_any_doubt_about_what_was_retained_ends_the_epoch():
    item = clock.Clock(7, 5_000).item()
    assert clock.continued(item, 8, 90_000) is None, "of another epoch"
    assert clock.continued(item, 7, 4_000) is None, "time ran backwards"
    for wrong in ([7, None, None], [None, 5_000, None], [7, 5_000, b"x"]):
        assert clock.continued(wrong, 7, 90_000) is None, wrong


def test_readings_of_the_running_epoch_are_dated_afterwards():
    journal = _journal()
    journal.append_reading(1, 0, 4, _reading(20))
    running = clock.Clock(4, 0)
    clock.date_readings(journal, running, _NOW)
    assert journal.date_of(4) is None, "nothing is known yet"
    running.learn(_NOW, 100_000, 100_000)
    clock.date_readings(journal, running, 0)
    assert journal.date_of(4) == (_NOW - 100, _NOW - 100)


def test_an_epoch_that_ended_undated_lies_between_what_was_known():
    journal = _journal()
    journal.append_reading(1, 0, 4, _reading(20))
    journal.append_reading(1, 0, 4, _reading(3_600))
    running = clock.Clock(5, 0)
    running.learn(_NOW, 100_000, 100_000)
    clock.date_readings(journal, running, _NOW - 86_400)
    assert journal.date_of(4) == (_NOW - 86_400, _NOW - 100 - 3_600)


def test_without_an_earlier_time_the_interval_begins_with_the_firmware():
    journal = _journal()
    journal.append_reading(1, 0, 1, _reading(20))
    running = clock.Clock(2, 0)
    running.learn(_NOW, 0, 0)
    clock.date_readings(journal, running, 0)
    assert journal.date_of(1) == (version.BUILD_TIME_S, _NOW - 20)


def test_two_slow_welcomes_that_contradict_each_other_give_the_time_between():
    journal = _journal()
    journal.append_reading(1, 0, 1, _reading(9_000))
    running = clock.Clock(2, 0)
    running.learn(_NOW, 0, 0)
    clock.date_readings(journal, running, _NOW - 9_000 + 20)
    assert journal.date_of(1) == (_NOW - 9_000, _NOW - 9_000 + 20)


def test_a_time_known_before_that_was_wrong_makes_no_reading_wrong():
    for wrong_by_s in (3_600, 10 * 365 * 86_400):
        journal = _journal()
        journal.append_reading(1, 0, 1, _reading(9_000))
        running = clock.Clock(2, 0)
        running.learn(_NOW, 0, 0)
        clock.date_readings(journal, running, _NOW - 9_000 + wrong_by_s)
        assert journal.date_of(1) == (version.BUILD_TIME_S, _NOW - 9_000)


def test_two_welcomes_that_contradict_each_other_leave_the_time_between_them():
    """One of the two clouds' clocks was wrong, and the device cannot know which."""
    for wrong_s in (10 * 365 * 86_400, -300 * 86_400):
        flash = Nor(Memory(4 * flash_map.SECTOR))
        journal = Journal(flash, 0, 4)
        journal.append_reading(1, 0, 4, _reading(20))
        running = clock.Clock(4, 0)
        for time_s in (_NOW + wrong_s, _NOW):
            running.learn(time_s, 100_000, 100_000)
            clock.date_readings(journal, running, 0)
        earliest, latest = journal.date_of(4)
        assert earliest <= _NOW - 100 <= latest, (earliest, latest)
        again = Journal(flash, 0, 4)
        assert again.date_of(4) == (earliest, latest), "kept through a restart"


def test_welcomes_that_agree_change_nothing():
    journal = _journal()
    journal.append_reading(1, 0, 4, _reading(20))
    running = clock.Clock(4, 0)
    for time_s in (_NOW, _NOW + 50, _NOW - 50):
        running.learn(time_s, 100_000, 100_000)
        clock.date_readings(journal, running, 0)
    assert journal.date_of(4) == (_NOW - 100, _NOW - 100)
