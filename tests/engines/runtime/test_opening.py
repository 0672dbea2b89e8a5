"""`open_engine` hands out an engine only if it gives the reference's answers."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.bundles.bundle import Bundle, Reference, reference_archive, write_bundle
from engines.errors import EngineError
from engines.runtime.choice import Choice, remember
from engines.runtime.hardware import describe_processor
from engines.runtime.opening import open_engine
from engines.runtime.reference_check import relative_error


def test_auto_opens_onnx_runtime_on_a_cpu(tiny_bundle: Bundle) -> None:
    with open_engine(tiny_bundle) as engine:
        assert engine.name == "onnxruntime"


def test_unknown_engine_is_named(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="engine 'abacus' is unknown, wanted one of auto, onnxruntime, openvino"):
        open_engine(tiny_bundle, "abacus")


def test_threads_below_one_are_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="threads is 0, wanted at least 1"):
        open_engine(tiny_bundle, threads=0)


def with_reference(bundle: Bundle, path: Path, change) -> Bundle:
    """The same bundle, properly sealed, with other answers for its reference frames."""
    reference: Reference = change(bundle.reference())
    files = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    files["reference.npz"] = reference_archive(reference)
    return write_bundle(path, bundle.manifest, files)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "torch"])
@pytest.mark.parametrize("field", ["score", "heatmap"])
def test_engine_that_misses_the_reference_is_not_handed_out(
    tiny_bundle: Bundle, tmp_path: Path, name: str, field: str
) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")

    def off_by_a_hundredth(reference: Reference) -> Reference:
        return dataclasses.replace(reference, **{field: getattr(reference, field) * np.float32(1.01)})

    other = with_reference(tiny_bundle, tmp_path / "other.bundle", off_by_a_hundredth)
    with pytest.raises(EngineError, match=f"{name} engine: {field} of the reference frames is off by 0.0099, wanted"):
        open_engine(other, name)


def test_reference_within_the_tolerance_is_fine(near: Bundle) -> None:
    open_engine(near).close()


@pytest.fixture
def near(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle whose reference is off by half of what the manifest allows."""

    def off_by_little(reference: Reference) -> Reference:
        return dataclasses.replace(reference, score=reference.score * np.float32(1.0005))

    return with_reference(tiny_bundle, tmp_path / "near.bundle", off_by_little)


def between(bundle: Bundle, frame: int) -> float:
    """A threshold between the reference's score of a frame and what engines give."""
    return float(bundle.reference().score[frame]) / 1.00025


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_engine_that_flips_a_verdict_is_not_handed_out(near: Bundle, name: str) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    said = rf"{name} engine: reference frame 3 scores [\d.e-]+, wanted the side of the threshold [\d.e-]+ on which"
    for thresholds in ([between(near, 3)], [1e9, between(near, 3)]):
        with pytest.raises(EngineError, match=said):
            open_engine(near, name, thresholds=thresholds)
    open_engine(near, name, thresholds=[1e9, 0.0, between(near, 3) * 1.01]).close()


def test_auto_leaves_an_engine_that_flips_a_verdict_to_onnx_runtime(near: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    rates = {"onnxruntime": 50.0, "openvino": 80.0}
    remember(tmp_path, Choice("openvino", rates, near.sha256, describe_processor(), "2026-05-01T10:00:00Z"))
    with open_engine(near, directory=tmp_path) as engine:
        assert (engine.name, engine.refused) == ("openvino", ())
    with open_engine(near, directory=tmp_path, thresholds=[between(near, 0)]) as engine:
        assert engine.name == "onnxruntime"
        (refused,) = engine.refused
        assert refused.startswith("openvino engine: reference frame 0 scores ")


def test_onnx_runtime_is_held_to_the_tolerance_alone(near: Bundle) -> None:
    """Behind it there is no other, and a line that is not inspected helps nobody."""
    open_engine(near, "onnxruntime", thresholds=[between(near, 3)]).close()


def test_relative_error_of_something_that_is_not_finite_is_infinite() -> None:
    assert relative_error(np.float32([np.nan, 1]), np.float32([1, 1])) == float("inf")
    assert relative_error(np.float32([1]), np.float32([1, 1])) == float("inf")
    assert relative_error(np.float32([0, 0]), np.float32([0, 0])) == 0.0


def test_inference_imports_neither_torch_nor_matplotlib(tiny_bundle: Bundle) -> None:
    """The device has no torch, and no memory to waste on what it does not use."""
    code = (
        "import sys, numpy\n"
        "from engines.bundles.bundle import read_bundle\n"
        "from engines.runtime.opening import open_engine\n"
        "import engines.images.preprocessing\n"
        f"bundle = read_bundle({str(tiny_bundle.path)!r})\n"
        "with open_engine(bundle, threads=1) as engine:\n"
        "    engine.score(bundle.reference().frames)\n"
        "unwanted = {'torch', 'openvino', 'matplotlib', 'onnx', 'lightning_fabric', 'agent', 'calibration'}\n"
        "print(sorted(unwanted & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
