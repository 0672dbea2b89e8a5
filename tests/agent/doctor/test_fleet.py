"""The doctor of the page for many agents, with a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.doctor.check_result import CheckResult, Level
from tests.support.broker import Mosquitto, Subscriber
from tests.support.documents import status

pytest.importorskip("sqlalchemy", reason="the extra fleet is not installed")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    started = Mosquitto(tmp_path / "broker").start()
    yield started
    started.end()


def examined(directory: Path, text: str) -> dict[str, CheckResult]:
    """The results by subject; the last one of each."""
    from agent.doctor.fleet import examine_fleet

    config = directory / "fleet.toml"
    config.write_text(f'state_directory = "state"\n{text}')
    return {result.subject: result for result in examine_fleet(config)}


def test_healthy_page_has_no_findings_but_the_missing_account(tmp_path: Path, broker: Mosquitto) -> None:
    client = Subscriber(broker, "nothing")
    for site, presence in (("berlin", "online"), ("seoul", "offline")):
        client.publish(f"inspectd/{site}/status", status(presence, site=site).to_bytes(), retain=True)
    client.close()
    found = examined(tmp_path, f'[mqtt]\nurl = "{broker.url}"\n')
    assert found["broker"].text.endswith("knows 2 agent(s), 1 of them online")
    assert {name: result.level for name, result in found.items()} == {
        "settings": Level.OK,
        "accounts": Level.WARNING,
        "broker": Level.OK,
        "history": Level.OK,
    }
    assert found["accounts"].fix == f"inspectd fleet user add NAME --config {tmp_path / 'fleet.toml'}"
    assert not (tmp_path / "state").exists(), "a check changes nothing"


def test_broker_without_agents_and_one_that_is_not_there(tmp_path: Path, broker: Mosquitto) -> None:
    found = examined(tmp_path, f'[mqtt]\nurl = "{broker.url}"\nprefix = "other"\n')
    assert found["broker"].level is Level.WARNING
    assert "keeps no status of an agent at other/+/status" in found["broker"].text
    broker.stop()
    found = examined(tmp_path, f'[mqtt]\nurl = "{broker.url}"\n')
    assert found["broker"].level is Level.PROBLEM
    assert "connection refused" in found["broker"].text


def test_broken_settings_are_a_problem_for_each_line(tmp_path: Path) -> None:
    found = examined(tmp_path, '[history]\ndays = -1\n[mqtt]\nurl = "broker"\n')
    assert found["settings"].level is Level.PROBLEM
    assert set(found) == {"settings"}


def test_database_that_cannot_be_reached_is_a_problem(tmp_path: Path, broker: Mosquitto) -> None:
    pytest.importorskip("psycopg", reason="the extra fleet-postgres is not installed")
    database = "postgresql://fleet:secret@127.0.0.1:1/inspectd"
    found = examined(tmp_path, f'[mqtt]\nurl = "{broker.url}"\n[history]\ndatabase = "{database}"\n')
    assert found["history"].level is Level.PROBLEM
    assert "secret" not in found["history"].text
