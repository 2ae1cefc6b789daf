"""Whose reading: one person when it can be theirs, else nobody; only sure readings teach."""

from protocol.command import Person
from tare import people


def test_the_only_person_is_recognised_near_the_reference():
    known = [Person(5, 1, 72_000)]
    for grams, handle in [(72_000, 5), (69_000, 5), (75_000, 5), (68_950, 0), (75_050, 0)]:
        assert people.recognise(known, grams) == handle, grams


def test_of_several_the_nearest_when_the_others_are_further():
    assert people.recognise([], 72_000) == people.UNKNOWN
    three = [Person(5, 1, 72_000), Person(6, 2, 74_500), Person(7, 3, 90_000)]
    for grams, handle in [
        (72_000, 5),
        (72_750, 5),
        (72_751, 0),
        (73_749, 0),
        (73_750, 6),
        (77_500, 6),
        (77_501, 0),
        (68_999, 0),
        (90_000, 7),
        (14_000, 0),
    ]:
        assert people.recognise(three, grams) == handle, grams


def test_of_several_nobody_is_guessed_without_a_reference():
    two = [Person(5, 1, 72_000), Person(6, 2, 0)]
    assert people.recognise(two, 90_000) == people.UNKNOWN
    assert people.recognise(two, 72_500) == 5
    assert people.recognise([Person(5, 1, 0), Person(6, 2, 0)], 72_000) == people.UNKNOWN


def test_two_of_one_weight_are_never_told_apart():
    twins = [Person(5, 1, 72_000), Person(6, 2, 72_000)]
    for grams in range(68_000, 76_000, 250):
        assert people.recognise(twins, grams) == people.UNKNOWN


def test_without_a_reference_the_first_adult_counts_and_teaches():
    known = [Person(5, 1, 0)]
    assert people.recognise(known, 12_000) == people.UNKNOWN
    assert people.recognise(known, 72_000) == 5
    assert people.learn(known, 5, 72_000)
    assert known[0].reference_g == 72_000
    assert people.recognise(known, 82_000) == people.UNKNOWN


def test_the_reference_follows_slowly():
    known = [Person(5, 1, 72_000)]
    assert people.learn(known, 5, 74_000)
    assert known[0].reference_g == 72_500


def test_unknown_and_small_changes_teach_nothing():
    known = [Person(5, 1, 72_000)]
    assert not people.learn(known, people.UNKNOWN, 90_000)
    assert not people.learn(known, 6, 90_000)
    assert not people.learn(known, 5, 72_050)
    assert known[0].reference_g == 72_000
