"""A device is given new keys, certificates and addresses by order, and nothing else changes."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from cloud_agent.control import dispatch
from cloud_agent.devices import trust
from cloud_agent.devices.enrolment import MAC_KEY_LABEL
from cloud_agent.devices.errors import RenewalError, UnknownDeviceError
from cloud_agent.devices.operations import operations
from cloud_agent.devices.pki import Authority, public_key
from cloud_agent.devices.signing import raw_public_key
from cloud_agent.errors import UsageError
from cloud_agent.storage import schema
from cloud_agent.tests.household import Household, Scale
from protocol import answer, command, enrolment, envelope, frame, topics
from protocol import trust as parts

_DEVICE_SIDE = ec.derive_private_key(4_711, ec.SECP256R1())
_GIVEN = raw_public_key(_DEVICE_SIDE.public_key())


@pytest.fixture
def scale(household: Household) -> Scale:
    scale = household.add_scale()
    raw = raw_public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    _change(household, schema.device.update().values(tls_key=raw))
    return scale


def _change(household: Household, statement: sa.Update) -> None:
    household.service.writer.call(lambda c: c.execute(statement))


def _stored(household: Household, scale: Scale) -> tuple[bytes, int]:
    table = schema.device
    query = sa.select(table.c.mac_key, table.c.mac_generation).where(table.c.id == scale.id)
    with household.service.database.reading() as connection:
        row = connection.execute(query).one()
    return household.service.vault.unwrap(MAC_KEY_LABEL, scale.id, row.mac_key), row[1]


def _waiting(household: Household) -> int:
    with household.service.database.reading() as connection:
        query = sa.select(sa.func.count()).select_from(schema.mac_renewal)
        return int(connection.execute(query).scalar_one())


def _order(household: Household, scale: Scale) -> tuple[int, parts.Trust]:
    """What the device is told, and the counter that it came under."""
    (received,) = household.obtain_orders(scale)
    ordered = received.order()
    assert isinstance(ordered, parts.Trust)
    return received.counter, ordered


def _answer(
    household: Household, scale: Scale, counter: int, outcome: int, detail: bytes = b""
) -> bytes:
    """The device's receipt arrives; returns the sealed ack."""
    first = scale.next_sequence
    scale.next_sequence += 1
    receipt = frame.Receipt(counter, command.VERB_TRUST, outcome, detail)
    message = frame.Receipts(oldest=first, first=first, receipts=[receipt])
    handled = household.deliver(scale, household.sign(scale, message))
    return handled.outgoing[0].payload


def _opens(sealed: bytes, scale: Scale, key: bytes, generation: int) -> None:
    message = envelope.parse_mac0(sealed)
    assert envelope.generation_of(message) == generation
    envelope.verify_mac0(message, answer.Ack.TYPE, topics.kid_of(scale.id), key)


def _renew(household: Household, scale: Scale) -> None:
    asyncio.run(trust.renew_mac_key(household.service, scale.id))


def test_a_mac_key_is_agreed_on_and_used_from_its_receipt_on(
    household: Household, scale: Scale
) -> None:
    key, generation = _stored(household, scale)
    for following in (generation + 1, generation + 2):
        _renew(household, scale)
        assert _stored(household, scale) == (key, following - 1), "not before the receipt"
        counter, order = _order(household, scale)
        assert (order.part, order.values[0]) == (parts.MAC_KEY, following)
        shared = _DEVICE_SIDE.exchange(ec.ECDH(), public_key(order.values[1]))
        key = enrolment.mac_key(shared, key, topics.kid_of(scale.id), following)
        ack = _answer(household, scale, counter, frame.OUTCOME_DONE, _GIVEN)
        _opens(ack, scale, key, following)
        assert _stored(household, scale) == (key, following)
        assert _waiting(household) == 0, "our half is kept no longer than it is needed"


def test_an_order_that_came_twice_is_answered_twice_and_counts_once(
    household: Household, scale: Scale
) -> None:
    _renew(household, scale)
    first, _ = _order(household, scale)
    second, _ = _order(household, scale)
    _answer(household, scale, first, frame.OUTCOME_DONE, _GIVEN)
    stored = _stored(household, scale)
    _answer(household, scale, second, frame.OUTCOME_DONE, _GIVEN)
    assert _stored(household, scale) == stored


