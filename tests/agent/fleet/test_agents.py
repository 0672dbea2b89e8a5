"""The page with two real agents, and what happens to them."""

from __future__ import annotations

import time

import pytest

from tests.agent.fleet.conftest import START_SECONDS, Plant
from tests.support.agents import await_state, is_armed

pytestmark = pytest.mark.timeout(600)


def test_every_agent_of_the_broker_is_shown_with_its_numbers(plant: Plant) -> None:
    rows = plant.wait_for(lambda rows: len(rows) == 2 and all(row["alarms"] for row in rows.values()), "two agents")
    berlin = rows["berlin"]
    assert (berlin["camera"], berlin["bundle"], berlin["page"]) == ("line1", "tiny", "https://line.example:8470/")
    assert berlin["ok"] + berlin["nok"] > 0
    assert 0.0 < berlin["yield"] <= 1.0
    assert berlin["phase"] == "armed"
    detail = plant.page.client("vera").get("/api/camera?agent=inspectd/berlin&camera=line1").document
    assert detail["state"]["promise"]
    assert detail["status"]["status"] == "online"
    assert detail["alarms"][0]["agent"] == "inspectd/berlin"


def test_agent_that_is_killed_is_offline_and_back_again_it_inspects(plant: Plant) -> None:
    plant.seoul.kill()
    plant.seoul.wait()
    rows = plant.wait_for(lambda rows: rows["seoul"]["conditions"][0] == "offline", "the last will")
    assert rows["seoul"]["severity"] == 3
    assert rows["seoul"]["heard_at"] == pytest.approx(time.time(), abs=60)
    plant.seoul = plant.start_seoul()
    await_state(plant.directory / "seoul" / "state" / "control.sock", is_armed, START_SECONDS)
    plant.wait_for(lambda rows: "armed" in rows["seoul"]["conditions"], "the agent again")
