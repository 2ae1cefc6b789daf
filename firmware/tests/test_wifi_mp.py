"""Which Wi-Fi is set: kept through power cuts, forgotten without a byte of it left."""

import asyncio

from protocol.command import Command
from sim.memory_folder import MemoryFolder
from sim.nor import EVERY_TEAR, Memory, Nor, PowerCutError
from tare import flash as flash_map
from tare.board import Radio
from tare.commands import Commands
from tare.errors import LinkError, StorageError
from tare.journal import Journal
from tare.settings import Settings
from tare.state import State
from tare.two_copies import TwoCopies
from tare.wifi import Wifi, WifiStore

TIMEOUT_S = 200
_SIZE = (flash_map.WIFI + 2) * flash_map.SECTOR
_SECRET = b"correct horse"
_NOW_S = 1_900_000_000


def _store(memory, cut_at=0, tear="nothing"):
    return WifiStore(Nor(memory, cut_at, tear), "a-scale")


def _holds(memory, pattern):
    return memory.data.find(pattern) >= 0


def test_everything_is_there_after_a_restart():
    memory = Memory(_SIZE)
    store = _store(memory)
    assert (store.is_set, store.hostname, store.portal) == (False, "a-scale", "")
    store.set_hostname("bath")
    store.set_network(b"home", _SECRET)
    store.set_portal("https://portal.example")
    again = _store(memory)
    assert again.network == (b"home", _SECRET)
    assert (again.is_set, again.hostname, again.portal) == (True, "bath", "https://portal.example")
    assert _holds(memory, _SECRET), "so that not finding it later means something"


def test_what_is_set_already_is_not_written_again():
    memory = Memory(_SIZE)
    _store(memory).set_network(b"home", _SECRET)
    flash = Nor(memory)
    WifiStore(flash, "").set_network(b"home", _SECRET)
    assert flash.operations == 0


def test_a_form_that_is_not_known_is_said():
    memory = Memory(_SIZE)
    for item in ([1], {}, [None] * 6):
        TwoCopies(Nor(memory), flash_map.WIFI).store(item)
        try:
            _store(memory)
        except StorageError:
            continue
        raise AssertionError("not refused")


def test_a_power_cut_while_storing_leaves_the_old_or_the_new():
    cuts = 0
    for tear in EVERY_TEAR:
        for cut_at in range(1, 9):
            memory = Memory(_SIZE)
            _store(memory).set_network(b"older", b"older password")
            _store(memory).set_network(b"old", b"old password")
            allowed = [(b"old", b"old password")]
            store = _store(memory, cut_at, tear)
            try:
                for number in range(4):
                    new = (b"home %d" % number, _SECRET)
                    allowed.append(new)
                    store.set_network(new[0], new[1])
                    allowed = [new]
            except PowerCutError:
                cuts += 1
            again = _store(memory)
            assert again.network in allowed, (tear, cut_at)
            again.set_network(b"after", _SECRET)
            assert _store(memory).network == (b"after", _SECRET)
    assert cuts == 8 * len(EVERY_TEAR)


def test_forgetting_waits_for_the_cloud_and_leaves_no_trace():
    memory = Memory(_SIZE)
    store = _store(memory)
    store.set_network(b"earlier", b"another secret")
    store.set_network(b"home", _SECRET)
    store.forget_after(7)
    assert not store.settled(7), "7 is not settled yet"
    assert _store(memory).network == (b"home", _SECRET)
    assert _store(memory).settled(8)
    for secret in (_SECRET, b"home", b"another secret", b"earlier"):
        assert not _holds(memory, secret)
    again = _store(memory)
    assert (again.is_set, again.hostname) == (False, "a-scale")
    assert not again.settled(9), "once is enough"


def test_forgetting_is_ended_after_a_cut_anywhere():
    cuts = 0
    for tear in EVERY_TEAR:
        for cut_at in range(1, 5):
            memory = Memory(_SIZE)
            _store(memory).set_network(b"home", _SECRET)
            _store(memory).forget_after(7)
            assert _holds(memory, _SECRET)
            try:
                _store(memory, cut_at, tear).settled(8)
            except PowerCutError:
                cuts += 1
            again = _store(memory)
            again.settled(8)
            assert not again.is_set
            assert not _holds(memory, _SECRET), (tear, cut_at)
            assert not _holds(memory, b"home"), (tear, cut_at)
    assert cuts == 4 * len(EVERY_TEAR)


def test_the_next_owners_wifi_is_not_forgotten_for_the_last_one():
    memory = Memory(_SIZE)
    store = _store(memory)
    store.set_network(b"home", _SECRET)
    store.forget_after(7)
    store.set_network(b"next", b"next password")
    assert not store.settled(8)
    assert _store(memory).network == (b"next", b"next password")


def test_nothing_is_written_to_forget_nothing():
    flash = Nor(Memory(_SIZE))
    store = WifiStore(flash, "")
    store.forget_after(7)
    assert not store.settled(8)
    assert flash.operations == 0


