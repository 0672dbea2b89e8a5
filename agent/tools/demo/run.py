"""`inspectd demo`: all real parts on one machine: a broker, the agent on the simulator, a subscriber."""

from __future__ import annotations

import json
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

from agent.commands import ask
from agent.messages import AlarmPayload, ResultPayload, parse
from agent.sources.simulator import SimulatedLine
from agent.tools.demo.contact_sheet import ContactSheetEntry, write_contact_sheet
from agent.tools.demo.processes import DemoProcesses
from agent.tools.demo.score_sheet import (
    MatchedAlarm,
    ScoreSheet,
    alarmed_parts,
    count_parts,
    match_alarms,
    parts_in_view,
)
from agent.tools.demo.stage import (
    CALIBRATION_PARTS,
    CAMERA,
    FRAMES_PER_PART,
    FRAMES_PER_SECOND,
    GOOD_FRAMES,
    DemoStage,
    prepare_stage,
)
from agent.tools.watcher import OnLine

# The account of the page.
PERSON = "demo"


def run_demo(*, mode: str, seconds: float, seed: int, out: Path, on_line: OnLine, page: bool = False) -> ScoreSheet:
    """Run the demo; write `summary.json` and `alarms.png` to `out`.

    `on_line` takes the alarms as they arrive, and the score sheet; `page`: with the page for the browser. Raises
    Permanent if a part is missing or fails.
    """
    stage = prepare_stage(out, mode, seed, page=page)
    armed, final, calibration = _play(stage, seconds, on_line)
    sheet, matches = _evaluate(stage, armed, final, calibration)
    (out / "summary.json").write_text(json.dumps(sheet.document(), indent=2) + "\n", encoding="utf-8")
    _write_contact_sheet(stage, sheet, matches)
    on_line("")
    for row in sheet.lines():
        on_line(row)
    on_line(f"\n  images of the alarms: {out / 'alarms.png'}    figures: {out / 'summary.json'}    logs: {stage.logs}")
    return sheet


def _play(stage: DemoStage, seconds: float, on_line: OnLine) -> tuple[dict[str, Any], ...]:
    """Calibrate, then inspect for this time. The camera's state when armed, the last status, and the calibration."""
    # SIGTERM then ends the other processes too: SystemExit unwinds the stack.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with DemoProcesses(stage, on_line) as processes:
        on_line(f"broker: Mosquitto on {stage.url}")
        processes.start_broker()
        processes.start_subscriber()
        processes.start_agent()
        on_line(f"agent: simulator in {stage.mode} mode, seed {stage.seed}, {FRAMES_PER_SECOND:g} frames/s")
        if stage.page_port is not None:
            _open_page(processes, stage.page_port, on_line)
        on_line(f"calibrating on {CALIBRATION_PARTS} good parts, of {FRAMES_PER_PART} frames each")
        state = processes.wait_until_armed()
        on_line(f"armed: threshold {state['threshold']:.4g}. {state['promise']}")
        on_line(f"inspecting for {seconds:g} s")
        processes.let_run(seconds)
        final, calibration = (ask(stage.control_socket, command) for command in ("status", "calibration/show"))
        processes.stop_agent()
    return state, final, calibration


def _open_page(processes: DemoProcesses, port: int, on_line: OnLine) -> None:
    """Start the page, with an account that lives as long as the demo."""
    password = secrets.token_hex(4)
    processes.start_page(PERSON, password)
    on_line(f"page: http://127.0.0.1:{port}/  name {PERSON}, password {password}")


def _evaluate(
    stage: DemoStage, armed: dict[str, Any], final: dict[str, Any], calibration: dict[str, Any]
) -> tuple[ScoreSheet, list[MatchedAlarm]]:
    """Compare the alarms with the simulator's truth, for the frames after the calibration.

    Frames are counted from the moment at which the camera was armed: on a busy machine, frames are dropped while it
    calibrates, too.
    """
    line = SimulatedLine(stage.mode, seed=stage.seed, good_frames=GOOD_FRAMES, frames_per_part=FRAMES_PER_PART)
    state = final["cameras"][CAMERA]
    first, last = int(calibration["last_frame"]) + 1, int(state["frames"]) + int(state["dropped"]) - 1
    matches = [found for found in match_alarms(line, _alarms(stage)) if first <= found.alarm.frame]
    shown = parts_in_view(line, first, last)
    bad = {part for part, kind in shown.items() if kind is not None}
    sheet = ScoreSheet(
        mode=stage.mode,
        seed=stage.seed,
        frames=int(state["frames"]) - int(armed["frames"]),
        parts=count_parts(line, shown, _results(stage)),
        defects_shown=len(bad),
        defects_alarmed=len(alarmed_parts(line, matches) & bad),
        false_alarms=sum(found.kind is None for found in matches),
        frames_dropped=int(state["dropped"]) - int(armed["dropped"]),
        latency_ms={name: round(value, 2) for name, value in (final["delivery"]["latency_ms"] or {}).items()},
        threshold=float(state["threshold"]),
        promise=str(state["promise"]),
    )
    return sheet, matches


def _alarms(stage: DemoStage) -> list[AlarmPayload]:
    """The raised alarms that the subscriber saved, in order."""
    documents = stage.alarms.glob("*/*/raised.json")
    return sorted((parse(AlarmPayload, path.read_bytes()) for path in documents), key=lambda alarm: alarm.sequence)


def _results(stage: DemoStage) -> list[ResultPayload]:
    """The results that the subscriber saved, in order."""
    lines = stage.results.read_bytes().splitlines() if stage.results.exists() else []
    return [parse(ResultPayload, line) for line in lines]


def _write_contact_sheet(stage: DemoStage, sheet: ScoreSheet, matches: list[MatchedAlarm]) -> None:
    heading = (
        f"inspectd demo, {stage.mode} mode: {sheet.defects_alarmed} of {sheet.defects_shown} bad parts alarmed, "
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
