"""`inspectd demo`: every real part on one machine: a broker, the agent on the simulator, a subscriber."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from agent.commands import ask
from agent.core.errors import Permanent, Temporary
from agent.messages import AlarmPayload, parse
from agent.sources.simulator import SimulatedLine
from agent.tools.contact_sheet import ContactSheetEntry, write_contact_sheet
from agent.tools.score_sheet import Match, ScoreSheet, alarmed_parts, bad_parts, match

Say = Callable[[str], None]

MODES = ("camera", "xray")
CAMERA = "line1"
SITE = "demo"
FRAMES_PER_SECOND = 20.0
CALIBRATION_FRAMES = 300
RULE_FRAMES = 3

# The window, the frames before it on which the rate is measured, and a second's worth for a slow start.
GOOD_FRAMES = 360

# Starting an interpreter with ONNX Runtime takes a second here; ten times that on a small board.
START_TIMEOUT_SECONDS = 60.0
CALIBRATION_TIMEOUT_SECONDS = 120.0

_SETTINGS = """\
site = "{site}"
state_directory = "state"

[mqtt]
url = "mqtt://127.0.0.1:{port}"

[cameras.{camera}]
bundle = "{bundle}"

[cameras.{camera}.source]
kind = "simulator"
mode = "{mode}"
seed = {seed}
frames_per_second = {rate}
good_frames = {good}

[cameras.{camera}.calibration]
frames = {frames}
max_frames = {frames}
false_alarms = "1 per shift"

[cameras.{camera}.alarm]
rule = "2 of {rule_frames}"
clear_after_seconds = 0.2
"""

_BROKER = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays."""

    out: Path
    port: int
    mode: str
    seed: int

    @property
    def settings(self) -> Path:
        return self.out / "inspectd.toml"

    @property
    def door(self) -> Path:
        return self.out / "state" / "control.sock"

    @property
    def alarms(self) -> Path:
        return self.out / "alarms"

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"


def run_demo(*, mode: str, seconds: float, seed: int, out: Path, say: Say) -> ScoreSheet:
    """Play the demo, print the alarms as they come and the score sheet, and write `summary.json` and `alarms.png`.

    Raises Permanent where a part is missing or does not come up.
    """
    if mode not in MODES:
        raise Permanent(f"--mode {mode}: wanted {' or '.join(MODES)}")
    stage = _prepare(out, mode, seed)
    # Told to end, it ends its processes too: SystemExit unwinds the stack below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as processes:
        say(f"broker: Mosquitto on {stage.url}")
        _start(processes, stage, "mosquitto", [_mosquitto(), "-c", str(out / "mosquitto.conf")])
        _await_port(stage.port)
        watch = [sys.executable, "-m", "agent.cli", "watch", stage.url, "--out", str(stage.alarms)]
        watcher = _start(processes, stage, "watch", watch, on_line=say)
        agent = _start(processes, stage, "agent", [sys.executable, "-m", "agent.cli", "run", "-c", str(stage.settings)])
        say(f"agent: simulator in {mode} mode, seed {seed}, {FRAMES_PER_SECOND:g} frames/s")
        say(f"calibrating on {CALIBRATION_FRAMES} good frames")
        state = _await_armed(stage, agent)
        say(f"armed: threshold {state['threshold']:.4g}. {state['promise']}")
        say(f"inspecting for {seconds:g} s")
        _let_pass(agent, seconds)
        final = ask(stage.door, "status")
        calibration = ask(stage.door, "calibration/show")
        _end(agent)
        time.sleep(0.5)  # the last pictures are on their way to the subscriber
        _end(watcher)
    sheet, matches = _evaluate(stage, final, calibration)
    _write(stage, sheet, matches)
    say("")
    for row in sheet.lines():
        say(row)
    say(f"\n  pictures of the alarms: {out / 'alarms.png'}    figures: {out / 'summary.json'}    logs: {out / 'logs'}")
    return sheet


def _prepare(out: Path, mode: str, seed: int) -> Stage:
    """A fresh stage: what an earlier demo left is removed, what is not a demo's is not touched."""
    mark = out / "inspectd.toml"
    if out.exists() and any(out.iterdir()) and not mark.exists():
        raise Permanent(f"{out}: not empty and not from a demo; wanted a new or empty folder for --out")
    shutil.rmtree(out, ignore_errors=True)
    (out / "logs").mkdir(parents=True)
    stage = Stage(out, _free_port(), mode, seed)
    bundle = Path(str(files("engines.bundles.shipped"))) / f"simulator-{mode}.bundle"
    text = _SETTINGS.format(
        site=SITE,
        port=stage.port,
        camera=CAMERA,
        bundle=bundle,
        mode=mode,
        seed=seed,
        rate=FRAMES_PER_SECOND,
        good=GOOD_FRAMES,
        frames=CALIBRATION_FRAMES,
        rule_frames=RULE_FRAMES,
    )
    mark.write_text(text, encoding="utf-8")
    (out / "mosquitto.conf").write_text(_BROKER.format(port=stage.port), encoding="utf-8")
    return stage


