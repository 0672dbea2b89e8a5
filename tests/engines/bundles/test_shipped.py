"""The bundles that ship: small, verified, and their graphs reproduce the reference."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from engines.bundles.bundle import MODEL_FP16, Bundle, read_bundle, write_lean_copy
from engines.runtime.onnxruntime import open_session
from engines.runtime.opening import open_engine
from engines.runtime.reference_check import relative_error

MAX_BYTES = 5_000_000


@pytest.fixture(params=["camera", "xray"])
def shipped(request: pytest.FixtureRequest) -> Bundle:
    return read_bundle(Path(str(files("engines.bundles.shipped"))) / f"simulator-{request.param}.bundle")


def test_shipped_bundle_is_small(shipped: Bundle) -> None:
    assert sum(file.stat().st_size for file in shipped.path.iterdir()) < MAX_BYTES


def test_shipped_graph_agrees_with_its_networks(shipped: Bundle) -> None:
    """FP32 within 1e-4, relative, on every reference frame."""
    reference = shipped.reference()
    with open_engine(shipped, "onnxruntime", threads=1) as engine:
        assert relative_error(engine.score(reference.frames).score, reference.score) < 1e-4


def test_shipped_fp16_graph_agrees_with_its_networks(shipped: Bundle) -> None:
    """FP16-typed within 1e-2, relative, on every reference frame."""
    reference = shipped.reference()
    half = open_session((shipped.path / MODEL_FP16).read_bytes())
    score = half.run(("score",), {"frames": reference.frames})[0]
    assert relative_error(np.asarray(score, np.float32), reference.score) < 1e-2


def test_lean_copy_scores_the_same_without_weights_and_report(tiny_bundle: Bundle, tmp_path: Path) -> None:
    lean = write_lean_copy(tiny_bundle, tmp_path / "lean.bundle")
    assert set(lean.manifest.files) == {"model.onnx", "model-fp16.onnx", "reference.npz"}
    frames = tiny_bundle.reference().frames
    assert len(lean.reference().frames) == 2
    with open_engine(lean, threads=1) as small, open_engine(tiny_bundle, threads=1) as whole:
        np.testing.assert_array_equal(small.score(frames).score, whole.score(frames).score)
