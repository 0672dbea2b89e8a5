"""The demo itself, short, with all real parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from agent.sources.simulator import SimulatedLine
from agent.tools.demo.run import _evaluate
from agent.tools.demo.stage import GOOD_FRAMES, DemoStage
from tests.support.command_line import inspectd


def test_frames_dropped_while_calibrating_are_not_counted(tmp_path: Path) -> None:
    """A busy machine: 400 frames are dropped before the camera is armed, 20 afterwards."""
    stage = DemoStage(tmp_path, port=1, mode="camera", seed=1)
    final = {
        "cameras": {"line1": {"frames": 900, "dropped": 420, "threshold": 1.0, "promise": ""}},
        "delivery": {"latency_ms": None},
    }
    sheet, matches = _evaluate(stage, {"frames": 310, "dropped": 400}, final, {"last_frame": 705})
    assert (sheet.frames, sheet.frames_dropped, matches) == (590, 20, [])
    # The camera saw frames 706 to 1319, scored or not: parts 177 to 329.
    assert (sheet.parts.shown, sheet.parts.without_result) == (153, 153)
    line = SimulatedLine("camera", seed=1, good_frames=GOOD_FRAMES)
    assert sheet.defects_shown == sum(line.part(index).kind is not None for index in range(177, 330))


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
    parts = summary["parts"]
    assert parts["shown"] > 25
    assert parts["shown"] == parts["ok"] + parts["nok"] + parts["not_judged"]
    assert (parts["without_result"], parts["false_nok"]) == (0, 0)
    assert parts["nok"] == summary["defects_alarmed"]
    # On a busy machine, frames of a bad part may all be dropped.
    unseen = summary["defects_shown"] - len(parts["missed"]) - parts["nok"]
    assert 0 <= unseen <= parts["not_judged"]
    assert cv2.imread(str(out / "alarms.png")) is not None
    assert "bad parts alarmed" in done.stdout
