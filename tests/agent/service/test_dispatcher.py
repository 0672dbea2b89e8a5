"""What follows from each judged frame: counts, score log, alarms, telemetry. Engine, outbox and broker are real."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from agent.alarms import Evidence
from agent.core.problems import Problems
from agent.core.records import Frame
from agent.inspection import CameraLine, Preparation
from agent.inspection.frame_queue import PreparedFrame
from agent.monitoring import StatePublisher
from agent.outputs import AlarmRecorder, build_outputs
from agent.outputs.outbox import Outbox
from agent.service.cameras import Assembly
from agent.service.dispatcher import Dispatcher
from agent.service.watchdog import Watchdog
from agent.settings import load_settings
from calibration import glance
from engines.bundles.bundle import Bundle
from tests.support.agents import configure
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.parts import draw_part

# Twenty frames of settling, then the window.
CALIBRATED_AFTER = 20 + 60


@dataclass
class Chain:
    """A camera from its queue to the broker. The test takes the place of the source."""

    line: CameraLine
    prepare: Preparation
    outbox: Outbox
    problems: Problems
    rng: np.random.Generator
    index: int = 0

    def inspect(self, count: int = 1, *, good: bool = True) -> None:
        """Have parts inspected, one after the other, until their outcomes are dispatched."""
        for _ in range(count):
            image = draw_part(self.rng)[:, :, np.newaxis]
            if not good:
                image[8:20, 8:20, 0] = 255 * ((np.indices((12, 12)).sum(0) // 2) % 2)
            inspected, pixels = self.prepare(image)[:2]
            frame = Frame("line1", self.index, datetime.now(timezone.utc), time.monotonic(), inspected)
            self.line.frames.put(PreparedFrame(frame, pixels, glance(pixels)))
            self.index += 1
        wait_until(lambda: not self.line.frames.busy)
        # Runs after the frame that was taken last.
        self.line.call(lambda: None)


@pytest.fixture
def chain(tmp_path: Path, tiny_bundle: Bundle, good_parts: Path, broker: Mosquitto) -> Iterator[Chain]:
    source = f'kind = "folder"\npath = "{good_parts}"'
    config = configure(tmp_path, tiny_bundle, source, broker.url, mqtt="scores_per_second = 20")
    settings, problems, lines = load_settings(config), Problems(), {}
    outbox = Outbox(tmp_path / "outbox.sqlite")
    outputs = build_outputs(settings.output_sections, site="plant", outbox=outbox, problems=problems)
    recorder = AlarmRecorder("plant", outputs, outbox, Evidence(tmp_path / "evidence"))
    states = StatePublisher("plant", lines, outputs)
    dispatcher = Dispatcher("plant", lines, outputs, recorder, states, problems)
    assembly = Assembly(settings, active_alarms={}, watchdog=Watchdog(), on_outcome=dispatcher.dispatch)
    lines.update(assembly.build())
    line = lines["line1"]
    threads = [*outputs, recorder, line.inspection]
    for thread in threads:
        thread.start()
    yield Chain(line, Preparation(line.bundle.geometry), outbox, problems, np.random.default_rng(3))
    line.frames.close()
    line.inspection.join(60)
    recorder.finish(20)
    for output in outputs:
        output.stop(5.0)
    outbox.close()
    line.engine.close()


def test_every_frame_is_counted_and_its_score_logged(chain: Chain) -> None:
    chain.inspect(100)
    chain.line.score_log.flush()
    assert chain.line.counters.frames == 100
    logged = chain.line.score_log.read()
    assert logged["frame"].tolist() == [*range(100)]
    assert logged["score"].min() > 0


def test_bad_part_raises_an_alarm_with_its_calibration_at_the_broker(chain: Chain, broker: Mosquitto) -> None:
    subscriber = Subscriber(broker, "inspectd/plant/line1/alarm/#")
    chain.inspect(CALIBRATED_AFTER)
    chain.inspect(good=False)
    wait_until(lambda: subscriber.on("/alarm"), what="the alarm")
    document = json.loads(subscriber.on("/alarm")[-1].payload)
    calibration = chain.line.station.calibration
    assert calibration is not None
    assert (document["event"], document["frame"], document["rule"]) == ("raised", CALIBRATED_AFTER, {"k": 1, "n": 1})
    assert (document["calibration"], document["threshold"]) == (calibration.id, calibration.threshold.value)
    assert document["model"] == {"name": chain.line.bundle.manifest.name, "sha256": chain.line.bundle.sha256}
    assert document["engine"] == chain.line.engine.name
    wait_until(lambda: len(subscriber.messages) == 4, what="heatmap, overlay and frame")


def test_score_log_that_cannot_be_written_costs_no_alarm(chain: Chain, broker: Mosquitto) -> None:
    """As on a full disk. The problem is reported until scores are logged again."""
    subscriber = Subscriber(broker, "inspectd/plant/line1/alarm")
    chain.inspect(CALIBRATED_AFTER)
    directory = chain.line.score_log.directory
    chain.line.score_log.close()
    shutil.rmtree(directory)
    directory.write_text("not a directory")
    # The log writes blocks of 128 frames.
    for _ in range(200):
        chain.inspect()
        if chain.problems.all():
            break
    (problem,) = chain.problems.all()
    assert problem.startswith(f"{directory}: ")
    assert problem.endswith("scores are not logged")
    before = len(subscriber.messages)
    chain.inspect(good=False)
    wait_until(lambda: len(subscriber.messages) > before, what="the alarm")
    directory.unlink()
    directory.mkdir()
    chain.inspect()
    assert chain.problems.all() == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_recalibration_is_previewed_and_takes_effect_unless_dry(chain: Chain, dry_run: bool) -> None:
    line = chain.line
    chain.inspect(CALIBRATED_AFTER)
    first = line.station.calibration
    line.recalibrate(replace(line.station.plan, dry_run=dry_run, by="anna"))
    assert line.preview is None
    chain.inspect(60)
    wait_until(lambda: line.preview is not None, what="a preview")
    preview = line.preview
    assert preview is not None
    assert preview["dry_run"] is dry_run
    if dry_run:
        assert line.station.calibration is first
    else:
        wait_until(lambda: line.station.calibration is not first, what="the new calibration in force")
        assert line.station.calibration is not None
        assert line.station.calibration.id == preview["calibration"]


def test_calibration_that_is_not_certified_is_logged_as_a_warning_in_the_unit_of_the_budget(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    """It arms all the same; the technician reads what the rate may be at worst."""
    chain.inspect(CALIBRATED_AFTER)
    calibration = chain.line.station.calibration
    assert calibration is not None
    assert not calibration.threshold.certified
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert f"camera line1: calibrated, not certified: {calibration.promise}" in warnings
    assert "cannot promise that. Likely: 1 per 100 frames; at worst " in calibration.promise


def test_telemetry_has_the_threshold_once_there_is_one(chain: Chain, broker: Mosquitto) -> None:
    subscriber = Subscriber(broker, "inspectd/plant/line1/score")

    def published(condition: Callable[[float | None], bool]) -> bool:
        chain.inspect()
        return any(condition(json.loads(message.payload)["threshold"]) for message in subscriber.messages)

    wait_until(lambda: published(lambda threshold: threshold is None), what="a score without a threshold")
    chain.inspect(CALIBRATED_AFTER)
    wait_until(lambda: published(lambda threshold: threshold is not None), what="a score with a threshold")
