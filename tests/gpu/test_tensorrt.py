"""TensorRT on a real GPU: `make test-gpu`. What every engine promises is in tests/contracts, which runs there too."""

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
from engines.runtime.hardware import installed
from engines.runtime.opening import open_engine
from engines.runtime.reference_check import reference_errors
from engines.runtime.tensorrt.cuda import open_gpu
from engines.runtime.tensorrt.engine import TensorRtEngine
from engines.runtime.tensorrt.runtime import Runtime

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(600),
    pytest.mark.skipif("tensorrt" not in installed(), reason="no GPU, or TensorRT and PyCUDA are not installed"),
]

# Building takes most of the time, and all of this is to fit in ten minutes: what both bundles would show alike is shown
# with one of them.

# An engine and what belongs to it; the driver's own bookkeeping moves by a page or two.
LEAK_BYTES = 4 * 1024**2


@pytest.fixture(scope="module", params=["camera", "xray"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """8 and 16 bits, 256×256."""
    return read_bundle(Path(str(files("engines.bundles.shipped"))) / f"simulator-{request.param}.bundle")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory; each plan is built once for all tests."""
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


def test_agrees_with_onnx_runtime_picture_by_picture(bundle: Bundle, directory: Path) -> None:
    result = compare_answers(bundle, ("onnxruntime", "tensorrt"), directory, progress=lambda fraction, message: None)
    assert max(pair.score_difference for pair in result.pairs) < bundle.manifest.tolerance.fp16


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_building_tells_how_far_it_is(bundle: Bundle, tmp_path: Path) -> None:
    told: list[float] = []
    checked = check_engine(bundle, "tensorrt", tmp_path, progress=lambda fraction, message: told.append(fraction))
    assert checked.score_error <= checked.tolerance
    assert len(told) > 10
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_building_that_is_interrupted_ends(bundle: Bundle, tmp_path: Path) -> None:
    def interrupt(fraction: float, message: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_engine(bundle, "tensorrt", directory=tmp_path, progress=interrupt)
    assert not list(tmp_path.rglob("*.plan"))


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_plan_is_kept_and_one_that_is_broken_is_built_again(
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
def test_what_is_no_plan_is_refused_with_a_line(bundle: Bundle, plan: bytes) -> None:
    with open_gpu().current(), pytest.raises(EngineError, match="the plan is refused"):
        Runtime().deserialize(plan, bundle)


def test_plan_of_another_bundle_is_refused_with_a_line(tiny_bundle: Bundle, bundle: Bundle, directory: Path) -> None:
    open_engine(bundle, "tensorrt", directory=directory).close()
    plan = next((directory / "engines").glob(f"{bundle.sha256[:12]}-*.plan")).read_bytes()
    with open_gpu().current(), pytest.raises(EngineError, match="of the plan is"):
        Runtime().deserialize(plan, tiny_bundle)


def test_scoring_takes_no_memory_of_the_device(engine: TensorRtEngine) -> None:
    frames = np.repeat(engine.bundle.reference().frames[:1], 8, axis=0)
    engine.score(frames)
    before = open_gpu().free_bytes()
    for count in range(1, 9):
        for _ in range(50):
            engine.score(frames[:count])
    # 400 calls; the device's memory is also other programs'.
    assert before - open_gpu().free_bytes() <= LEAK_BYTES


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_opening_and_closing_leaves_memory_where_it_was(bundle: Bundle, directory: Path) -> None:
    def once() -> None:
        with TensorRtEngine(bundle, directory=directory) as opened:
            opened.score(bundle.reference().frames[:1])

    for _ in range(5):
        once()
    device, host = open_gpu().free_bytes(), resident_bytes()
    for _ in range(200):
        once()
    assert device - open_gpu().free_bytes() <= LEAK_BYTES
    # Python's and the driver's own pools grow for a while; a leak of buffers would be 200 times 2 MB and more.
    assert resident_bytes() - host <= 64 * 1024**2


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_engine_may_be_closed_on_another_thread(bundle: Bundle, directory: Path) -> None:
    """PyCUDA warns of what it cannot free there, and leaks it."""
    opened = open_engine(bundle, "tensorrt", directory=directory)
    opened.fit(np.zeros((1100, 1100, 1), bundle.geometry.dtype))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        closing = threading.Thread(target=opened.close)
        closing.start()
        closing.join()
        del opened
        gc.collect()
    assert [str(warning.message) for warning in said] == []


@pytest.mark.parametrize("bundle", ["camera"], indirect=True)
def test_opening_disturbs_nobody_on_the_default_stream(bundle: Bundle, directory: Path) -> None:
    """While an ordinary stream is recorded, work on the default one fails, whichever thread it is on."""
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

    beside = threading.Thread(target=work)
    beside.start()
    try:
        open_engine(bundle, "tensorrt", directory=directory).close()
    finally:
        ended.set()
        beside.join()
    assert failed == []


def resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def test_small_and_odd_pictures_stay_on_the_cpu(engine: TensorRtEngine) -> None:
    geometry = engine.bundle.geometry
    for shape in ((300, 300, 1), (100, 5000, 1), (2160, 3840, 3)):
        image = np.zeros(shape, geometry.dtype)
        np.testing.assert_array_equal(engine.fit(image), fit(image, geometry))
