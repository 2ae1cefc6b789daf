"""Register, schema and erasure say the same of every column; the page says it to people."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from cloud_agent.errors import UsageError
from cloud_agent.privacy import register
from cloud_agent.privacy.catalogue import STORES
from cloud_agent.privacy.register import MISSING, read_controller
from cloud_agent.storage.annotations import Category, Keep
from cloud_agent.tests.household import Household
from cloud_agent.web import pages
from cloud_agent.web.app import application

NOBODY = Path("/nowhere/controller.toml")


def columns_of(metadata: sa.MetaData) -> set[str]:
    return {f"{t.name}.{c.name}" for t in metadata.sorted_tables for c in t.columns}


def test_it_has_every_column_of_every_store() -> None:
    listed = {
        (each["store"], f"{each['table']}.{each['column']}")
        for each in register.as_json(read_controller(NOBODY))["stores"]
    }
    assert listed == {
        (store, column) for store, metadata in STORES.items() for column in columns_of(metadata)
    }


def test_it_follows_the_database_that_is_really_there(household: Household) -> None:
    with household.service.database.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT l.name || '.' || i.name FROM pragma_table_list() AS l, "
            "pragma_table_info(l.name) AS i WHERE l.schema = 'main' AND l.type = 'table' "
            "AND l.name NOT LIKE 'sqlite_%'"
        ).scalars()
        assert set(rows) == columns_of(STORES["tare.db"])


def test_health_data_are_named_with_their_ground() -> None:
    [readings] = [each for each in register.activities() if "readings" in each.purpose]
    assert readings.is_sensitive
    assert any("explicit consent" in basis for basis in readings.bases)


def test_giving_data_to_partners_rests_on_explicit_consent() -> None:
    [sharing] = [each for each in register.activities() if "partners" in each.purpose]
    assert sharing.is_sensitive
    assert any("explicit consent" in basis for basis in sharing.bases)


def test_every_purpose_has_a_ground_and_an_end_for_every_category() -> None:
    for activity in register.activities():
        assert activity.bases
        assert all(activity.categories.values())


def test_what_stays_after_an_erasure_says_why() -> None:
    for metadata in STORES.values():
        for table in metadata.sorted_tables:
            rule = table.info["erasing"]
            if isinstance(rule, Keep):
                assert len(rule.reason) > 10
                kinds = {c.info["about"].category for c in table.columns}
                assert Category.HEALTH not in kinds, table.name


def test_who_runs_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "controller.toml"
    assert read_controller(path).missing == [
        "name",
        "address",
        "email",
        "data_protection_officer",
        "created",
    ]
    path.write_text(register.TEMPLATE)
    assert "name" in read_controller(path).missing
    path.write_text('name = "Ann Archer"\nprocessors = ["a company that hosts"]\n')
    controller = read_controller(path)
    assert controller.texts["name"] == "Ann Archer"
    assert controller.processors == ("a company that hosts",)
    for wrong in ("name = ", 'nmae = "Ann"'):
        path.write_text(wrong)
        with pytest.raises(UsageError):
            read_controller(path)


def test_the_page_is_for_anybody_and_escapes_what_was_filled_in(household: Household) -> None:
    household.service.folder.controller.write_text('name = "<b>Ann</b>"')
    with TestClient(application(household.service)) as browser:
        answer = browser.get("/legal/register")
    assert answer.status_code == 200
    assert "&lt;b&gt;Ann&lt;/b&gt;" in answer.text
    assert MISSING in answer.text
    assert "CNIL" in answer.text


def test_the_file_stands_alone() -> None:
    page = pages.register(read_controller(NOBODY), with_style=True)
    assert "<style>" in page
    assert 'href="' not in page
    assert "src=" not in page
