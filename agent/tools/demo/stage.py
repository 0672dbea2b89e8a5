"""The folder of a demo run: settings for broker and agent, and where everything is."""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from agent.core.errors import Permanent
from agent.tools.watcher import RESULTS

MODES = ("camera", "xray")
CAMERA = "line1"
SITE = "demo"
FRAMES_PER_SECOND = 20.0
FRAMES_PER_PART = 4
CALIBRATION_PARTS = 100

# The window, the frames before it from which the rate is measured, and two seconds more for a slow start.
GOOD_FRAMES = FRAMES_PER_PART * CALIBRATION_PARTS + 60

_SETTINGS = """\
site = "{site}"
state_directory = "state"

[mqtt]
url = "{url}"

[cameras.{camera}]
bundle = "{bundle}"

[cameras.{camera}.source]
kind = "simulator"
mode = "{mode}"
seed = {seed}
frames_per_second = {rate}
good_frames = {good}
frames_per_part = {frames_per_part}

[cameras.{camera}.parts]
frames_per_part = {frames_per_part}

[cameras.{camera}.calibration]
frames = {parts}
max_frames = {parts}
false_alarms = "1 per shift"
"""

_PAGE = """
[page]
port = {port}
"""

_BROKER = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
"""


@dataclass(frozen=True, slots=True)
class DemoStage:
    """Paths and addresses of one demo run."""

    out: Path
    port: int
    """TCP port of the broker."""
    mode: str
    seed: int
    page_port: int | None = None
    """TCP port of the page; None where it is not wanted."""

    @property
    def settings(self) -> Path:
        return self.out / "inspectd.toml"

    @property
    def broker_settings(self) -> Path:
        return self.out / "mosquitto.conf"

    @property
    def control_socket(self) -> Path:
        return self.out / "state" / "control.sock"

    @property
    def alarms(self) -> Path:
        """Where the subscriber saves alarms and results."""
        return self.out / "alarms"

    @property
    def results(self) -> Path:
        """The results of the camera's parts, one JSON line each, as the subscriber saves them."""
        return self.alarms / CAMERA / RESULTS

    @property
    def logs(self) -> Path:
        return self.out / "logs"

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"


def prepare_stage(out: Path, mode: str, seed: int, *, page: bool = False) -> DemoStage:
    """Empty the folder and write the settings.

    Raises Permanent for an unknown mode, and for a folder with files that are not from an earlier demo.
    """
    if mode not in MODES:
        raise Permanent(f"--mode {mode}: wanted {' or '.join(MODES)}")
    stage = DemoStage(out, _free_port(), mode, seed, _free_port() if page else None)
    if out.exists() and any(out.iterdir()) and not stage.settings.exists():
        raise Permanent(f"{out}: not empty and not from a demo; wanted a new or empty folder for --out")
    shutil.rmtree(out, ignore_errors=True)
    stage.logs.mkdir(parents=True)
    stage.settings.write_text(_settings(stage), encoding="utf-8")
    stage.broker_settings.write_text(_BROKER.format(port=stage.port), encoding="utf-8")
    return stage


def _settings(stage: DemoStage) -> str:
    page = "" if stage.page_port is None else _PAGE.format(port=stage.page_port)
    return (
        _SETTINGS.format(
            site=SITE,
            url=stage.url,
            camera=CAMERA,
            bundle=Path(str(files("engines.bundles.shipped"))) / f"simulator-{stage.mode}.bundle",
            mode=stage.mode,
            seed=stage.seed,
            rate=FRAMES_PER_SECOND,
            good=GOOD_FRAMES,
            frames_per_part=FRAMES_PER_PART,
            parts=CALIBRATION_PARTS,
        )
        + page
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
