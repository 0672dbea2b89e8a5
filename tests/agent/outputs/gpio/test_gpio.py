"""Lights, reject gate and trigger over a recorded chip, and what happens where there is none."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gpiod", reason="digital lines need the extra gpio")
import gpiod

from agent.core.problems import Problems
from agent.core.records import Part, PartVerdict, Phase
from agent.core.roles import Role
from agent.doctor.check_result import Level
from agent.doctor.outputs import check_outputs
from agent.messages import CommandResponse, ModelPayload, RulePayload, StatePayload
from agent.outputs import Output, build_outputs
from agent.outputs.gpio import output as output_module
from agent.outputs.outbox import Outbox
from agent.outputs.settings import parse_section
from agent.settings import load_settings
from tests.support.agent_settings import settings_text
from tests.support.agents import GOOD_PARTS
from tests.support.broker import wait_until
from tests.support.gpio_chip import Chip

AT = datetime(2026, 3, 1, tzinfo=timezone.utc)
LIGHTS = {"green": 1, "yellow": "YELLOW", "red": 3}
GATE, ENCODER, BARRIER = 20, 21, 22

# A part 20 ms late at the gate is still that part. The machines that run these tests are busy: of several parts, one is
# enough.
TOLERANCE_SECONDS = 0.25
ATTEMPTS = range(5)

Start = Callable[..., Output]


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    made = Chip()
    monkeypatch.setattr(gpiod, "request_lines", made.request_lines)
    monkeypatch.setattr(output_module, "RETRY_SECONDS", 0.05)
    return made


class Asked:
    """Takes the commands of the output."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.error: str | None = None

    def __call__(
        self, name: str, camera: str | None, payload: bytes, *, by: str, role: Role = Role.ENGINEER
    ) -> CommandResponse:
        assert (name, camera, by) == ("inspect", "line1", "output tower")
        self.parts.append(payload.decode().partition('"part":"')[2].partition('"')[0])
        return CommandResponse(command=name, site="plant", at=AT, ok=self.error is None, error=self.error)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def start(outbox: Outbox, problems: Problems, asked: Asked) -> Iterator[Start]:
    running: list[Output] = []

    def started(**settings: Any) -> Output:
        section = parse_section({"kind": "gpio", **settings})
        (output,) = build_outputs({"tower": section}, site="plant", outbox=outbox, problems=problems)
        running.append(output)
        output.announce({"line1": "m"})
        output.serve_commands(asked)
        output.start()
        return output

    yield started
    for output in running:
        assert output.stop(5.0)


def state(phase: Phase = Phase.ARMED, **more: object) -> StatePayload:
    given = {"site": "plant", "camera": "line1", "at": AT, "phase": phase, "rule": RulePayload(k=1, n=1)}
    return StatePayload.model_validate(
        {**given, "model": ModelPayload(name="m", sha256="0" * 64), "engine": "e", **more}
    )


def part(name: str, verdict: PartVerdict, started: float, camera: str = "line1") -> Part:
    return Part(name, camera, verdict, None, 0.9, 0.5, "c", 1, 0, AT, started)


def shown(chip: Chip) -> tuple[bool | None, ...]:
    return tuple(chip.level(line) for line in LIGHTS.values())


def test_lights_follow_the_states(chip: Chip, start: Start) -> None:
    output = start(lights=LIGHTS)
    wait_until(lambda: shown(chip) == (False, True, False), what="yellow before the first state")
    for given, wanted in (
        (state(), (True, False, False)),
        (state(drift=True), (True, True, False)),
        (state(alarm="a"), (False, False, True)),
        (state(Phase.CAMERA_LOST, alarm="a"), (False, True, True)),
        (state(Phase.CALIBRATING), (False, True, False)),
    ):
        output.publish_state(given)
        wait_until(lambda wanted=wanted: shown(chip) == wanted, what=f"{wanted}; got {shown(chip)}")


def test_everything_is_off_after_the_end(chip: Chip, start: Start) -> None:
    output = start(lights=LIGHTS)
    wait_until(lambda: shown(chip) == (False, True, False), what="yellow")
    output.stop(5.0)
    assert shown(chip) == (False, False, False)
    assert chip.released


