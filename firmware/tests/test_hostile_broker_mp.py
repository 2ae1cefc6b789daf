"""A hundred thousand hostile events, none accepted wrongly, and everything arrives afterwards.

`python3 tools/dev.py test -- firmware/tests/test_hostile_broker_mp.py -rA` prints them by kind. A
run that fails names its seed.
"""

import gc
import random

import hostile_world
from hostile_broker import Broker
from hostile_world import World

from protocol import envelope
from tare import sync
from tare.commands import Commands

TIMEOUT_S = 280
_EVENTS = 100_000
_SEEDS = 4
#: What a run may hold more at its end than early on, in bytes.
_GROWTH = 6_000
_PATIENCE = 4_000


async def _live(world, events):
    """Connections until so many events have happened; return the heap in use at each quarter."""
    used = []
    while len(used) < 4:
        for _ in range(3):
            world.weigh()
        await world.connect(Broker(world))
        world.board.now_ms += 1_000 + 61_000 * random.randrange(7)
        quarter = world.events() >= events * (len(used) + 1) // 4
        if quarter or world.journal.kept > 60:
            await world.heal(lambda: Broker(world, honest=True))
        if quarter:
            world.forget()
            gc.collect()
            used.append(gc.mem_alloc())
    return used


async def _run(seed):
    world = World(seed)
    try:
        used = await _live(world, _EVENTS // _SEEDS)
    except AssertionError as failure:
        raise AssertionError("seed %d: %s" % (seed, failure))
    for kind in sorted(world.counts):
        print("%6d  %s" % (world.counts[kind], kind))
    print("%6d  in all; heap %s; %d records" % (world.events(), used, world.cloud.settled))
    assert world.events() >= _EVENTS // _SEEDS
    assert world.cloud.settled > 300, "hardly anything was sent"
    assert used[-1] - used[0] < _GROWTH, used


async def test_hostile_events_1():
    await _run(1)


async def test_hostile_events_2():
    await _run(2)


async def test_hostile_events_3():
    await _run(3)


async def test_hostile_events_4():
    await _run(4)


async def _is_caught(where, name, broken):
    """Whether a firmware with this fault shows it within a short run."""
    right = getattr(where, name)
    setattr(where, name, broken)
    try:
        await _live(World(5), _PATIENCE)
    except AssertionError as failure:
        print("caught: %s" % failure)
        return True
    finally:
        setattr(where, name, right)
        hostile_world.real_signatures()
    return False


async def test_a_device_that_checks_no_seal_of_answers_is_caught():
    assert await _is_caught(envelope, "verify_mac0", lambda *_: None)


async def test_a_device_that_checks_no_seal_of_commands_is_caught():
    assert await _is_caught(envelope, "verify_sign1", lambda *_: None)


async def test_a_device_that_believes_any_welcome_is_caught():
    right = sync.Conversation._welcome

    def careless(self, welcome, generation, now_ms):
        self._nonce = welcome.nonce
        return right(self, welcome, generation, now_ms)

    assert await _is_caught(sync.Conversation, "_welcome", careless)


async def test_a_device_that_obeys_what_has_expired_is_caught():
    right = Commands.obey
    assert await _is_caught(Commands, "obey", lambda self, order, _now_s: right(self, order, 0))


async def test_a_device_that_obeys_again_is_caught():
    right = Commands.obey

    def forgetful(self, order, now_s):
        self._state.command_counter = min(self._state.command_counter, order.counter - 1)
        return right(self, order, now_s)

    assert await _is_caught(Commands, "obey", forgetful)


async def test_a_device_that_trims_what_was_only_sent_is_caught():
    right = sync.Conversation._frame

    def hasty(self, batch):
        data, last = right(self, batch)
        self._device.journal.trim(last)
        return data, last

    assert await _is_caught(sync.Conversation, "_frame", hasty)
