"""TensorRT on a real GPU: `make test-gpu`, which also runs the contract of every engine in tests/contracts."""

from __future__ import annotations

import gc
import logging
import shutil
import threading
import warnings
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from agent.tools.engine_check import check_engine, compare_answers
from engines.bundles.bundle import Bundle, read_bundle
from engines.errors import EngineError
from engines.images.preprocessing import fit
from engines.runtime.engine import EngineOptions
from engines.runtime.hardware import usable_engines
from engines.runtime.opening import open_engine
from engines.runtime.reference_check import reference_errors
from engines.runtime.tensorrt.cuda import open_gpu
from engines.runtime.tensorrt.engine import TensorRtEngine
from engines.runtime.tensorrt.runtime import Runtime

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(600),
    pytest.mark.skipif("tensorrt" not in usable_engines(), reason="no GPU, or TensorRT and PyCUDA are not installed"),
]

# Builds take most of the time, and all of this must fit in ten minutes: so most tests use one of the two bundles.

# An engine with its buffers takes more; the driver's own memory varies by a page or two.
LEAK_BYTES = 4 * 1024**2


@pytest.fixture(scope="module", params=["camera", "xray"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """8 and 16 bits, 256×256."""
    return read_bundle(Path(str(files("engines.bundles.shipped"))) / f"simulator-{request.param}.bundle")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory, so that each plan is built once for all tests."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def engine(bundle: Bundle, directory: Path) -> Iterator[TensorRtEngine]:
    with open_engine(bundle, "tensorrt", directory=directory) as opened:
        assert isinstance(opened, TensorRtEngine)
        yield opened


def test_reference_is_reproduced_well_within_the_tolerance(engine: TensorRtEngine) -> None:
    assert max(reference_errors(engine)) <= engine.bundle.manifest.tolerance.fp16 / 2


def test_batches_larger_than_the_plan_are_scored_in_parts(engine: TensorRtEngine) -> None:
    frame = engine.bundle.reference().frames[:1]
    scores = engine.score(np.repeat(frame, 19, axis=0))
    np.testing.assert_allclose(scores.score, engine.score(frame).score[0], rtol=2e-3)
    assert scores.heatmap.shape == (19, *engine.bundle.heatmap_shape)


def test_scores_agree_with_onnx_runtime_image_by_image(bundle: Bundle, directory: Path) -> None:
    result = compare_answers(bundle, ("onnxruntime", "tensorrt"), directory, progress=lambda fraction, message: None)
    assert max(pair.score_difference for pair in result.pairs) < bundle.manifest.tolerance.fp16


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_build_reports_its_progress(bundle: Bundle, tmp_path: Path) -> None:
    fractions: list[float] = []
    checked = check_engine(bundle, "tensorrt", tmp_path, progress=lambda fraction, message: fractions.append(fraction))
    assert checked.score_error <= checked.tolerance
    assert len(fractions) > 10
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_build_that_is_interrupted_stops(bundle: Bundle, tmp_path: Path) -> None:
    def interrupt(fraction: float, message: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_engine(bundle, "tensorrt", directory=tmp_path, progress=interrupt)
    assert not list(tmp_path.rglob("*.plan"))


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_plan_is_kept_and_a_broken_one_is_built_again(
    bundle: Bundle, directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_engine(bundle, "tensorrt", directory=directory).close()
    shutil.copytree(directory, tmp_path / "state")
    caplog.set_level(logging.INFO)
    open_engine(bundle, "tensorrt", directory=tmp_path / "state").close()
    assert "building" not in caplog.text
    for plan in (tmp_path / "state").rglob("*.plan"):
        plan.write_bytes(plan.read_bytes()[:-100])
    open_engine(bundle, "tensorrt", directory=tmp_path / "state").close()
    assert "is set aside" in caplog.text
    assert "built in" in caplog.text


@pytest.mark.parametrize("plan", [b"", b"garbage" * 1000], ids=["empty", "garbage"])
def test_bytes_that_are_no_plan_are_rejected_in_one_line(bundle: Bundle, plan: bytes) -> None:
    with open_gpu().current(), pytest.raises(EngineError, match="the plan is rejected"):
        Runtime().deserialize(plan, bundle)


def test_plan_of_another_bundle_is_rejected_in_one_line(tiny_bundle: Bundle, bundle: Bundle, directory: Path) -> None:
    open_engine(bundle, "tensorrt", directory=directory).close()
    plan = next((directory / "engines").glob(f"{bundle.sha256[:12]}-*.plan")).read_bytes()
    with open_gpu().current(), pytest.raises(EngineError, match="of the plan is"):
        Runtime().deserialize(plan, tiny_bundle)


def test_scoring_allocates_no_memory_of_the_device(engine: TensorRtEngine) -> None:
    frames = np.repeat(engine.bundle.reference().frames[:1], 8, axis=0)
    engine.score(frames)
    before = open_gpu().free_bytes()
    for count in range(1, 9):
        for _ in range(50):
            engine.score(frames[:count])
    # After 400 calls. Other programs use the device's memory, too.
    assert before - open_gpu().free_bytes() <= LEAK_BYTES


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_opening_and_closing_leaks_no_memory(bundle: Bundle, directory: Path) -> None:
    def once() -> None:
        with TensorRtEngine(bundle, EngineOptions(directory=directory)) as opened:
            opened.score(bundle.reference().frames[:1])

    for _ in range(5):
        once()
    device, host = open_gpu().free_bytes(), resident_bytes()
    for _ in range(200):
        once()
    assert device - open_gpu().free_bytes() <= LEAK_BYTES
    # The pools of Python and of the driver grow for a while; a leak of buffers would be 200 times 2 MB or more.
    assert resident_bytes() - host <= 64 * 1024**2


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_engine_may_be_closed_on_another_thread(bundle: Bundle, directory: Path) -> None:
    """PyCUDA would warn about memory that it cannot free there, and leak it."""
    opened = open_engine(bundle, "tensorrt", directory=directory)
    opened.fit(np.zeros((1100, 1100, 1), bundle.geometry.dtype))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        closing = threading.Thread(target=opened.close)
        closing.start()
        closing.join()
        del opened
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_opening_does_not_disturb_the_default_stream(bundle: Bundle, directory: Path) -> None:
    """While an ordinary stream is recorded, work of any thread on the default stream fails."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    ended, failed = threading.Event(), []

    def work() -> None:
        try:
            while not ended.is_set():
                torch.ones(1000, device="cuda").sum().item()
        except RuntimeError as error:
            failed.append(str(error))

    other = threading.Thread(target=work)
    other.start()
    try:
        open_engine(bundle, "tensorrt", directory=directory).close()
    finally:
        ended.set()
        other.join()
    assert failed == []


def resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def test_small_images_and_other_kinds_are_fitted_on_the_cpu(engine: TensorRtEngine) -> None:
    geometry = engine.bundle.geometry
    for shape in ((300, 300, 1), (100, 5000, 1), (2160, 3840, 3)):
        image = np.zeros(shape, geometry.dtype)
        np.testing.assert_array_equal(engine.fit(image), fit(image, geometry))
