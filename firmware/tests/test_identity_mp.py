"""Enrolment: keys made here, an answer checked in full, one write, and nothing kept before it."""

import os

from certificates import certificate_for

from protocol import enrolment, envelope, message_types, p256, topics
from protocol.signer import PortableSigner
from sim.nor import TEARS, Memory, Nor, PowerCutError
from tare import der
from tare import flash as flash_map
from tare.errors import EnrolmentError
from tare.identity import Enrolment, IdentityStore

TIMEOUT_S = 200
_CHALLENGE = b"c" * 16
_EPHEMERAL = b"\x31" * 32
_COMMAND_KEY = p256.public_key(b"\x32" * 32)


class _Host:
    """The cloud's side of the cable."""

    def __init__(self, request):
        sealed = envelope.parse_sign1(request, message_types.MAX_ENROLMENT_SIZE)
        self.request = enrolment.Request.parse(sealed.payload)
        envelope.verify_sign1(
            sealed,
            message_types.ENROL_REQUEST,
            sealed.kid,
            lambda digest, seal: p256.verify(self.request.identity_key, digest, seal),
        )
        self.kid = sealed.kid

    def reply(self, challenge=None, certificate=None, key=None, generation=1):
        shared = p256.ecdh(_EPHEMERAL, self.request.ephemeral_key)
        mac_key = key or enrolment.mac_key(shared, self.request.challenge, self.kid, 1)
        answer = enrolment.Answer(
            challenge=challenge or self.request.challenge,
            device_certificate=certificate
            or certificate_for(self.request.tls_key, topics.device_id(self.kid)),
            ca_certificate=b"ca",
            command_key=_COMMAND_KEY,
            host="127.0.0.1",
            port=8883,
            server_name=enrolment.SERVER_NAME,
            time_s=1_790_000_000,
        )
        sealed = envelope.seal_mac0(
            enrolment.Answer.TYPE, self.kid, answer.encode(), generation, mac_key
        )
        return enrolment.Reply(ephemeral_key=p256.public_key(_EPHEMERAL), answer=sealed).encode()


def _store(flash):
    return IdentityStore(flash, PortableSigner)


def _attempt(flash):
    return Enrolment(_store(flash), os.urandom, PortableSigner)


def _flash():
    return Nor(Memory(2 * flash_map.SECTOR))


def _refuses(call):
    try:
        call()
    except EnrolmentError:
        return
    raise AssertionError("taken")


def test_enrolment_stores_an_identity_that_signs_as_it_asked():
    flash = _flash()
    attempt = _attempt(flash)
    host = _Host(attempt.begin(_CHALLENGE, "model", "1"))
    identity = attempt.finish(host.reply())
    loaded = _store(flash).load()
    for one in (identity, loaded):
        assert one.device_id == topics.device_id(host.kid)
        assert one.signer.public_key == host.request.identity_key
        assert (one.host, one.port, one.generation) == ("127.0.0.1", 8883, 1)
        assert one.command_key == _COMMAND_KEY
    assert loaded.tls_key()[-64:] == host.request.tls_key
    assert loaded.tls_key()[:2] == b"\x30\x77"
    assert len(loaded.tls_key()) == 0x79


def test_an_enrolled_device_refuses_another_enrolment():
    flash = _flash()
    attempt = _attempt(flash)
    attempt.finish(_Host(attempt.begin(_CHALLENGE, "model", "1")).reply())
    _refuses(lambda: attempt.begin(_CHALLENGE, "model", "1"))
    _refuses(lambda: _attempt(flash).begin(_CHALLENGE, "model", "1"))


def test_wrong_answers_are_refused_and_nothing_is_kept():
    flash = _flash()
    attempt = _attempt(flash)
    _refuses(lambda: attempt.finish(b"anything"))
    host = _Host(attempt.begin(_CHALLENGE, "model", "1"))
    name = topics.device_id(host.kid)
    right = host.reply()
    flipped = bytearray(right)
    flipped[-1] ^= 1
    replies = [
        b"",
        right[:-1],
        right + b"\x00",
        bytes(flipped),
        host.reply(key=b"k" * 32),
        host.reply(generation=2),
        host.reply(challenge=b"x" * 16),
        host.reply(certificate=certificate_for(host.request.identity_key, name)),
        host.reply(certificate=certificate_for(host.request.tls_key, "0" * 16)),
        host.reply(certificate=certificate_for(host.request.tls_key, name, names=2)),
        host.reply(certificate=certificate_for(host.request.tls_key, name)[:-1]),
        host.reply(certificate=b"\x30\x03abc"),
    ]
    for reply in replies:
        _refuses(lambda reply=reply: attempt.finish(reply))
    assert _store(flash).load() is None
    assert flash.operations == 0
    assert attempt.finish(right).device_id == name, "the right one is still taken"


def test_a_new_attempt_makes_new_keys_and_the_old_answer_is_void():
    attempt = _attempt(_flash())
    first = _Host(attempt.begin(_CHALLENGE, "model", "1"))
    second = _Host(attempt.begin(_CHALLENGE, "model", "1"))
    for field in ("identity_key", "tls_key", "ephemeral_key"):
        assert getattr(first.request, field) != getattr(second.request, field)
    _refuses(lambda: attempt.finish(first.reply()))


def test_a_bad_challenge_is_refused():
    _refuses(lambda: _attempt(_flash()).begin(b"short", "model", "1"))


def test_a_power_cut_leaves_an_identity_or_none():
    attempt = _attempt(_flash())
    request = attempt.begin(_CHALLENGE, "model", "1")
    keys, reply = attempt._keys, _Host(request).reply()
    for tear in TEARS:
        for cut_at in (1, 2):
            memory = Memory(2 * flash_map.SECTOR)
            cut = Enrolment(_store(Nor(memory, cut_at, tear)), os.urandom, PortableSigner)
            cut._keys, cut._challenge = keys, _CHALLENGE
            try:
                cut.finish(reply)
            except PowerCutError:
                pass
            found = _store(Nor(memory)).load()
            assert (found is not None) == (cut_at == 2 and tear == "all"), (tear, cut_at)


def test_certificates_of_other_shapes_are_refused_without_a_crash():
    good = certificate_for(b"p" * 64, "0123456789abcdef")
    assert der.certificate_key_and_name(good) == (b"p" * 64, "0123456789abcdef")
    for size in range(len(good)):
        _refuses(lambda size=size: der.certificate_key_and_name(good[:size]))
    for place in range(len(good)):
        flipped = bytearray(good)
        flipped[place] ^= 0x80
        try:
            der.certificate_key_and_name(bytes(flipped))
        except EnrolmentError:
            continue
