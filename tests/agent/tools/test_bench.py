"""The loop of `inspectd bench`: it runs in turns, and says so where it cannot run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.tools import bench
from engines.bundles.bundle import Bundle
from engines.runtime.engine import Engine
from engines.runtime.opening import open_engine


@pytest.fixture
def engine(tiny_bundle: Bundle, tmp_path: Path) -> Iterator[Engine]:
    with open_engine(tiny_bundle, "onnxruntime", directory=tmp_path) as opened:
        yield opened


def test_the_loop_stands_still_between_its_turns(engine: Engine, tmp_path: Path) -> None:
    with bench._Loop(engine, bench.noise_frames(engine.bundle), tmp_path) as loop:
        assert loop.rate(0.1) > 0.0
        judged = len(loop._done)
        time.sleep(0.2)
        assert len(loop._done) == judged
        assert loop.rate(0.1) > 0.0
        assert len(loop._done) >= judged + bench.WARM_UP_FRAMES + bench.LEAST_FRAMES
        assert loop.durations.percentiles() is not None


def test_a_window_that_is_refused_again_and_again_ends_it(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "MOST_FRAMES_TO_ARM", 200)
    still = bench.noise_frames(engine.bundle)[:1]
    loop = bench._Loop(engine, still, tmp_path)
    with pytest.raises(Permanent, match="does not arm on the bundle's reference frames: camera frozen"):
        loop.__enter__()
    assert not loop._inspection.is_alive()


def test_a_fast_machine_arms_with_many_frames_in_its_first_turn(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "MOST_FRAMES_TO_ARM", 50)
    with bench._Loop(engine, bench.noise_frames(engine.bundle), tmp_path) as loop:
        assert loop.rate(0.1) > 0.0
