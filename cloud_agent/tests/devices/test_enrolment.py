"""Enrolment: what the cloud checks, in which order, and what it never does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography import x509

from cloud_agent.broker.settings import Endpoint
from cloud_agent.devices.directory import Directory
from cloud_agent.devices.enrolment import MAC_KEY_LABEL, Enrolment
from cloud_agent.devices.errors import EnrolmentError, UnknownDeviceError
from cloud_agent.devices.pki import Authority
from cloud_agent.devices.signing import CommandSigner
from cloud_agent.service import Service
from cloud_agent.storage import schema
from cloud_agent.tests.ingest.device import Device, high_s
from protocol import enrolment, envelope, message_types
from protocol.errors import AuthenticityError

START_S = 1_770_000_000


class Bench:
    """An enrolment desk with a clock that the test turns."""

    def __init__(self, folder: Path) -> None:
        self.now_s = START_S
        self.service = Service.open(folder / "data", now=lambda: self.now_s)
        self.authority = Authority.open(self.service.folder.ca)
        self.desk = self.open_desk()

    def open_desk(self) -> Enrolment:
        return Enrolment(self.service, self.authority, Endpoint("127.0.0.1", "scale.home", 8883))

    def answer(self, request: bytes) -> bytes:
        return asyncio.run(self.desk.answer(request)).reply

    def enrol(self, device: Device) -> enrolment.Answer:
        return device.take(self.answer(device.request(self.desk.begin())))

    def row(self, device: Device) -> Any:
        query = sa.select(schema.device).where(schema.device.c.id == device.id)
        with self.service.database.reading() as connection:
            return connection.execute(query).one_or_none()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.service.close()


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_device_gets_all_that_it_needs(bench: Bench, device: Device) -> None:
    answer = bench.enrol(device)
    assert (answer.host, answer.port, answer.server_name) == (
        "scale.home",
        8883,
        "broker.tare.internal",
    )
    assert answer.time_s == START_S
    assert answer.command_key == CommandSigner(bench.authority.command_key).public_key
    own = x509.load_der_x509_certificate(answer.device_certificate)
    own.verify_directly_issued_by(x509.load_der_x509_certificate(answer.ca_certificate))
    assert own.subject.rfc4514_string() == f"CN={device.id}"


def test_both_sides_have_the_same_mac_key_and_the_cloud_keeps_it_wrapped(
    bench: Bench, device: Device
) -> None:
    bench.enrol(device)
    wrapped = bench.row(device).mac_key
    assert device.mac_key not in wrapped
    assert bench.service.vault.unwrap(MAC_KEY_LABEL, device.id, wrapped) == device.mac_key
    everything = b"".join(
        path.read_bytes() for path in bench.service.folder.root.rglob("*") if path.is_file()
    )
    assert device.mac_key not in everything
    assert wrapped in everything  # the control: the search finds what is there


def test_it_counts_only_when_the_device_has_confirmed(bench: Bench, device: Device) -> None:
    bench.enrol(device)
    assert bench.row(device).state == "enrolling"
    asyncio.run(bench.desk.finish(device.id))
    assert (bench.row(device).state, bench.row(device).enrolled_s) == ("enrolled", START_S)
    bench.now_s += 60
    asyncio.run(bench.desk.finish(device.id))  # said twice
    assert bench.row(device).enrolled_s == START_S


def test_unknown_device_cannot_be_confirmed(bench: Bench, device: Device) -> None:
    with pytest.raises(UnknownDeviceError):
        asyncio.run(bench.desk.finish(device.id))


def test_challenge_is_for_one_use(bench: Bench, device: Device, tmp_path: Path) -> None:
    challenge = bench.desk.begin()
    bench.answer(device.request(challenge))
    with pytest.raises(EnrolmentError, match="challenge"):
        bench.answer(Device(tmp_path).request(challenge))


def test_challenge_ends_after_ten_minutes(bench: Bench, device: Device, tmp_path: Path) -> None:
    challenge = bench.desk.begin()
    bench.now_s += 599
    bench.answer(device.request(challenge))
    challenge = bench.desk.begin()
    bench.now_s += 600
    with pytest.raises(EnrolmentError, match="challenge"):
        bench.answer(Device(tmp_path).request(challenge))


def test_challenge_of_another_desk_is_refused(bench: Bench, device: Device) -> None:
    challenge = bench.open_desk().begin()
    with pytest.raises(EnrolmentError, match="challenge"):
        bench.answer(device.request(challenge))


def test_challenges_are_bounded_and_come_back(bench: Bench) -> None:
    for _ in range(64):
        bench.desk.begin()
    with pytest.raises(EnrolmentError, match="wait"):
        bench.desk.begin()
    bench.now_s += 600
    bench.desk.begin()


def test_key_that_was_seen_is_refused_for_good(bench: Bench, device: Device) -> None:
    bench.enrol(device)
    with pytest.raises(EnrolmentError, match="seen before"):
        bench.enrol(device)


def test_tls_key_of_another_device_is_refused(bench: Bench, device: Device, tmp_path: Path) -> None:
    bench.enrol(device)
    thief = Device(tmp_path)
    thief._tls = device._tls
    with pytest.raises(EnrolmentError, match="seen before"):
        bench.enrol(thief)
    thief = Device(tmp_path)
    thief._tls = device._identity
    with pytest.raises(EnrolmentError, match="seen before"):
        bench.enrol(thief)


@pytest.mark.parametrize("name", ["_tls", "_ephemeral"])
def test_one_key_for_two_purposes_is_refused(bench: Bench, device: Device, name: str) -> None:
    setattr(device, name, device._identity)
    with pytest.raises(EnrolmentError, match="one key for two purposes"):
        bench.enrol(device)


def test_request_must_be_signed_by_the_key_in_it(
    bench: Bench, device: Device, tmp_path: Path
) -> None:
    other = Device(tmp_path)
    payload = envelope.parse_sign1(device.request(bench.desk.begin()), 4096).payload
    as_other = envelope.seal_sign1(message_types.ENROL_REQUEST, other.kid, payload, other.signer)
    with pytest.raises(EnrolmentError, match="another key"):
        bench.answer(as_other)


def test_every_damaged_request_is_refused(bench: Bench, device: Device) -> None:
    request = device.request(bench.desk.begin())
    for index in range(len(request)):
        damaged = request[:index] + bytes([request[index] ^ 1]) + request[index + 1 :]
        with pytest.raises(EnrolmentError):
            bench.answer(damaged)
    with pytest.raises(EnrolmentError):
        bench.answer(high_s(request))
    with pytest.raises(EnrolmentError):
        bench.answer(bytes(4097))
    assert bench.row(device) is None
    bench.answer(request)  # the control: none of it has used the challenge up


def test_answer_is_for_this_device_and_challenge_only(
    bench: Bench, device: Device, tmp_path: Path
) -> None:
    reply = bench.answer(device.request(bench.desk.begin()))
    other = Device(tmp_path)
    other.request(bench.desk.begin())
    with pytest.raises(AuthenticityError):
        other.take(reply)


def test_directory_reads_anew_until_enrolled(bench: Bench, device: Device) -> None:
    directory = Directory(bench.service.database)
    assert directory.find(device.kid) is None
    bench.enrol(device)
    found = directory.find(device.kid)
    assert found is not None
    assert not found.enrolled
    asyncio.run(bench.desk.finish(device.id))
    found = directory.find(device.kid)
    assert found is not None
    assert found.enrolled
    table = schema.device
    bench.service.writer.call(lambda c: c.execute(table.update().values(state="revoked")))
    directory.forget(device.id)
    found = directory.find(device.kid)
    assert found is not None
    assert found.revoked
