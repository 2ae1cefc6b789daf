"""What must hold when everything has healed, checked against every store of the cloud.

1. a reading shown as saved is stored exactly once, unless it was erased or its claim had ended;
2. it belongs to the right person, with the right value, in the order of its sequence;
3. its time is right within the doubt that it states;
4. of an erased person nothing is left, and nothing came back;
5. every sequence is accounted for, every order answered, every erasure closed.
"""

from __future__ import annotations

import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account, by_id
from cloud_agent.readings.listing import Reading, list_readings
from cloud_agent.service import Service
from cloud_agent.storage import schema
from hil_tests.simulation.device import Device
from hil_tests.simulation.history import BrokenError, History, Weighing, Welcome
from hil_tests.simulation.template import START_S
from hil_tests.simulation.timeline import HOUR_MS, SECOND_MS
from protocol import answer

# Half of the slowest round trip of a welcome (SPEC 7: 30 s), and rounding on both sides.
_SLOWEST_S = 15 + 3
_ROUNDING_S = 3
# A power cut may take a date with it: then one of the next welcomes dates the reading.
_DATING_WELCOMES = 3


class Checker:
    """Checks one healed run. `check` raises `BrokenError` with what does not hold."""

    def __init__(
        self,
        service: Service,
        history: History,
        accounts: tuple[Account, ...],
        devices: list[Device],
        *,
        held: bool,
        leapt: bool,
    ) -> None:
        """`held`: for a while the cloud held some records back, so that later ones came first.
        `leapt`: its clock was wrong by more than an erasure waits for its devices.
        """
        self._service = service
        self._history = history
        self._accounts = accounts
        self._devices = {device.id: device for device in devices}
        self._held = held
        self._closed = ("proven", "unconfirmed") if leapt else ("proven",)
        self._order: dict[bytes, int] = {}
        self._found: set[int] = set()

    def check(self) -> int:
        """Checks everything; returns how many readings were found in their place."""
        self._order = self._changes()
        for number, account in enumerate(self._accounts):
            self._check_account(number, account)
        for (device, epoch), tray in self._trays().items():
            number = self._history.claims[device, epoch].account
            self._check_list(number, self._list(tray), in_tray=True)
        for device_ in self._devices.values():
            self._check_sequences(device_)
        self._check_orders()
        return len(self._found)

    def _list(self, owner: bytes) -> list[Reading]:
        return list_readings(self._service.database, self._service.vault, owner)

    def _trays(self) -> dict[tuple[str, int], bytes]:
        claim = schema.claim
        query = sa.select(claim.c.device, claim.c.epoch, claim.c.tray)
        with self._service.database.reading() as connection:
            rows = connection.execute(query.where(claim.c.tray.is_not(None))).all()
        return {(row.device, row.epoch): row.tray for row in rows}

    def _changes(self) -> dict[bytes, int]:
        query = sa.select(schema.reading.c.id, schema.reading.c.change)
        with self._service.database.reading() as connection:
            return {row.id: row.change for row in connection.execute(query)}

    # Rules 1, 2 and 4: what is stored

    def _check_account(self, number: int, account: Account) -> None:
        if number not in self._history.erased:
            self._check_list(number, self._list(account.subject), in_tray=False)
            return
        if by_id(self._service.database, account.id) is not None:
            raise BrokenError(f"account {number} was erased and is there")
        if self._service.vault.store.keys_of(account.subject):
            raise BrokenError(f"account {number} was erased and has keys")
        table = schema.reading
        query = sa.select(sa.func.count()).where(table.c.owner == account.subject)
        with self._service.database.reading() as connection:
            if connection.execute(query).scalar_one():
                raise BrokenError(f"account {number} was erased and has readings")

    def _check_list(self, number: int, readings: list[Reading], *, in_tray: bool) -> None:
        newest: dict[str, int] = {}
        for reading in sorted(readings, key=lambda each: self._order[each.id]):
            weighing = self._weighing(reading)
            if weighing.number in self._found:
                raise BrokenError(f"reading {weighing.number} is stored twice")
            self._found.add(weighing.number)
            if self._history.owner_of(weighing) != (number, in_tray):
                raise BrokenError(f"reading {weighing.number} is shown to account {number}")
            self._check_time(weighing, reading)
            if weighing.sequence is not None and not self._held:
                if weighing.sequence < newest.get(weighing.device, 0):
                    raise BrokenError(f"reading {weighing.number} is out of order")
                newest[weighing.device] = weighing.sequence

    def _weighing(self, reading: Reading) -> Weighing:
        grams, number = reading.content.values
        weighing = self._history.weighings.get(number)
        if weighing is None or weighing.device != reading.device or weighing.grams != grams:
            raise BrokenError(f"reading {number} was never made like this")
        return weighing

    # Rule 3: when

    def _check_time(self, weighing: Weighing, reading: Reading) -> None:
        welcomes = self._history.of(weighing.device).welcomes
        before = [each for each in welcomes if each.at_ms <= weighing.taken_ms]
        after = [each for each in welcomes if each.at_ms > weighing.taken_ms][:_DATING_WELCOMES]
        drift_ppm = abs(self._devices[weighing.device].life.drift_ppm)
        off_s = reading.taken_s - START_S - weighing.taken_ms / SECOND_MS
        if reading.taken_quality == "wall":
            aged_s = (weighing.taken_ms - before[-1].at_ms) / SECOND_MS if before else 0
            allowed_s = _ROUNDING_S + aged_s * drift_ppm / 1_000_000
            right = bool(before) and abs(off_s - before[-1].error_s) <= allowed_s
        else:
            if not _knowable(before[-1] if before else None, after):
                return
            aged_s = (after[-1].at_ms - weighing.taken_ms) / SECOND_MS
            doubt_s = reading.taken_uncertainty_s + _SLOWEST_S + aged_s * drift_ppm / 1_000_000
            right = abs(off_s) <= doubt_s
        if not right:
            raise BrokenError(
                f"reading {weighing.number} ({reading.taken_quality}) is dated {off_s:.0f} s off, "
                f"stated {reading.taken_uncertainty_s} s"
            )

    # Rules 1 and 5: what is settled

    def _check_sequences(self, device: Device) -> None:
        if device.journal.kept:
            raise BrokenError(f"{device.journal.kept} records were never settled")
        table = schema.ingest
        query = sa.select(table.c.sequence, table.c.outcome).where(table.c.device == device.id)
        with self._service.database.reading() as connection:
            outcomes = {row.sequence: row.outcome for row in connection.execute(query)}
        for sequence in range(1, device.journal.next_sequence):
            if sequence not in outcomes:
                raise BrokenError(f"sequence {sequence} was settled and is not accounted for")
        for weighing in self._history.weighings.values():
            if weighing.device == device.id and weighing.sequence is not None:
                self._check_saved(weighing, outcomes[weighing.sequence])

    def _check_saved(self, weighing: Weighing, outcome: int) -> None:
        history = self._history
        claim = history.claims[weighing.device, weighing.epoch]
        owner, _ = history.owner_of(weighing)
        erased = owner in history.erased
        if weighing.number in self._found:
            if erased:
                raise BrokenError(f"reading {weighing.number} of an erased person is there")
            return
        excused = (
            erased
            or (outcome == answer.DROP_ERASED and history.may_be_void(weighing))
            or (outcome == answer.DROP_CLAIM_ENDED and claim.ended)
        )
        if not excused:
            raise BrokenError(
                f"reading {weighing.number} was shown as saved and is lost: outcome {outcome}"
            )

    def _check_orders(self) -> None:
        outbox, erasure, refused = schema.command_outbox, schema.erasure, schema.refused_frame
        with self._service.database.reading() as connection:
            waiting = connection.execute(
                sa.select(sa.func.count()).where(outbox.c.state == "waiting")
            ).scalar_one()
            open_ = connection.execute(
                sa.select(erasure.c.state).where(erasure.c.state.not_in(self._closed))
            ).scalars()
            unproven = list(open_)
            internal = connection.execute(
                sa.select(sa.func.count()).where(refused.c.reason == "internal")
            ).scalar_one()
            gaps = connection.execute(sa.select(sa.func.count()).select_from(schema.gap))
            lost = gaps.scalar_one()
        if waiting or unproven or internal or lost:
            raise BrokenError(
                f"{waiting} orders wait, erasures are {unproven}, {internal} messages could not "
                f"be handled, {lost} gaps were noted"
            )


def _knowable(before: Welcome | None, after: list[Welcome]) -> bool:
    """Whether a reading without a clock can be dated rightly: not by a cloud whose clock is wrong.

    A wrong time from before must not matter where the next one shows that it was wrong.
    """
    if not after or any(abs(each.error_s) > _SLOWEST_S for each in after):
        return False
    if before is None or before.error_s <= _SLOWEST_S:
        return True
    return before.at_ms + before.error_s * SECOND_MS > after[-1].at_ms + HOUR_MS
