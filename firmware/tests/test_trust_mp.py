"""What the device trusts is renewed by order: at once, on trial, or in two generations."""

import memory_cloud
from certificates import certificate_for

from protocol import answer, enrolment, envelope, frame, p256, topics, trust
from protocol.command import Command
from protocol.signer import PortableSigner
from sim.memory_folder import MemoryFolder
from sim.nor import Memory, Nor
from tare import flash as flash_map
from tare import trust as renewal
from tare.clock import Clock
from tare.commands import Commands
from tare.errors import FlashError
from tare.identity import IdentityStore
from tare.journal import RECEIPT, Journal
from tare.settings import Settings
from tare.state import BootState, State
from tare.sync import ACK, IGNORED, WELCOME, Conversation, Device

TIMEOUT_S = 200
_SECTORS = 12
_IDENTITY = b"\x41" * 32
_TLS = b"\x42" * 32
_CLOUD = b"\x43" * 32
_OTHER = b"\x44" * 32
_FIRST_KEY = b"\x45" * 32
_KID = PortableSigner(_IDENTITY).kid
_NAME = topics.device_id(_KID)
_ADDRESS = ["broker.before", 8883, enrolment.SERVER_NAME]
_NOW = 1_790_000_000


_drawn = []


def _random(size):
    _drawn.append(size)
    return bytes((len(_drawn),)) * size


def _enrolled_item():
    """What firmware before the verb trust stored."""
    item = [_IDENTITY, _TLS, _FIRST_KEY, 1, b"old certificate", b"old authority"]
    item.append(PortableSigner(memory_cloud.COMMAND_PRIVATE).public_key)
    item.extend(_ADDRESS)
    return item


class _Bench:
    """An identity in flash, as an earlier firmware left it."""

    def __init__(self):
        self.memory = Memory(_SECTORS * flash_map.SECTOR)
        IdentityStore(Nor(self.memory), PortableSigner).store(_enrolled_item())
        self.restart()

    def restart(self):
        self.flash = Nor(self.memory)
        self.identity = IdentityStore(self.flash, PortableSigner).load()
        return self.identity

    def renew(self, order):
        return renewal.renew(self.identity, order, _random)

    def place(self):
        identity = self.identity
        return [identity.host, identity.port, identity.server_name]


def _cloud_key(present, given, generation, private=_CLOUD):
    """The MAC key as the cloud makes it."""
    return enrolment.mac_key(p256.ecdh(private, given), present, _KID, generation)


def test_an_identity_of_earlier_firmware_is_read_and_unchanged():
    bench = _Bench()
    identity = bench.identity
    assert (identity.mac_key_of(1), identity.mac_key_of(2)) == (_FIRST_KEY, None)
    assert (identity.ca_certificate, bench.place()) == (b"old authority", _ADDRESS)
    assert identity.item()[:10] == _enrolled_item()
    identity.connecting()
    identity.welcomed(1)
    assert bench.flash.operations == 0, "nothing to store"


def test_a_certificate_counts_at_once_and_must_be_for_this_device():
    bench = _Bench()
    mine = certificate_for(p256.public_key(_TLS), _NAME)
    for wrong in (
        b"not a certificate",
        certificate_for(p256.public_key(_IDENTITY), _NAME),
        certificate_for(p256.public_key(_TLS), "0" * 16),
    ):
        assert bench.renew(trust.certificate(wrong)) == (frame.OUTCOME_ARGUMENTS_REFUSED, b"")
    assert bench.identity.certificate == b"old certificate"
    for _ in range(2):
        assert bench.renew(trust.certificate(mine)) == (frame.OUTCOME_DONE, b"")
    assert bench.flash.operations == 2, "an erase and a program: done twice, stored once"
    assert bench.restart().certificate == mine


def test_a_certificate_that_tls_cannot_load_is_refused():
    """It counts at once: with one that cannot be presented nothing would arrive any more."""
    bench = _Bench()
    mine = certificate_for(p256.public_key(_TLS), _NAME)
    asked = []

    def cannot(certificate, key):
        asked.append((certificate, key))
        return False

    order = trust.certificate(mine)
    refused = renewal.renew(bench.identity, order, _random, cannot)
    assert refused == (frame.OUTCOME_ARGUMENTS_REFUSED, b"")
    assert asked == [(mine, bench.identity.tls_key())]
    assert bench.identity.certificate == b"old certificate"
    accepted = renewal.renew(bench.identity, order, _random, lambda _certificate, _key: True)
    assert accepted == (frame.OUTCOME_DONE, b"")


