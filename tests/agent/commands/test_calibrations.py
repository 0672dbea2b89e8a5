"""Recalibrate a running agent, look at its calibrations and go back, as a technician does on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.commands import ask
from agent.core.errors import Permanent
from agent.service import Service
from engines.bundles.bundle import Bundle
from tests.support.agents import GOOD_PARTS, Starter, await_state, configure, inspectd, is_armed, socket_path


def test_recalibration_shows_a_preview_and_a_rollback_undoes_it(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter
) -> None:
    configure(tmp_path, tiny_bundle, GOOD_PARTS)
    start()
    socket = socket_path(tmp_path)
    first = await_state(socket, is_armed)
    done = inspectd("recalibrate", "--frames", "80", "--fresh", "--yes", "--socket", socket)
    assert done.returncode == 0, done.stderr
    preview = ask(socket, "status")["recalibrations"]["line1"]
    assert done.stdout.splitlines()[:2] == [preview["sentence"], preview["promise"]]
    second = await_state(socket, lambda state: state["calibration"] != first["calibration"])
    listed = json.loads(inspectd("calibration", "list", "--json", "--socket", socket).stdout)
    assert listed["active"] == second["calibration"]
    assert [one["id"] for one in listed["calibrations"]] == [first["calibration"], second["calibration"]]
    assert inspectd("calibration", "rollback", "--socket", socket).returncode == 0
    await_state(socket, lambda state: state["calibration"] == first["calibration"])
    report = tmp_path / "report.html"
    assert inspectd("calibration", "show", "--html", report, "--socket", socket).returncode == 0
    assert "<svg" in report.read_text()


def test_show_names_the_file_with_the_whole_calibration(service: Service) -> None:
    socket = service.settings.socket_path
    shown = ask(socket, "calibration/show")
    assert json.loads(Path(shown["file"]).read_text())["id"] == shown["id"] == ask(socket, "calibration/list")["active"]
    assert ask(socket, "calibration/show", of=shown["id"]) == shown


def test_rollback_without_an_earlier_calibration_is_rejected(service: Service) -> None:
    before = service.lines["line1"].station.calibration
    with pytest.raises(Permanent):
        ask(service.settings.socket_path, "calibration/rollback")
    assert service.lines["line1"].station.calibration is before


def test_second_recalibration_is_rejected_until_the_first_is_cancelled(service: Service) -> None:
    socket = service.settings.socket_path
    ask(socket, "recalibrate", frames=100_000, false_alarms="2 per day")
    with pytest.raises(Permanent, match="wait, or cancel it first"):
        ask(socket, "recalibrate")
    assert ask(socket, "recalibrate", cancel=True) == {"cancelled": True}
    assert ask(socket, "status")["cameras"]["line1"]["progress"] is None