def _mosquitto() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Permanent("mosquitto is not installed; wanted the broker for the demo: apt-get install mosquitto")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(
    processes: ExitStack, stage: Stage, name: str, command: list[str], on_line: Say | None = None
) -> subprocess.Popen[str]:
    """Start a process with its log in the folder; it is ended when the demo ends, however that is."""
    log = processes.enter_context((stage.out / "logs" / f"{name}.log").open("w", encoding="utf-8"))
    stdout = subprocess.PIPE if on_line else log
    process = subprocess.Popen(command, stdout=stdout, stderr=log, text=True)
    processes.callback(_end, process)
    if on_line is not None:
        threading.Thread(target=_pass_on, args=(process, on_line), daemon=True).start()
    return process


def _pass_on(process: subprocess.Popen[str], on_line: Say) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        on_line(line.rstrip("\n"))


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(port: int) -> None:
    with _patience(START_TIMEOUT_SECONDS, "Mosquitto did not start; see logs/mosquitto.log") as waiting:
        while waiting():
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
            except OSError:
                continue
            return


def _await_armed(stage: Stage, agent: subprocess.Popen[str]) -> dict[str, Any]:
    """The camera's state once it is armed."""
    with _patience(CALIBRATION_TIMEOUT_SECONDS, "the agent was not armed in time; see logs/agent.log") as waiting:
        while waiting():
            if agent.poll() is not None:
                raise Permanent(f"the agent ended with exit code {agent.returncode}: {_last_line(stage)}")
            try:
                state: dict[str, Any] = ask(stage.door, "status")["cameras"][CAMERA]
            except Temporary:
                continue
            if state["phase"] == "armed":
                return state
    raise AssertionError("unreachable")


def _last_line(stage: Stage) -> str:
    lines = (stage.out / "logs" / "agent.log").read_text(encoding="utf-8").splitlines()
    return lines[-1] if lines else "it said nothing"


@contextmanager
def _patience(timeout_seconds: float, complaint: str) -> Iterator[Callable[[], bool]]:
    """A condition for `while` that looks ten times a second and raises Permanent when the time is over."""
    end = time.monotonic() + timeout_seconds
    first = True

    def waiting() -> bool:
        nonlocal first
        if not first:
            time.sleep(0.1)
        first = False
        if time.monotonic() > end:
            raise Permanent(complaint)
        return True

    yield waiting


def _let_pass(agent: subprocess.Popen[str], seconds: float) -> None:
    try:
        agent.wait(seconds)
    except subprocess.TimeoutExpired:
        return
    raise Permanent(f"the agent ended early with exit code {agent.returncode}; see logs/agent.log")


def _evaluate(stage: Stage, final: dict[str, Any], calibration: dict[str, Any]) -> tuple[ScoreSheet, list[Match]]:
    line = SimulatedLine(stage.mode, seed=stage.seed, good_frames=GOOD_FRAMES)
    state = final["cameras"][CAMERA]
    first, last = int(calibration["last_frame"]) + 1, int(state["frames"]) + int(state["dropped"]) - 1
    matches = [found for found in match(line, _alarms(stage), RULE_FRAMES) if first <= found.alarm.frame]
    shown = bad_parts(line, first, last)
    alarmed = alarmed_parts(line, matches, RULE_FRAMES) & set(shown)
    sheet = ScoreSheet(
        mode=stage.mode,
        seed=stage.seed,
        frames=last - first + 1 - int(state["dropped"]),
        defects_shown=len(shown),
        defects_alarmed=len(alarmed),
        false_alarms=sum(found.kind is None for found in matches),
        frames_dropped=int(state["dropped"]),
        latency_ms={name: round(value, 2) for name, value in (final["delivery"]["latency_ms"] or {}).items()},
        missed=tuple(kind for part, kind in shown.items() if part not in alarmed),
        threshold=float(state["threshold"]),
        promise=str(state["promise"]),
    )
    return sheet, matches


def _alarms(stage: Stage) -> list[AlarmPayload]:
    """What the subscriber saved, in order."""
    documents = sorted(stage.alarms.glob("*/*/raised.json"))
    return sorted((parse(AlarmPayload, path.read_bytes()) for path in documents), key=lambda alarm: alarm.sequence)


def _write(stage: Stage, sheet: ScoreSheet, matches: list[Match]) -> None:
    (stage.out / "summary.json").write_text(json.dumps(sheet.document(), indent=2) + "\n", encoding="utf-8")
    heading = (
        f"inspectd demo, {stage.mode} mode: {sheet.defects_alarmed} of {sheet.defects_shown} defects alarmed, "
        f"{sheet.false_alarms} false alarms"
    )
    entries = [
        ContactSheetEntry(
            title=(found.kind or "FALSE ALARM").replace("_", " "),
            caption=f"score {found.alarm.score:.3g}, threshold {found.alarm.threshold:.3g}",
            frame=stage.alarms / CAMERA / found.alarm.id / "overlay.jpg",
            heatmap=stage.alarms / CAMERA / found.alarm.id / "heatmap.png",
        )
        for found in matches
    ]
    write_contact_sheet(stage.out / "alarms.png", heading, entries)