def test_a_command_key_counts_at_once():
    bench = _Bench()
    key = p256.public_key(_OTHER)
    assert bench.renew(trust.command_key(key)) == (frame.OUTCOME_DONE, b"")
    assert bench.restart().command_key == key


def test_a_new_address_is_kept_when_it_leads_to_a_welcome():
    bench = _Bench()
    there = ["broker.after", 9999, enrolment.SERVER_NAME]
    bench.renew(trust.address(*there))
    assert bench.place() == there, "the next connection uses it"
    bench.restart().connecting()
    assert bench.place() == there
    bench.identity.welcomed(1)
    for _ in range(5):
        bench.restart().connecting()
    assert bench.place() == there


def test_a_new_address_is_given_up_after_three_connections_without_a_welcome():
    bench = _Bench()
    there = ["nowhere", 1, "name"]
    bench.renew(trust.address(*there))
    for _ in range(3):
        bench.restart().connecting()  # the count lives through power cuts
        assert bench.place() == there
    bench.restart().connecting()
    assert bench.place() == _ADDRESS
    operations = bench.flash.operations
    bench.identity.connecting()
    assert (bench.restart().host, bench.flash.operations) == ("broker.before", 0)
    assert operations == 2


def test_authority_and_address_are_on_trial_together():
    for kept in (True, False):
        bench = _Bench()
        there = ["broker.after", 9999, "other.name"]
        bench.renew(trust.authority(b"new authority"))
        bench.identity.connecting()
        bench.renew(trust.address(*there))
        for _ in range(3):
            bench.restart().connecting()
            assert (bench.identity.ca_certificate, bench.place()) == (b"new authority", there)
        if kept:
            bench.identity.welcomed(1)
        bench.restart().connecting()
        found = (bench.identity.ca_certificate, bench.place())
        assert found == ((b"new authority", there) if kept else (b"old authority", _ADDRESS))


def test_a_mac_key_is_agreed_on_and_the_old_one_lives_until_the_new_one_is_heard():
    bench = _Bench()
    outcome, given = bench.renew(trust.mac_key(2, p256.public_key(_CLOUD)))
    assert (outcome, len(given)) == (frame.OUTCOME_DONE, 64)
    key = _cloud_key(_FIRST_KEY, given, 2)
    for _ in range(2):
        assert [bench.identity.mac_key_of(each) for each in range(4)] == [
            None,
            _FIRST_KEY,
            key,
            None,
        ]
        bench.identity.welcomed(1)
        bench.restart()
    bench.identity.welcomed(2)
    assert bench.restart().mac_key_of(1) is None
    assert bench.identity.mac_key_of(2) == key


def test_the_same_order_again_gives_the_same_key():
    bench = _Bench()
    order = trust.mac_key(2, p256.public_key(_CLOUD))
    first = bench.renew(order)
    bench.restart()
    assert bench.renew(order) == first
    bench.identity.welcomed(2)
    assert bench.renew(order) == first
    assert bench.identity.mac_key_of(2) == _cloud_key(_FIRST_KEY, first[1], 2)


def test_an_order_that_takes_the_place_of_an_obeyed_one_begins_again_from_the_key_before():
    bench = _Bench()
    _, lost = bench.renew(trust.mac_key(2, p256.public_key(_CLOUD)))
    _, given = bench.renew(trust.mac_key(2, p256.public_key(_OTHER)))
    assert given != lost
    assert bench.identity.mac_key_of(2) == _cloud_key(_FIRST_KEY, given, 2, _OTHER)
    bench.identity.welcomed(2)
    refused = (frame.OUTCOME_ARGUMENTS_REFUSED, b"")
    assert bench.renew(trust.mac_key(2, p256.public_key(_CLOUD))) == refused
    for generation in (1, 4, 65_535):
        assert bench.renew(trust.mac_key(generation, p256.public_key(_CLOUD))) == refused