def test_the_gate_opens_when_the_part_is_there_and_closes_again(chip: Chip, start: Start) -> None:
    output = start(reject={"line": GATE, "delay_ms": 400, "pulse_ms": 100})
    wait_until(lambda: chip.level(GATE) is False, what="the lines")

    def is_in_time(attempt: int) -> bool:
        begun = time.monotonic()
        output.show_result(part(f"bad{attempt}", PartVerdict.NOK, begun))
        output.show_result(part(f"good{attempt}", PartVerdict.OK, begun))
        wait_until(lambda: len(chip.changes(GATE)) == 2 * attempt + 2, what="open and closed")
        (opened, first), (closed, second) = chip.changes(GATE)[-2:]
        assert (first, second) == (True, False)
        delay, pulse = opened - begun, closed - opened
        assert (delay >= 0.4, pulse >= 0.1) == (True, True)
        return delay < 0.4 + TOLERANCE_SECONDS and pulse < 0.1 + TOLERANCE_SECONDS

    assert any(map(is_in_time, ATTEMPTS))


def test_two_parts_at_once_keep_the_gate_open(chip: Chip, start: Start) -> None:
    output = start(reject={"line": GATE, "delay_ms": 300, "pulse_ms": 400})
    wait_until(lambda: chip.level(GATE) is False, what="the lines")
    begun = time.monotonic()
    for number in range(3):
        output.show_result(part(f"bad{number}", PartVerdict.NOK, begun + 0.1 * number))
    wait_until(lambda: len(chip.changes(GATE)) == 2, what="open and closed once")
    opened, closed = (at for at, _ in chip.changes(GATE))
    assert closed - opened >= 0.5


def test_a_part_that_has_passed_opens_nothing_and_is_reported(
    chip: Chip, start: Start, problems: Problems, caplog: pytest.LogCaptureFixture
) -> None:
    output = start(lights=LIGHTS, reject={"line": GATE, "delay_ms": 50})
    output.publish_state(state())
    wait_until(lambda: shown(chip) == (True, False, False), what="green")
    output.show_result(part("late", PartVerdict.NOK, time.monotonic() - 1.0))
    wait_until(lambda: shown(chip) == (False, False, True), what="red")
    assert any("part late of camera line1 could not be rejected" in text for text in problems.all())
    assert chip.changes(GATE) == []


def test_parts_of_other_cameras_and_other_verdicts_open_nothing(chip: Chip, start: Start) -> None:
    output = start(reject={"line": GATE, "on": ["nok"], "pulse_ms": 10})
    wait_until(lambda: chip.level(GATE) is False, what="the lines")
    output.show_result(part("a", PartVerdict.NOT_JUDGED, time.monotonic()))
    output.show_result(part("b", PartVerdict.NOK, time.monotonic(), camera="parts/p1"))
    output.show_result(part("c", PartVerdict.NOK, time.monotonic()))
    wait_until(lambda: len(chip.changes(GATE)) == 2, what="open and closed once, for c")


def test_by_encoder_the_gate_opens_after_a_distance_however_long_it_takes(chip: Chip, start: Start) -> None:
    output = start(reject={"line": GATE, "encoder": ENCODER, "distance_pulses": 5, "pulse_ms": 50})
    wait_until(lambda: chip.level(GATE) is False, what="the lines")
    begun = time.monotonic()
    for number in range(3):
        chip.edge(ENCODER, begun - 1.0 + 0.1 * number)
    # Two pulses have come since this part was seen; three more bring it to the gate.
    output.show_result(part("bad", PartVerdict.NOK, begun - 0.95))
    for number in range(2):
        chip.edge(ENCODER, begun + 0.1 * number)
    wait_until(lambda: len(output._pulses) == 5, what="five pulses")
    assert chip.changes(GATE) == []
    chip.edge(ENCODER)
    wait_until(lambda: len(chip.changes(GATE)) == 2, what="open and closed")


def test_a_light_barrier_announces_parts_and_the_gate_counts_from_it(chip: Chip, start: Start, asked: Asked) -> None:
    output = start(
        trigger={"line": BARRIER, "edge": "falling", "debounce_ms": 3}, reject={"line": GATE, "delay_ms": 600}
    )
    wait_until(lambda: chip.level(GATE) is False, what="the lines")
    assert chip.config[BARRIER].debounce_period == timedelta(milliseconds=3)
    assert chip.config[BARRIER].edge_detection is gpiod.line.Edge.FALLING

    def is_in_time(attempt: int) -> bool:
        at = chip.edge(BARRIER)
        wait_until(lambda: len(asked.parts) == attempt + 1, what="the command inspect")
        # The agent's own time of the trigger is a little later; the time of the edge counts.
        output.show_result(part(asked.parts[-1], PartVerdict.NOK, at + 0.2))
        wait_until(lambda: len(chip.changes(GATE)) == 2 * attempt + 2, what="open and closed")
        delay = chip.changes(GATE)[-2][0] - at
        assert delay >= 0.6
        return delay < 0.6 + TOLERANCE_SECONDS

    assert any(map(is_in_time, ATTEMPTS))