class _Radio(Radio):
    """Lets in whoever knows the password; counts what it is asked."""

    hostname = "a-scale"

    def __init__(self):
        self.joins = []
        self.on = False
        self.at_once = 0
        self.fault = None

    async def scan(self):
        await self._work()
        return [(b"home", -50, True)]

    async def join(self, ssid, password, hostname):
        self.joins.append((ssid, hostname))
        await self._work()
        self.on = password == _SECRET
        return self.on

    def is_joined(self):
        return self.on

    def leave(self):
        self.on = False

    async def _work(self):
        self.at_once += 1
        assert self.at_once == 1, "two at once"
        await asyncio.sleep_ms(5)
        self.at_once -= 1
        if self.fault is not None:
            raise self.fault


def _wifi(password=_SECRET):
    radio = _Radio()
    wifi = Wifi(radio, WifiStore(Nor(Memory(_SIZE)), "a-scale"))
    if password:
        wifi.store.set_network(b"home", password)
    return radio, wifi


async def test_the_stored_network_is_joined_once_and_left_by_the_last():
    radio, wifi = _wifi()
    wifi.store.set_hostname("bath")
    await wifi.join("link")
    await wifi.join("link")
    await wifi.scan("improv")
    assert radio.joins == [(b"home", "bath")]
    wifi.leave("link")
    assert wifi.is_joined, "improv still needs it"
    wifi.leave("improv")
    assert not wifi.is_joined
    wifi.leave("improv")
    await wifi.join("link")
    assert len(radio.joins) == 2


async def test_without_a_network_there_is_nothing_to_join():
    radio, wifi = _wifi(b"")
    await wifi.join("link")
    assert radio.joins == []


async def test_a_network_that_cannot_be_joined_is_an_error_of_the_link():
    for fault in (None, OSError(5)):
        radio, wifi = _wifi(b"wrong")
        radio.fault = fault
        try:
            await wifi.join("link")
        except LinkError:
            continue
        raise AssertionError("not said")


async def test_the_radio_does_one_thing_at_a_time():
    radio, wifi = _wifi()
    tries = [wifi.join("link"), wifi.scan("improv"), wifi.try_out("improv", b"home", b"wrong")]
    await asyncio.gather(*tries)
    assert len(radio.joins) == 2
    assert not wifi.is_joined
    wifi.drop()
    await wifi.join("link")
    assert wifi.is_joined


class _Device:
    def __init__(self, memory, cut_at=0, tear="nothing"):
        flash = Nor(memory, cut_at, tear)
        state = State(flash)
        self.journal = Journal(flash, flash_map.JOURNAL_FIRST, 4)
        settings = Settings(MemoryFolder(), print)
        self.wifi = Wifi(_Radio(), WifiStore(flash, "a-scale"))
        self.commands = Commands(state, self.journal, settings, None, self.wifi)

    def order(self, counter, verb, arguments):
        command = Command(
            counter=counter,
            issued_s=_NOW_S,
            expires_s=_NOW_S + 60,
            verb=verb,
            arguments=arguments,
        )
        return self.commands.obey(command, _NOW_S)

    def settle_all(self):
        self.journal.trim(self.journal.next_sequence - 1)
        self.commands.settled()


def _owned(memory):
    device = _Device(memory)
    device.wifi.store.set_network(b"home", _SECRET)
    assert device.order(1, 1, [7, [[3, 1, 70_000]]])
    device.journal.append_reading(7, 3, 1, [5, 17, [70_000]])


def test_an_erasure_keeps_the_wifi():
    memory = Memory(_SIZE)
    _owned(memory)
    device = _Device(memory)
    assert device.order(2, 4, [])
    device.settle_all()
    assert _Device(memory).wifi.store.network == (b"home", _SECRET)


def test_a_release_forgets_the_wifi_once_its_receipt_is_settled():
    memory = Memory(_SIZE)
    _owned(memory)
    device = _Device(memory)
    assert device.order(2, 5, [])
    receipt = device.journal.next_sequence - 1
    device.journal.trim(receipt - 1)
    device.commands.settled()
    assert device.wifi.store.is_set, "the receipt still has to go out"
    device.settle_all()
    assert not device.wifi.store.is_set
    assert not _holds(memory, _SECRET)


def test_a_release_that_is_cut_anywhere_still_sends_its_receipt_and_forgets():
    cuts = 0
    for tear in ("nothing", "half", "bits", "all"):
        for cut_at in range(1, 60):
            memory = Memory(_SIZE)
            _owned(memory)
            assert _holds(memory, _SECRET)
            try:
                device = _Device(memory, cut_at, tear)
                device.order(2, 5, [])
                device.settle_all()
                break
            except PowerCutError:
                cuts += 1
            again = _Device(memory)
            again.commands.finish()
            again.commands.settled()
            if again.journal.kept:
                # Before the receipt is settled only a command that was never stored leaves it be.
                again.order(2, 5, [])
                assert again.wifi.store.is_set, (tear, cut_at)
            again.settle_all()
            assert not again.wifi.store.is_set, (tear, cut_at)
            assert not _holds(memory, _SECRET), (tear, cut_at)
    assert cuts > 40