@pytest.mark.parametrize(
    ("outcome", "detail"),
    [
        (frame.OUTCOME_UNKNOWN_VERB, b""),
        (frame.OUTCOME_ARGUMENTS_REFUSED, _GIVEN),
        (frame.OUTCOME_DONE, b""),
        (frame.OUTCOME_DONE, bytes(64)),
        (frame.OUTCOME_DONE, _GIVEN[:63]),
    ],
)
def test_without_a_key_in_a_receipt_the_old_one_stays(
    household: Household,
    scale: Scale,
    outcome: int,
    detail: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = _stored(household, scale)
    _renew(household, scale)
    counter, _ = _order(household, scale)
    with caplog.at_level(logging.ERROR):
        ack = _answer(household, scale, counter, outcome, detail)
    _opens(ack, scale, *before)
    assert (_stored(household, scale), _waiting(household)) == (before, 0)
    assert bool(caplog.records) == (outcome == frame.OUTCOME_DONE)
    _renew(household, scale)  # and another attempt may be made


def test_a_certificate_is_issued_for_the_key_that_the_device_has(
    household: Household, scale: Scale
) -> None:
    authority = Authority.open(household.service.folder.ca)
    asyncio.run(trust.renew_certificate(household.service, authority, scale.id))
    _, order = _order(household, scale)
    issued = x509.load_der_x509_certificate(order.values[0])
    issued.verify_directly_issued_by(x509.load_der_x509_certificate(authority.certificate_der))
    assert issued.subject.rfc4514_string() == f"CN={scale.id}"
    table = schema.device
    with household.service.database.reading() as connection:
        query = sa.select(table.c.tls_key).where(table.c.id == scale.id)
        tls_key = connection.execute(query).scalar_one()
    assert issued.public_key() == public_key(tls_key)


def test_a_device_is_told_another_address(household: Household, scale: Scale) -> None:
    asyncio.run(trust.move(household.service, scale.id, "192.0.2.7", 8883))
    _, order = _order(household, scale)
    assert order.arguments() == [parts.ADDRESS, ["192.0.2.7", 8883], enrolment.SERVER_NAME]


def test_one_renewal_of_a_thing_waits_at_a_time(household: Household, scale: Scale) -> None:
    service = household.service
    _renew(household, scale)
    with pytest.raises(RenewalError, match="a new MAC key waits"):
        _renew(household, scale)
    asyncio.run(trust.move(service, scale.id, "broker.example", 1))
    with pytest.raises(RenewalError, match="a new address waits"):
        asyncio.run(trust.move(service, scale.id, "broker.example", 2))
    assert (len(household.obtain_orders(scale)), _waiting(household)) == (2, 1)


def test_a_device_that_is_not_enrolled_here_gets_no_order(
    household: Household, scale: Scale
) -> None:
    service = household.service
    authority = Authority.open(service.folder.ca)
    _change(household, schema.device.update().values(state="revoked"))
    for device in (scale.id, "0" * 16):
        for call in (
            trust.renew_mac_key(service, device),
            trust.renew_certificate(service, authority, device),
            trust.move(service, device, "host", 1),
        ):
            with pytest.raises(UnknownDeviceError):
                asyncio.run(call)


def test_the_command_takes_addresses_as_people_write_them(
    household: Household, scale: Scale
) -> None:
    service, table = household.service, operations(household.service)

    def ask(address: str) -> None:
        arguments = {"device": scale.id, "part": "address", "address": address}
        asyncio.run(dispatch(service, table, "device.renew", arguments))

    wrong_ones = ["", "host", "host:0", "host:99999", "host:x", "a@host:1", "host:1/x", "//host:1"]
    wrong_ones += ["[::1", "[xyz]:1", "a b:1", "ä.de:1", "[fe80::1%eth0]:1", "ex\u2100mple:80"]
    wrong_ones += ["\udcff:1", "-a:1", f"{'a' * 64}:1", f"{'a.' * 150}a:1"]
    for wrong in wrong_ones:
        with pytest.raises(UsageError):
            ask(wrong)
    ask("[2001:db8::1]:8883")
    assert _order(household, scale)[1].values[0] == ["2001:db8::1", 8883]


def test_a_folder_from_before_renewals_opens_and_can_renew(tmp_path: Path) -> None:
    household = Household(tmp_path / "data")
    scale = household.add_scale()
    household.service.writer.call(schema.mac_renewal.drop)
    household.close()
    household = Household(tmp_path / "data")
    try:
        _renew(household, scale)
        assert _order(household, scale)[1].part == parts.MAC_KEY
    finally:
        household.close()
