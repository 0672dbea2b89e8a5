"""`inspectd bench`: the frames that it shows, and its text for people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.messages.status import LatencyPayload
from agent.tools.bench import (
    ALIGNED_IMAGES,
    DISTINCT_FRAMES,
    BenchResult,
    _alignment_ms,
    images_to_align,
    noise_frames,
)
from engines.bundles.bundle import Bundle
from engines.images import find_part
from tests.support.loose_parts import HEIGHT, WIDTH, aligned_copy, taught


def test_noise_frames_are_all_different_and_of_the_models_geometry(tiny_bundle: Bundle) -> None:
    frames = noise_frames(tiny_bundle)
    reference = tiny_bundle.reference().frames
    assert {(frame.shape, frame.dtype) for frame in frames} == {(reference.shape[1:], reference.dtype)}
    assert len({frame.tobytes() for frame in frames}) == DISTINCT_FRAMES


def test_noise_frames_are_close_to_the_reference(tiny_bundle: Bundle) -> None:
    """Noise of 0.5 % of the range: the model scores frames of the kind that it was trained on."""
    first = noise_frames(tiny_bundle)[0].astype(np.float64)
    difference = first - tiny_bundle.reference().frames[0]
    assert 0.5 < difference.std() < 1.5


@pytest.mark.parametrize("depth", [8, 16])
def test_search_for_a_part_is_timed_on_images_that_show_one(tiny_bundle: Bundle, tmp_path: Path, depth: int) -> None:
    alignment = taught(tmp_path / "taught.png").for_size(HEIGHT, WIDTH)
    bundle = aligned_copy(tiny_bundle, tmp_path, alignment)
    deep = replace(bundle.geometry, bit_depth=depth)
    bundle = replace(bundle, manifest=bundle.manifest.model_copy(update={"geometry": deep}))
    poses = [find_part(image, alignment) for image in images_to_align(bundle, alignment)]
    assert len(poses) == ALIGNED_IMAGES
    assert (poses[0].right, poses[-1].right) == (pytest.approx(-8.0, abs=0.6), pytest.approx(8.0, abs=0.6))
    found = _alignment_ms(bundle)
    assert found is not None
    assert found.p50 > 0.0
    assert _alignment_ms(tiny_bundle) is None


def test_result_is_a_line_each_for_engine_and_loop() -> None:
    result = BenchResult(
        bundle="parts",
        engine="onnxruntime",
        input="256×256×1, 8 bit",
        engine_frames_per_second=160.0,
        loop_frames_per_second=150.0,
        loop_over_engine=0.9375,
        engine_ms=LatencyPayload(p50=6.0, p95=6.5, p99=7.0),
        capture_to_verdict_ms=LatencyPayload(p50=20.0, p95=21.0, p99=22.0),
    )
    assert str(result).splitlines() == [
        "parts on onnxruntime, input 256×256×1, 8 bit",
        "engine alone     160.0 frames/s   p50 6.00  p95 6.50  p99 7.00 ms a call",
        "whole loop       150.0 frames/s   p50 20.00  p95 21.00  p99 22.00 ms capture to verdict",
        "loop / engine    0.938",
    ]
    assert result.document()["engine_ms"] == {"p50": 6.0, "p95": 6.5, "p99": 7.0}
    aligned = replace(result, alignment_ms=LatencyPayload(p50=2.0, p95=2.5, p99=3.0))
    last = "alignment        500.0 frames/s   p50 2.00  p95 2.50  p99 3.00 ms a part, beside the engine"
    assert str(aligned).splitlines()[-1] == last
    assert aligned.document()["alignment_ms"]["p95"] == 2.5
    kept, late = replace(result, expected_ms=5.8, budget_ms=20.0), replace(result, expected_ms=5.8, budget_ms=6.2)
    assert str(kept).splitlines()[-1] == "frame budget      20.0 ms kept (p95); in training it was 5.8 ms"
    assert str(late).splitlines()[-1] == "frame budget       6.2 ms not kept (p95); in training it was 5.8 ms"
