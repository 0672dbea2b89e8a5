"""Compares the published GANomaly with the default networks, exported and run in the same way."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from agent.tools.bench import noise_frames
from benchmarks.engines.measure import ROUNDS
from engines.bundles import MODEL, Bundle
from engines.export.to_onnx import export_onnx
from engines.recipes.recipe import find_recipe
from engines.runtime import open_session


def published_line(bundle: Bundle, seconds: float) -> str:
    """How much faster the default is than the recipe `reference` with the same input, single frames, all cores."""
    geometry, recipe = bundle.geometry, find_recipe("reference")
    scorer = recipe.scorer(recipe.networks(geometry), bundle.manifest.normalisation).eval()
    sessions = [open_session(bundle.read(MODEL)), open_session(export_onnx(scorer, geometry))]
    frames = np.stack(noise_frames(bundle))
    rates = np.array([[_rate(each, frames, seconds / ROUNDS) for each in sessions] for _ in range(ROUNDS)])
    (ours, published), ratio = np.median(rates, axis=0), np.median(rates[:, 0] / rates[:, 1])
    return (
        "The published GANomaly (recipe `reference`) with the same input, run by ONNX Runtime in turns with the "
        f"default recipe: {published:.1f} frames/s; the default {ours:.1f}, {ratio:.1f} times as many."
    )


def _rate(session: Any, frames: Any, seconds: float) -> float:
    """Frames per second, one per call, after a warm-up call."""
    session.run(None, {"frames": frames[:1]})
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        at = count % len(frames)
        session.run(None, {"frames": frames[at : at + 1]})
        count += 1
    return count / (time.perf_counter() - start)
