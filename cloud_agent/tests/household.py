"""A data folder with people and devices in it, filled through the doors that the server uses:
accounts, claims by code, signed frames that are verified and handled.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account, NewAccount
from cloud_agent.devices.claims import Claims, open_window
from cloud_agent.devices.directory import Directory
from cloud_agent.devices.enrolment import MAC_KEY_LABEL
from cloud_agent.devices.signing import CommandSigner
from cloud_agent.ingest.handlers import Handled, Handlers
from cloud_agent.ingest.verify import Refused, Verified, verify
from cloud_agent.service import Service
from cloud_agent.storage import schema
from protocol import claim_code, command, cose, envelope, fields, frame, reading, topics

NOW_S = 1_795_000_000
PASSWORD = "seven grey herons wade"


@dataclass
class Clock:
    """A clock that stands until a test moves it."""

    now_s: int = NOW_S

    def __call__(self) -> int:
        return self.now_s


@dataclass
class Scale:
    """A device: its identity key, and the number of its next record."""

    signer: CommandSigner
    next_sequence: int = 1
    epoch: int = 0
    handle: int = 1  # of whoever claimed it
    sent: list[bytes] = field(default_factory=list)

    @property
    def id(self) -> str:
        return topics.device_id(self.signer.kid)


class Household:
    """One open installation and what lives in it."""

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.service = Service.open(root, now=self.clock)
        self._command_signer = CommandSigner(ec.generate_private_key(ec.SECP256R1()))

    def close(self) -> None:
        self.service.close()

    def open_account(
        self, email: str, name: str = "", *, consent: bool = True, zone: str = "Europe/Paris"
    ) -> Account:
        return accounts.create(
            self.service,
            NewAccount(
                email=email,
                name=name,
                password=PASSWORD,
                zone=zone,
                terms_version="1",
                health_consent="1" if consent else None,
                of_age=True,
            ),
        )

    def add_scale(self) -> Scale:
        """A device as enrolment leaves it."""
        signer = CommandSigner(ec.generate_private_key(ec.SECP256R1()))
        device = topics.device_id(signer.kid)
        row = {
            "id": device,
            "public_key": signer.public_key,
            "tls_key": secrets.token_bytes(64),
            "algorithm": cose.ALG_ESP256,
            "mac_key": self.service.vault.wrap(MAC_KEY_LABEL, device, secrets.token_bytes(32)),
            "mac_generation": 1,
            "model": "test scale",
            "firmware": "1.0",
            "state": "enrolled",
            "enrolled_s": self.clock(),
        }
        self.service.writer.call(lambda c: c.execute(schema.device.insert().values(row)))
        return Scale(signer)

    def claim(self, account: Account, scale: Scale) -> None:
        """The button is pressed, and the account gives the code."""
        code = secrets.token_bytes(10)
        proof = claim_code.proof(scale.signer.kid, code)
        window = frame.ClaimWindow(nonce=bytes(16), proof=proof, window_s=60)
        self.service.writer.call(lambda c: open_window(c, scale.id, window, self.clock()))
        claims = Claims(self.service)
        claimed = asyncio.run(claims.claim(account, claim_code.to_text(code)))
        scale.epoch = claimed.epoch
        table = schema.person_handle
        query = sa.select(table.c.handle).where(
            table.c.device == scale.id,
            table.c.epoch == scale.epoch,
            table.c.subject == account.subject,
        )
        with self.service.database.reading() as connection:
            scale.handle = connection.execute(query).scalar_one()

    def weigh(self, scale: Scale, grams: Sequence[int], *, handle: int | None = None) -> bytes:
        """A signed frame with these weights, one a minute, up to now; of whoever claimed the
        scale, unless `handle` says otherwise.
        """
        if handle is None:
            handle = scale.handle
        start_s = self.clock() - 60 * len(grams)
        attribution = 1 if handle else 0
        records = [
            reading.Reading(start_s + 60 * number, reading.KIND_WEIGHT | attribution << 5, [gram])
            for number, gram in enumerate(grams)
        ]
        first = scale.next_sequence
        scale.next_sequence += len(records)
        return self.sign(
            scale,
            frame.Readings(
                oldest=first,
                first=first,
                claim_epoch=scale.epoch,
                handle=handle,
                clock=frame.Clock(1),
                records=records,
            ),
        )

    def sign(self, scale: Scale, message: fields.Payload) -> bytes:
        signer = scale.signer
        signed = envelope.seal_sign1(message.TYPE, signer.kid, message.encode(), signer)
        scale.sent.append(signed)
        return signed

    def deliver(self, scale: Scale, signed: bytes) -> Handled:
        """The message arrives: verified, handled, committed."""
        directory = Directory(self.service.database)
        verified = verify(topics.up(scale.id), signed, directory.find)
        assert not isinstance(verified, Refused), verified
        return self.handle(verified)

    def handle(self, verified: Verified) -> Handled:
        handlers = Handlers(self.service, self._command_signer)
        return self.service.writer.call(lambda c: handlers.handle(c, verified, None))

    def obtain_orders(self, scale: Scale) -> list[command.Command]:
        """The device asks for its orders."""
        handlers = Handlers(self.service, self._command_signer)
        sent = self.service.writer.call(lambda c: handlers.orders(c, scale.id))
        signed = [envelope.parse_sign1(each.payload) for each in sent]
        return [command.Command.parse(message.payload) for message in signed]

    def confirm_orders(self, scale: Scale, outcome: int = frame.OUTCOME_DONE) -> None:
        """The device asks for its orders, does with all of them the same and signs its receipts."""
        self.obtain_orders(scale)
        outbox, rendered = schema.command_outbox, schema.command_rendered
        query = (
            rendered.select()
            .with_only_columns(rendered.c.counter, outbox.c.verb)
            .join(outbox, outbox.c.id == rendered.c.command)
            .where(rendered.c.device == scale.id, outbox.c.state == "waiting")
        )
        with self.service.database.reading() as connection:
            orders = connection.execute(query).all()
        receipts = [frame.Receipt(row.counter, row.verb, outcome) for row in orders]
        if not receipts:
            return
        first = scale.next_sequence
        scale.next_sequence += len(receipts)
        message = frame.Receipts(oldest=first, first=first, receipts=receipts)
        self.deliver(scale, self.sign(scale, message))
