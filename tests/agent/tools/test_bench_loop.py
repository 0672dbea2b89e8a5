"""The loop of `inspectd bench`: it runs in turns, and reports that it cannot run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.tools.bench import noise_frames
from agent.tools.bench_loop import MIN_FRAMES, WARM_UP_FRAMES, BenchLoop
from engines.bundles.bundle import Bundle
from engines.runtime.engine import Engine
from engines.runtime.opening import open_engine


@pytest.fixture
def engine(tiny_bundle: Bundle, tmp_path: Path) -> Iterator[Engine]:
    with open_engine(tiny_bundle, "onnxruntime", directory=tmp_path) as opened:
        yield opened


def test_loop_stops_between_its_turns(engine: Engine, tmp_path: Path) -> None:
    with BenchLoop(engine, noise_frames(engine.bundle), tmp_path) as loop:
        for _ in range(2):
            before = loop.judged
            assert loop.rate(0.1) > 0.0
            assert not loop.source.go.is_set()
            assert loop.source.reads == loop.judged, "no frame is on its way"
            assert loop.judged >= before + WARM_UP_FRAMES + MIN_FRAMES
        assert loop.durations.percentiles() is not None


def test_loop_that_rejects_every_window_fails_and_leaves_no_thread(engine: Engine, tmp_path: Path) -> None:
    one_frame = noise_frames(engine.bundle)[:1]
    loop = BenchLoop(engine, one_frame, tmp_path, max_frames_to_arm=200)
    with pytest.raises(Permanent, match="does not arm on the bundle's reference frames: camera frozen"):
        loop.__enter__()
    assert not loop.is_running


def test_loop_that_exceeds_the_limit_in_its_first_turn_is_armed(engine: Engine, tmp_path: Path) -> None:
    with BenchLoop(engine, noise_frames(engine.bundle), tmp_path, max_frames_to_arm=50) as loop:
        assert loop.rate(0.1) > 0.0


def test_loop_asks_nobody_to_look_at_its_images(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with BenchLoop(engine, noise_frames(engine.bundle), tmp_path) as loop:
        assert loop.rate(0.1) > 0.0
    assert "calibration review" not in caplog.text