def test_one_renewal_follows_another():
    bench = _Bench()
    key = _FIRST_KEY
    for generation in (2, 3, 4):
        _, given = bench.renew(trust.mac_key(generation, p256.public_key(_CLOUD)))
        key = _cloud_key(key, given, generation)
        assert bench.restart().mac_key_of(generation) == key
        bench.identity.welcomed(generation)


def test_what_does_not_fit_is_answered_and_changes_nothing():
    bench = _Bench()
    identity = bench.identity
    identity._ca_certificate = b"c" * 3_000
    identity.save()
    order = trust.authority(b"d" * 900)
    assert bench.renew(order) == (frame.OUTCOME_FAILED, b"")
    assert identity.ca_certificate == b"c" * 3_000
    assert bench.restart().ca_certificate == b"c" * 3_000


class _BrokenNor(Nor):
    def erase(self, sector):
        raise FlashError("sector %d" % sector)


def test_flash_that_refuses_leaves_the_identity_as_it_is_stored():
    bench = _Bench()
    identity = IdentityStore(_BrokenNor(bench.memory), PortableSigner).load()
    order = trust.mac_key(2, p256.public_key(_CLOUD))
    assert renewal.renew(identity, order, _random) == (frame.OUTCOME_FAILED, b"")
    assert (identity.generation, identity.mac_key_of(2)) == (1, None)


def test_a_trial_that_cannot_be_counted_is_given_up():
    """Else a wrong address would be tried for ever, and nothing would arrive any more."""
    bench = _Bench()
    assert bench.renew(trust.address("broker.nowhere", 1, "tare")) == (frame.OUTCOME_DONE, b"")
    identity = IdentityStore(_BrokenNor(bench.memory), PortableSigner).load()
    assert identity.host == "broker.nowhere"
    identity.connecting()
    assert [identity.host, identity.port, identity.server_name] == _ADDRESS


def test_answers_under_both_keys_are_taken_until_the_new_one_is_heard():
    bench = _Bench()
    state, journal = State(bench.flash), Journal(bench.flash, flash_map.JOURNAL_FIRST, 4)
    commands = Commands(state, journal, Settings(MemoryFolder(), print), bench.renew)
    device = Device(
        model="memory",
        identity=bench.identity,
        journal=journal,
        state=state,
        boot=BootState(bench.flash),
        clock=Clock(1, 0),
        commands=commands,
    )
    cloud = memory_cloud.Cloud(_KID, PortableSigner(_IDENTITY).public_key)
    order = trust.mac_key(2, p256.public_key(_CLOUD))
    message = Command(
        counter=1, issued_s=_NOW, expires_s=_NOW + 60, verb=6, arguments=order.arguments()
    )
    assert commands.obey(message, _NOW)
    (receipt,) = journal.batch(0).items
    assert journal.batch(0).kind == RECEIPT
    assert receipt[:3] == [1, 6, frame.OUTCOME_DONE]
    new_key = _cloud_key(_FIRST_KEY, receipt[3], 2)
    again = Command.parse(message.encode())
    assert not commands.obey(again, _NOW), "its counter was obeyed"

    def talk(nonce):
        conversation = Conversation(device, nonce, print)
        conversation.hello(0)
        return conversation

    first = talk(b"1" * 16)
    assert first.receive(cloud.welcome(b"1" * 16, _FIRST_KEY), 0) == WELCOME
    sent = envelope.parse_sign1(first.next_message(0))
    assert frame.parse(sent.payload).receipts[0].detail == receipt[3]
    cloud.settled = 1
    assert first.receive(cloud.sealed(answer.Ack(settled=1), new_key, 2), 0) == ACK

    second = talk(b"2" * 16)
    assert second.receive(cloud.welcome(b"2" * 16, b"x" * 32), 0) == IGNORED
    welcome = answer.Welcome(nonce=b"2" * 16, time_s=_NOW, settled=1, claim_epoch=0)
    assert second.receive(cloud.sealed(welcome, new_key, 2), 0) == WELCOME

    third = talk(b"3" * 16)
    assert third.receive(cloud.welcome(b"3" * 16, _FIRST_KEY), 0) == IGNORED
