"""The simulated air: levels fade, wrong passwords take their time, and weak networks theirs."""

import random

from sim.air import SCAN_MS, AccessPoint, Air


def _random_bytes(size):
    return bytes([random.randrange(256) for _ in range(size)])


def _air(*points):
    random.seed(3)
    return Air(list(points), _random_bytes)


def test_levels_fade_around_their_mean():
    air = _air(AccessPoint(b"home", b"secret", -60))
    levels = [air.scan()[0][1] for _ in range(400)]
    assert abs(sum(levels) / len(levels) + 60) < 0.5
    assert -75 < min(levels) < -64
    assert -56 < max(levels) < -45


def test_a_network_at_the_edge_is_heard_now_and_then_and_one_beyond_never():
    air = _air(AccessPoint(b"edge", b"", -94), AccessPoint(b"beyond", b"", -115))
    heard = sum(len(air.scan()) for _ in range(300))
    assert 100 < heard < 250


def test_a_wrong_password_fails_later_than_a_right_one_joins():
    air = _air(AccessPoint(b"home", b"secret", -55), AccessPoint(b"weak", b"secret", -85))
    right = [air.join(b"home", b"secret") for _ in range(50)]
    assert all(each.ok and SCAN_MS < each.after_ms < 4_000 for each in right)
    wrong = [air.join(b"home", b"Secret") for _ in range(50)]
    assert all(not each.ok and 5_000 < each.after_ms < 10_000 for each in wrong)
    weak = [each for each in (air.join(b"weak", b"secret") for _ in range(50)) if each.ok]
    assert min(each.after_ms for each in weak) > max(each.after_ms for each in right)


def test_what_is_not_there_fails_and_what_gives_no_address_never_ends():
    point = AccessPoint(b"home", b"secret", -55)
    air = _air(point, AccessPoint(b"full", b"secret", -55, lets_in=False))
    full = air.join(b"full", b"secret")
    assert (full.ok, full.after_ms) == (False, None)
    assert not air.join(b"elsewhere", b"secret").ok
    point.up = False
    assert not air.join(b"home", b"secret").ok
    assert b"home" not in [name for name, _, _ in air.scan()]


def test_the_nearest_of_two_with_one_name_is_joined():
    near, far = AccessPoint(b"home", b"near", -50), AccessPoint(b"home", b"far", -80)
    air = _air(far, near)
    assert air.join(b"home", b"near").ok
    near.up = False
    assert air.join(b"home", b"far").ok
