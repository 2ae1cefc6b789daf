"""A new key-encryption key: all of it, at once or after a cut, and the old one opens nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.backup import make, sealed_file
from cloud_agent.config import DataFolder
from cloud_agent.errors import BusyError, KeyEncryptionKeyError, UsageError
from cloud_agent.mail import outgoing
from cloud_agent.mail.outgoing import Letter
from cloud_agent.privacy import kek, rotation, sealing
from cloud_agent.privacy.keystore import SqliteKeyStore
from cloud_agent.privacy.requests import acts
from cloud_agent.privacy.requests.acts import NewRequest
from cloud_agent.privacy.requests.record import Note
from cloud_agent.privacy.requests.states import Channel, Kind
from cloud_agent.privacy.vault import Vault
from cloud_agent.storage import Database, schema
from cloud_agent.storage.annotations import Category
from cloud_agent.tests.household import PASSWORD, Household
from cloud_agent.tests.privacy.home import Home


class Cut(BaseException):
    """The power is gone."""


def state_of(household: Household) -> list[object]:
    """What both people have and may do, and the key of each scale."""
    service = household.service
    found: list[object] = []
    for name in ("ann.canary", "bob"):
        account = accounts.authenticate(service, f"{name}@example.org", PASSWORD)
        found += [accounts.contact(service, account), account.id]
    with service.database.reading() as connection:
        for row in connection.execute(sa.select(schema.device)):
            found.append(service.vault.unwrap("device.mac_key", row.id, row.mac_key))
    return found


def under_the_key_itself(root: Path) -> set[str]:
    """Columns with anything that is sealed under the key-encryption key."""
    found = set()
    head = b"\x01" + sealing.KEK_ID
    database = Database(root / "tare.db")
    with database.reading() as connection:
        for table in schema.metadata.sorted_tables:
            for row in connection.execute(sa.select(table)):
                found |= {
                    f"{table.name}.{name}"
                    for name, value in row._mapping.items()
                    if isinstance(value, bytes) and value.startswith(head)
                }
    database.close()
    return found


def assert_the_old_one_opens_nothing(root: Path, old: bytes) -> None:
    store = SqliteKeyStore(root / "keys.db")
    with pytest.raises(KeyEncryptionKeyError):
        Vault(store, old)
    raw = (root / "keys.db").read_bytes() + (root / "tare.db").read_bytes()
    assert old not in raw


def test_everything_is_as_before_and_under_the_new_one(home: Home) -> None:
    old, before = kek.read(home.service.folder.kek), state_of(home.household)
    values = home.values(home.ann)
    home.service.close()
    rotation.rotate(DataFolder(home.root))
    assert kek.read(home.service.folder.kek) != old
    assert not home.service.folder.next_kek.exists()
    assert_the_old_one_opens_nothing(home.root, old)
    home.household = Household(home.root, home.household.clock)
    home.service = home.household.service
    assert state_of(home.household) == before
    assert home.values(home.ann) == values
    home.household.deliver(home.scale, home.household.weigh(home.scale, [72_900]))
    assert home.values(home.ann)[-1] == (72_900,)
    assert home.erase().found_after == {}
    home.household.close()


@pytest.mark.parametrize("step", ["secrets", "keys", "before the name", "compaction"])
def test_a_cut_is_finished_at_the_next_start(
    home: Home, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    old, before = kek.read(home.service.folder.kek), state_of(home.household)
    home.service.close()

    def cut(*_arguments: object, **_more: object) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        if step == "secrets":
            patch.setattr(rotation, "_wrap_secrets", cut)
        elif step == "compaction":
            patch.setattr(Database, "compact", cut)
        elif step == "keys":
            patch.setattr(SqliteKeyStore, "wrap_anew", cut)
        else:
            patch.setattr(Path, "replace", cut)
        with pytest.raises(Cut):
            rotation.rotate(DataFolder(home.root))
    assert home.service.folder.next_kek.exists()
    again = Household(home.root, home.household.clock)
    assert state_of(again) == before
    again.close()
    assert not home.service.folder.next_kek.exists()
    assert_the_old_one_opens_nothing(home.root, old)


def test_no_column_under_the_key_is_forgotten(home: Home) -> None:
    """With scales, a request that came by mail and a letter to a stranger in the database."""
    service = home.service
    stranger = Letter(None, "stranger", "eve@example.org", "Hello", "Hello.")
    service.writer.call(lambda c: outgoing.place(c, service.vault, stranger, service.now()))
    note = Note("eve@example.org", "Hello")
    new = NewRequest(kind=Kind.UNCLEAR, channel=Channel.EMAIL, received_s=service.now(), note=note)
    acts.open_request(service, new)
    service.close()
    known = {f"{column.table.name}.{column.name}" for column, _ in rotation.WRAPPED}
    found = under_the_key_itself(home.root)
    assert found
    assert found <= known
    sealed = {
        f"{table.name}.{column.name}"
        for table in schema.metadata.sorted_tables
        for column in table.columns
        if column.info["about"].category is Category.CREDENTIAL
    }
    assert known <= sealed


def test_backups_have_neither(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cost = {"n": 2**4, "r": 1, "p": 1, "maxmem": 2**20, "dklen": 32}
    monkeypatch.setattr(sealed_file, "_COST", cost)
    key = kek.read(home.service.folder.kek)
    kek.write(home.service.folder.next_kek, bytes(32))
    passphrase = "a passphrase of some length"
    folder = tmp_path / "backups"
    folder.mkdir()
    for kind in (make.DATA, make.KEYS):
        path = make.make(home.service, kind, folder, passphrase)
        part = folder / f"unpacked-{kind}"
        part.mkdir()
        sealed_file.unpack(path, part, passphrase)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert key not in content
        assert key.hex().encode() not in content
        assert bytes(32).hex().encode() not in content


def test_not_under_a_server_and_not_without_an_installation(home: Home, tmp_path: Path) -> None:
    with pytest.raises(BusyError):
        rotation.rotate(DataFolder(home.root))
    with pytest.raises(UsageError):
        rotation.rotate(DataFolder(tmp_path / "nothing"))