def test_a_rejected_trigger_is_logged(chip: Chip, start: Start, asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    asked.error = "not armed"
    start(trigger={"line": BARRIER})
    wait_until(lambda: bool(chip.config), what="the lines")
    chip.edge(BARRIER)
    wait_until(lambda: "trigger of camera line1 rejected: not armed" in caplog.text, what="the log")


def test_a_dry_run_switches_nothing_and_logs_what_it_would(
    chip: Chip, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    output = start(lights=LIGHTS, reject={"line": GATE, "delay_ms": 50}, trigger={"line": BARRIER}, dry_run=True)
    output.publish_state(state())
    wait_until(lambda: "dry run: green on" in caplog.text, what="green in the log")
    output.show_result(part("bad", PartVerdict.NOK, time.monotonic()))
    wait_until(lambda: "part bad: would be rejected" in caplog.text, what="the gate in the log")
    wait_until(lambda: "dry run: gate on" in caplog.text, what="the gate opens")
    assert list(chip.config) == [BARRIER]
    assert chip.levels == []


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (PermissionError(errno.EACCES, "x"), "no rights; see the drop-in gpio.conf"),
        (OSError(errno.EBUSY, "busy"), "another program uses one of these lines"),
        (ValueError("name"), "has not all of these lines: red 3"),
    ],
)
def test_lines_that_cannot_be_used_are_reported_until_they_can(
    chip: Chip, start: Start, problems: Problems, error: Exception, wanted: str
) -> None:
    chip.error = error
    output = start(lights={"red": 3})
    wait_until(lambda: any(wanted in text for text in problems.all()), what=f"{wanted}; got {problems.all()}")
    assert not output.report().connected
    chip.error = None
    wait_until(lambda: output.report().connected and problems.all() == [], what="the lines")


def test_a_chip_that_does_not_exist_is_reported(start: Start, problems: Problems) -> None:
    """The real library, on a machine without such a chip."""
    start(chip="/dev/gpiochip99", lights={"red": 1})
    wait_until(lambda: any("/dev/gpiochip99 does not exist" in text for text in problems.all()), what="the problem")


def test_a_chip_that_hangs_delays_nobody(chip: Chip, start: Start) -> None:
    """States and results come from the threads that inspect."""
    chip.hold = threading.Event()
    output = start(lights=LIGHTS, reject={"line": GATE, "delay_ms": 50})
    wait_until(lambda: bool(chip.config), what="the lines")
    begun = time.monotonic()
    for number in range(2000):
        output.publish_state(state())
        output.show_result(part(f"p{number}", PartVerdict.NOK, begun))
    assert time.monotonic() - begun < 5.0
    chip.hold.set()


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, "got no line"),
        ({"lights": {"red": 1, "green": 1}}, "got line 1 twice"),
        ({"lights": {"red": 1}, "active_low": [2]}, "active_low: got 2"),
        ({"reject": {"line": 1, "encoder": 2}}, "distance_pulses and encoder together"),
        ({"reject": {"line": 1, "delay_ms": 5, "encoder": 2, "distance_pulses": 3}}, "wanted one of them"),
        ({"reject": {"line": -1}}, "line"),
        ({"chip": "gpiochip0", "lights": {"red": 1}}, "chip"),
        ({"trigger": {"line": 1, "edge": "both"}}, "edge"),
    ],
)
def test_settings_that_cannot_be_are_rejected(settings: dict[str, object], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        parse_section({"kind": "gpio", **settings})


def test_doctor_names_a_chip_that_does_not_exist(tmp_path: Path) -> None:
    config = tmp_path / "inspectd.toml"
    section = '[outputs.tower]\nkind = "gpio"\nchip = "/dev/gpiochip99"\nlights = { red = 1 }'
    config.write_text(settings_text(tmp_path / "none.bundle", GOOD_PARTS, sections=section))
    (result,) = check_outputs(load_settings(config))
    assert (result.level, result.text) == (Level.PROBLEM, "/dev/gpiochip99 does not exist")


def test_an_unknown_camera_is_rejected(tmp_path: Path) -> None:
    config = tmp_path / "inspectd.toml"
    section = '[outputs.tower]\nkind = "gpio"\n[outputs.tower.reject]\nline = 1\ncamera = "line9"'
    config.write_text(settings_text(tmp_path / "none.bundle", GOOD_PARTS, sections=section))
    with pytest.raises(Exception, match=r"reject\.camera: unknown camera line9; wanted one of line1"):
        load_settings(config)
