"""A camera that fails under the whole agent: a process, a real broker, a real model, 20 frames a second."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.broker import Mosquitto, Subscriber, wait_until

BUNDLES = Path(str(files("engines.bundles")))

# The window ends after 20 + 200 frames; each fault lasts three seconds and has as long to be got over.
SETTINGS = """\
site = "plant"
state_directory = "state"
[mqtt]
url = "{url}"
[cameras.line1]
bundle = "{bundle}"
[cameras.line1.source]
kind = "simulator"
mode = "{mode}"
seed = 5
defect_rate = 0.0
faults = [
    {{ kind = "{first}", start_frame = 260, duration_seconds = 3.0 }},
    {{ kind = "{second}", start_frame = 380, duration_seconds = 3.0 }},
]
[cameras.line1.calibration]
frames = 200
max_frames = 200
[cameras.line1.alarm]
clear_after_seconds = 0.2
"""


@pytest.mark.parametrize(("mode", "first", "second"), [("camera", "black", "lost"), ("xray", "frozen", "defocused")])
def test_a_failing_camera_is_named_to_the_factory(
    tmp_path: Path, mosquitto: Callable[..., Mosquitto], mode: str, first: str, second: str
) -> None:
    broker = mosquitto()
    bundle = BUNDLES / f"simulator-{mode}.bundle"
    text = SETTINGS.format(url=broker.url, bundle=bundle, mode=mode, first=first, second=second)
    (tmp_path / "inspectd.toml").write_text(text)
    subscriber = Subscriber(broker, "inspectd/plant/line1/#")
    command = [sys.executable, "-m", "agent.cli", "run", "--config", str(tmp_path / "inspectd.toml")]
    with (tmp_path / "log").open("w") as log:
        agent = subprocess.Popen(command, stderr=log)
    try:
        wait_until(lambda: len(subscriber.on("/alarm")) >= 4, seconds=90, what="two alarms, raised and cleared")
        wait_until(lambda: documents(subscriber, "/state")[-1]["phase"] == "armed", what="inspecting again")
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(20) == 0, (tmp_path / "log").read_text()
    finally:
        agent.kill()
        agent.wait()
        subscriber.close()
    alarms = documents(subscriber, "/alarm")
    assert [(alarm["kind"], alarm["event"]) for alarm in alarms] == [("camera", "raised"), ("camera", "cleared")] * 2
    for (raised, cleared), fault in zip([alarms[:2], alarms[2:]], [first, second], strict=True):
        assert raised["id"] == cleared["id"]
        assert raised["reason"].startswith(f"{fault}: ")
        assert set(raised["evidence"]) == (set() if fault == "lost" else {"frame"})
        blind = [state for state in documents(subscriber, "/state") if state["alarm"] == raised["id"]]
        assert {state["phase"] for state in blind} <= {"blind", "camera_lost"}
        assert any(fault in state["reason"] or "loss of the camera" in state["reason"] for state in blind)


def documents(subscriber: Subscriber, ending: str) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in subscriber.on(ending)]
