"""What every engine promises, whatever runs underneath."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.bundles.bundle import Bundle
from engines.errors import EngineError, ImageError
from engines.images.preprocessing import fit
from engines.runtime.engine import Engine, Scores
from engines.runtime.hardware import installed
from engines.runtime.opening import NAMES, open_engine

ENGINES = ("onnxruntime", "openvino", "torch", pytest.param("tensorrt", marks=pytest.mark.gpu))

# What each precision of the manifest is held to here, relative: the manifest's own limit for the lower one.
EXACT = {"fp32": 1e-4, "fp16": 2e-2}

# What a batch may change of a frame's answers: the order of sums, in each precision's own steps.
STEADY = {"fp32": 1e-5, "fp16": 2e-3}


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory: where an engine has to be built first, it is built once for all tests."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tiny_bundle: Bundle, state: Path) -> Iterator[Engine]:
    """Each engine in turn, open on the tiny bundle."""
    package = {"torch": "PyTorch", "openvino": "OpenVINO"}
    if request.param == "tensorrt" and request.param not in installed():
        pytest.skip("no GPU, or TensorRT and PyCUDA are not installed")
    if request.param in package:
        pytest.importorskip(request.param, reason=f"{package[request.param]} is not installed")
    with open_engine(tiny_bundle, request.param, threads=1, directory=state) as opened:
        yield opened


@pytest.fixture
def frames(tiny_bundle: Bundle) -> np.ndarray:
    """Five frames of noise in the bundle's geometry."""
    geometry = tiny_bundle.geometry
    return np.random.default_rng(0).integers(0, 255, (5, *geometry.shape)).astype(geometry.dtype)


def test_engine_carries_its_name_and_bundle(engine: Engine, tiny_bundle: Bundle) -> None:
    assert engine.name in NAMES
    assert engine.bundle is tiny_bundle


def test_score_has_the_promised_shapes_and_types(engine: Engine, frames: np.ndarray) -> None:
    scores = engine.score(frames)
    assert scores.score.shape == (5,)
    assert scores.heatmap.shape == (5, *engine.bundle.heatmap_shape)
    assert scores.score.dtype == scores.heatmap.dtype == np.float32


def test_score_is_finite_and_not_negative_on_extreme_frames(engine: Engine) -> None:
    geometry = engine.bundle.geometry
    extremes = np.zeros((2, *geometry.shape), geometry.dtype)
    extremes[1] = np.iinfo(geometry.dtype).max
    scores = engine.score(extremes)
    for values in (scores.score, scores.heatmap):
        assert np.isfinite(values).all()
        assert (values >= 0).all()


def test_score_reproduces_the_reference(engine: Engine, tiny_bundle: Bundle) -> None:
    reference = tiny_bundle.reference()
    scores, limit = engine.score(reference.frames), EXACT[engine.precision]
    np.testing.assert_allclose(scores.score, reference.score, rtol=limit)
    np.testing.assert_allclose(scores.heatmap, reference.heatmap, atol=limit * reference.heatmap.max())


def test_score_tells_frames_apart(engine: Engine, frames: np.ndarray) -> None:
    """Constant answers would pass every other test here."""
    scores = engine.score(np.concatenate([frames, engine.bundle.reference().frames]))
    assert len(np.unique(scores.score)) == len(scores.score)
    assert scores.heatmap.std() > 0


def test_score_of_a_frame_does_not_depend_on_its_batch(engine: Engine, frames: np.ndarray) -> None:
    together, limit = engine.score(frames), STEADY[engine.precision]
    for count in (1, 2, 4):
        some = engine.score(frames[:count])
        np.testing.assert_allclose(some.score, together.score[:count], rtol=limit)
        np.testing.assert_allclose(some.heatmap, together.heatmap[:count], rtol=10 * limit, atol=limit / 10)


def test_score_leaves_the_frames_alone(engine: Engine, frames: np.ndarray) -> None:
    before = frames.copy()
    frames.flags.writeable = False
    engine.score(frames)
    np.testing.assert_array_equal(frames, before)


def test_score_gives_arrays_that_the_next_call_leaves_alone(engine: Engine, frames: np.ndarray) -> None:
    first = engine.score(frames[:2])
    kept = Scores(first.score.copy(), first.heatmap.copy())
    engine.score(frames[2:4])
    np.testing.assert_array_equal(first.score, kept.score)
    np.testing.assert_array_equal(first.heatmap, kept.heatmap)


def test_score_takes_frames_that_are_not_contiguous(engine: Engine, frames: np.ndarray) -> None:
    every_other = np.repeat(frames, 2, axis=2)[:, :, ::2]
    assert not every_other.flags.c_contiguous
    np.testing.assert_allclose(
        engine.score(every_other).score, engine.score(frames).score, rtol=STEADY[engine.precision]
    )


@pytest.mark.parametrize("size", [(40, 40), (1200, 1000), (20, 90)], ids=str)
def test_fit_brings_a_picture_to_the_model_as_the_cpu_does(engine: Engine, size: tuple[int, int]) -> None:
    """Within a grey level, wherever the engine does it."""
    image = np.random.default_rng(2).integers(0, 255, (*size, 1), np.uint8, endpoint=True)
    fitted = engine.fit(image)
    assert fitted.dtype == np.uint8
    assert np.abs(fitted.astype(int) - fit(image, engine.bundle.geometry)).max() <= 1


def test_fit_of_what_is_no_picture_is_an_image_error(engine: Engine) -> None:
    for image in (np.zeros((40, 40), np.uint8), np.zeros((40, 40, 1), np.uint16), np.zeros((0, 40, 1), np.uint8)):
        with pytest.raises(ImageError):
            engine.fit(image)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda frames: frames[0], "frames are 32×32×1, the model wants N×32×32×1"),
        (lambda frames: frames[:0], "with N ≥ 1"),
        (lambda frames: frames[:, :16], "frames are 5×16×32×1, the model wants N×32×32×1"),
        (lambda frames: np.repeat(frames, 3, axis=3), "frames are 5×32×32×3"),
        (lambda frames: frames.astype(np.uint16), "frames are uint16, the model wants uint8"),
        (lambda frames: frames.astype(np.float32), "frames are float32, the model wants uint8"),
        (lambda frames: frames.tolist(), "frames are a list, wanted a numpy array"),
    ],
    ids=["one frame", "no frame", "wrong size", "colour", "16 bit", "float", "list"],
)
def test_score_of_wrong_frames_says_what_is_wrong(engine: Engine, frames: np.ndarray, change, wanted: str) -> None:
    with pytest.raises(EngineError) as caught:
        engine.score(change(frames))
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_close_twice_is_fine_and_scoring_afterwards_is_not(engine: Engine, frames: np.ndarray) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="already closed"):
        engine.score(frames)


def test_score_from_several_threads_gives_each_its_own_answer(engine: Engine, frames: np.ndarray) -> None:
    expected = engine.score(frames).score
    wrong: list[str] = []

    def work(index: int) -> None:
        for _ in range(20):
            score = engine.score(frames[index : index + 1]).score
            if not np.allclose(score, expected[index], rtol=STEADY[engine.precision]):
                wrong.append(f"frame {index}: {score}, wanted {expected[index]}")

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
