"""A reading comes back as it was taken: value, unit, local time, doubt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.accounts.accounts import Account
from cloud_agent.errors import CiphertextError, NotFoundError, UsageError
from cloud_agent.housekeeping import keep_house
from cloud_agent.readings import listing, store, trays, values, zones
from cloud_agent.readings.listing import Reading
from cloud_agent.readings.store import NewFrame, NewReading, Taken
from cloud_agent.readings.values import Content
from cloud_agent.tests.household import NOW_S, Household, Scale

SUMMER_S = 1_783_000_000  # 2 July 2026
ALL_TAKEN = st.builds(
    Taken,
    st.integers(0, 2**36 - 1),
    st.sampled_from(["wall", "dated", "interval"]),
    st.integers(0, 10**6),
)


@pytest.fixture
def ann(household: Household) -> Account:
    return household.open_account("ann@example.org", zone="Europe/Paris")


@pytest.fixture
def scale(household: Household, ann: Account) -> Scale:
    scale = household.add_scale()
    household.claim(ann, scale)
    return scale


def store_one(household: Household, scale: Scale, owner: bytes, **facts: object) -> bytes:
    service = household.service
    whole = {
        "taken": Taken(NOW_S, "wall"),
        "attribution": "sure",
        "packed": 1 | 1 << 5,
        "values": (72_500,),
    } | facts

    def insert(connection: object) -> bytes:
        frame = NewFrame(owner=owner, device=scale.id, signed=b"signed", stored_s=NOW_S)
        # Fields by name.
        row = store.store_frame(connection, service.vault, frame)  # type: ignore[arg-type]
        # Fields by name.
        new = NewReading(owner=owner, device=scale.id, claim_epoch=1, frame=row, **whole)  # type: ignore[arg-type]
        # Fields by name.
        [stored] = store.store_readings(connection, service.vault, [new], stored_s=NOW_S)  # type: ignore[arg-type]
        return stored

    return service.writer.call(insert)


def listed(household: Household, owner: bytes, limit: int | None = None) -> list[Reading]:
    service = household.service
    return listing.list_readings(service.database, service.vault, owner, limit=limit)


def test_the_offset_is_the_zones_at_that_time(
    household: Household, ann: Account, scale: Scale
) -> None:
    store_one(household, scale, ann.subject, taken=Taken(NOW_S, "wall"))
    store_one(household, scale, ann.subject, taken=Taken(SUMMER_S, "wall"))
    summer, winter = listed(household, ann.subject)
    assert (summer.offset_s, winter.offset_s) == (7200, 3600)
    assert winter.taken_text == "2026-11-18T12:06:40+01:00"


def test_doubt_is_shown(household: Household, ann: Account, scale: Scale) -> None:
    store_one(household, scale, ann.subject, taken=Taken(NOW_S, "interval", 601))
    [reading] = listed(household, ann.subject)
    assert listing.as_json(reading)["uncertainty_s"] == 601


def test_order_limit_and_change_numbers(household: Household, ann: Account, scale: Scale) -> None:
    for at_s in (300, 100, 200):
        store_one(household, scale, ann.subject, taken=Taken(at_s, "wall"))
    assert [r.taken_s for r in listed(household, ann.subject)] == [100, 200, 300]
    assert [r.taken_s for r in listed(household, ann.subject, limit=2)] == [200, 300]
    with household.service.database.reading() as connection:
        changes = connection.exec_driver_sql("SELECT change FROM reading ORDER BY rowid").scalars()
        assert list(changes) == [1, 2, 3]


def test_a_tray_has_no_zone(household: Household, scale: Scale) -> None:
    service = household.service
    tray = service.writer.call(lambda c: store.create_tray(c, service.vault))
    store_one(household, scale, tray, attribution="unknown", packed=1)
    [reading] = listed(household, tray)
    assert reading.offset_s == 0


def test_what_is_nobodys_goes_after_14_days(household: Household, scale: Scale) -> None:
    mine = household.weigh(scale, [72_500])
    dog = household.weigh(scale, [15_000], handle=0)
    for signed in (mine, dog):
        household.deliver(scale, signed)
    household.clock.now_s += trays.KEPT_S - 1
    keep_house(household.service)
    assert owners_of_rows(household) == {"subject": 2, "tray": 2}
    household.clock.now_s += 1
    keep_house(household.service)
    assert owners_of_rows(household) == {"subject": 2}
    # It comes again, as radio messages do: known, settled, and not stored again.
    household.deliver(scale, dog)
    assert owners_of_rows(household) == {"subject": 2}


def owners_of_rows(household: Household) -> dict[str, int]:
    """Readings and frames by the kind of their owner."""
    query = (
        "SELECT kind, count(*) FROM (SELECT owner FROM reading UNION ALL SELECT owner FROM frame) "
        "JOIN owner ON owner.id = owner GROUP BY kind"
    )
    with household.service.database.reading() as connection:
        return {row[0]: row[1] for row in connection.exec_driver_sql(query)}


def test_an_unknown_owner_stores_nothing(household: Household, scale: Scale) -> None:
    service = household.service
    stranger = b"?" * 16
    new = NewReading(
        owner=stranger,
        device=scale.id,
        claim_epoch=1,
        frame=b"f" * 16,
        taken=Taken(NOW_S, "wall"),
        attribution="sure",
        packed=33,
        values=(1,),
    )
    with pytest.raises(NotFoundError):
        service.writer.call(lambda c: store.store_readings(c, service.vault, [new], stored_s=NOW_S))
    assert listed(household, stranger) == []


@pytest.mark.parametrize(
    ("packed", "numbers", "texts", "remarks"),
    [
        (1, (72_500,), {"weight": "72.500"}, []),
        (1 | 1 << 7, (999,), {"weight": "0.999"}, ["did not stand still"]),
        (2, (72_500, 5003), {"weight": "72.500", "impedance": "500.3"}, []),
        (
            3 | 1 << 9,
            (1201, 800, 905, 617),
            {"systolic": "120.1", "diastolic": "80.0", "mean": "90.5", "pulse": "61.7"},
            ["irregular pulse"],
        ),
    ],
)
def test_values_have_their_unit_and_words(
    packed: int, numbers: tuple[int, ...], texts: dict[str, str], remarks: list[str]
) -> None:
    content = Content(packed, numbers)
    assert content.texts() == texts
    assert content.flags() == remarks


@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 2**40), max_size=4))
def test_content_comes_back(packed: int, numbers: list[int]) -> None:
    decoded = values.decode(values.encode(packed, numbers))
    assert (decoded.packed, list(decoded.values)) == (packed, numbers)


@pytest.mark.parametrize("junk", [b"", b"\x80", b"\x82\x01\x02", b"\x82\x61a\x80", b"\xff" * 9])
def test_broken_content_is_an_error_of_ours(junk: bytes) -> None:
    with pytest.raises(CiphertextError):
        values.decode(junk)


@given(st.integers(0, 10**9), st.sampled_from(values.ALL_QUANTITIES))
def test_a_decimal_text_is_exact(value: int, quantity: values.Quantity) -> None:
    whole, _, rest = quantity.text(value).partition(".")
    assert int(whole + rest) == value
    assert round(float(quantity.text(value)) * quantity.divisor) == value


@given(ALL_TAKEN)
def test_any_time_that_the_wire_allows_can_be_shown(taken: Taken) -> None:
    for zone in ("Europe/Paris", "Pacific/Kiritimati", "UTC"):
        assert zones.iso_text(taken.at_s, zones.offset_s(zone, taken.at_s))[10] == "T"


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "..", "/etc/localtime", "\0", "europe"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        zones.zone_of(name)
