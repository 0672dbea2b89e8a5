"""The demo itself, short, with all real parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from tests.support.command_line import inspectd


@pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None, reason="needs mosquitto"
)
def test_demo_finds_defects_and_raises_no_false_alarm(tmp_path: Path) -> None:
    """Broker, agent and subscriber as processes; ten seconds of inspection show a few bad parts."""
    out = tmp_path / "demo"
    done = inspectd("demo", "--seconds", "10", "--out", out, "--seed", "1", timeout=240)
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["frames"] > 100
    assert summary["false_alarms"] == 0
    assert summary["defects_alarmed"] > 0
    assert {"defects_shown", "frames_dropped", "latency_ms"} <= set(summary)
    assert cv2.imread(str(out / "alarms.png")) is not None
    assert "defects alarmed" in done.stdout
