"""The contract of every engine. It runs for each row of the table of backends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.backends import BACKENDS, Hardware
from engines.bundles.bundle import Bundle
from engines.errors import EngineError, ImageError
from engines.images.preprocessing import fit
from engines.runtime.engine import Engine, Scores
from engines.runtime.hardware import is_usable
from engines.runtime.opening import open_engine

GPU_ENGINES = [name for name, backend in BACKENDS.items() if backend.hardware is Hardware.NVIDIA_GPU]

# Limit of the relative error per precision: the manifest's own limit for fp16, a tenth of it for fp32.
EXACT = {"fp32": 1e-4, "fp16": 2e-2}

# How much a frame's answers may depend on the batch: the order of sums, in each precision's steps.
STEADY = {"fp32": 1e-5, "fp16": 2e-3}


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory, so that an engine that has to be built is built once for all tests."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.gpu) if name in GPU_ENGINES else name for name in BACKENDS]
)
def engine(request: pytest.FixtureRequest, tiny_bundle: Bundle, state: Path) -> Iterator[Engine]:
    """Each engine of the table, open on the tiny bundle."""
    backend = BACKENDS[request.param]
    if not is_usable(backend):
        pytest.skip(f"{request.param} needs a {backend.hardware.value} and the packages {', '.join(backend.packages)}")
    with open_engine(tiny_bundle, request.param, threads=1, directory=state) as opened:
        assert opened.name == request.param
        yield opened


@pytest.fixture
def frames(tiny_bundle: Bundle) -> np.ndarray:
    """Five frames of noise, [5, H, W, C] of the bundle's geometry."""
    geometry = tiny_bundle.geometry
    return np.random.default_rng(0).integers(0, 255, (5, *geometry.shape)).astype(geometry.dtype)


def test_engine_describes_itself(engine: Engine, tiny_bundle: Bundle) -> None:
    assert engine.bundle is tiny_bundle
    assert engine.detail
    assert engine.reason
    assert engine.rejected == ()


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


def test_score_of_different_frames_differs(engine: Engine, frames: np.ndarray) -> None:
    """Constant answers would pass most of the other tests."""
    scores = engine.score(np.concatenate([frames, engine.bundle.reference().frames]))
    assert len(np.unique(scores.score)) == len(scores.score)
    assert scores.heatmap.std() > 0


def test_score_of_a_frame_does_not_depend_on_its_batch(engine: Engine, frames: np.ndarray) -> None:
    together, limit = engine.score(frames), STEADY[engine.precision]
    for count in (1, 2, 4):
        some = engine.score(frames[:count])
        np.testing.assert_allclose(some.score, together.score[:count], rtol=limit)
        np.testing.assert_allclose(some.heatmap, together.heatmap[:count], rtol=10 * limit, atol=limit / 10)


def test_score_does_not_write_to_the_frames(engine: Engine, frames: np.ndarray) -> None:
    before = frames.copy()
    frames.flags.writeable = False
    engine.score(frames)
    np.testing.assert_array_equal(frames, before)


def test_score_returns_arrays_that_the_next_call_does_not_change(engine: Engine, frames: np.ndarray) -> None:
    first = engine.score(frames[:2])
    kept = Scores(first.score.copy(), first.heatmap.copy())
    engine.score(frames[2:4])
    np.testing.assert_array_equal(first.score, kept.score)
    np.testing.assert_array_equal(first.heatmap, kept.heatmap)


def test_score_accepts_frames_that_are_not_contiguous(engine: Engine, frames: np.ndarray) -> None:
    every_other = np.repeat(frames, 2, axis=2)[:, :, ::2]
    assert not every_other.flags.c_contiguous
    np.testing.assert_allclose(
        engine.score(every_other).score, engine.score(frames).score, rtol=STEADY[engine.precision]
    )


@pytest.mark.parametrize("size", [(40, 40), (1200, 1000), (20, 90)], ids=str)
def test_fit_resizes_as_the_cpu_does(engine: Engine, size: tuple[int, int]) -> None:
    """Within one grey level, also on a GPU."""
    image = np.random.default_rng(2).integers(0, 255, (*size, 1), np.uint8, endpoint=True)
    fitted = engine.fit(image)
    assert fitted.dtype == np.uint8
    assert np.abs(fitted.astype(int) - fit(image, engine.bundle.geometry)).max() <= 1


def test_fit_of_an_array_that_is_no_image_raises(engine: Engine) -> None:
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
def test_score_of_wrong_frames_names_the_mistake(engine: Engine, frames: np.ndarray, change, wanted: str) -> None:
    with pytest.raises(EngineError) as caught:
        engine.score(change(frames))
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_close_twice_does_no_harm_and_score_afterwards_raises(engine: Engine, frames: np.ndarray) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="already closed"):
        engine.score(frames)


def test_score_from_several_threads_returns_each_its_own_answer(engine: Engine, frames: np.ndarray) -> None:
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
