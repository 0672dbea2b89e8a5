"""`inspectd bench`: the frames that it shows, and its text for people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agent.messages.status import LatencyPayload
from agent.tools.bench import DISTINCT_FRAMES, BenchResult, noise_frames
from engines.bundles.bundle import Bundle


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
    kept, late = replace(result, expected_ms=5.8, budget_ms=20.0), replace(result, expected_ms=5.8, budget_ms=6.2)
    assert str(kept).splitlines()[-1] == "frame budget      20.0 ms kept (p95); in training it was 5.8 ms"
    assert str(late).splitlines()[-1] == "frame budget       6.2 ms not kept (p95); in training it was 5.8 ms"
