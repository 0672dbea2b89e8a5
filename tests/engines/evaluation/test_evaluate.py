"""An evaluation scores what it is given, and says so in figures, pictures and one page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundles.bundle import Bundle
from engines.errors import EngineError
from engines.evaluation.evaluate import evaluate, score_images
from engines.evaluation.metrics import auroc
from engines.runtime.engine import Engine
from engines.runtime.opening import open_engine
from tests.support.parts import write_parts


@pytest.fixture(scope="module")
def engine(tiny_bundle: Bundle) -> Engine:
    return open_engine(tiny_bundle, "onnxruntime", threads=1)


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("test") / "good", 20, seed=11)


@pytest.fixture(scope="module")
def abnormal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("test") / "defect", 18, seed=12, scratch=True)


@pytest.fixture
def masks(abnormal: Path, tmp_path: Path) -> Path:
    """Masks for all but the first image: what is as bright as only a scratch is."""
    folder = tmp_path / "masks"
    folder.mkdir()
    for index, path in enumerate(sorted(abnormal.iterdir())[1:]):
        mask = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 215).astype(np.uint8) * 255
        cv2.imwrite(str(folder / (path.name if index % 2 else f"{path.stem}_mask.png")), mask)
    return folder


def test_scores_are_those_of_the_engine_in_the_order_of_the_names(engine: Engine, normal: Path) -> None:
    from engines.images.preprocessing import fit, read_image

    scored = score_images(engine, normal)
    frames = np.stack([fit(read_image(path), engine.bundle.geometry) for path in sorted(normal.iterdir())])
    np.testing.assert_allclose(scored.score, engine.score(frames).score, rtol=1e-5)
    assert [path.name for path in scored.paths] == sorted(path.name for path in normal.iterdir())


def test_evaluation_gives_the_figures_of_these_scores(engine: Engine, normal: Path, abnormal: Path) -> None:
    good, bad = score_images(engine, normal).score, score_images(engine, abnormal).score
    threshold = float(np.sort(good)[-3])
    result = evaluate(engine, normal, abnormal, threshold=threshold)
    assert (result.normal, result.abnormal) == (20, 18)
    assert result.auroc.value == auroc(good, bad)
    assert result.at_threshold is not None
    assert result.at_threshold.false_alarm_rate == 2 / 20
    assert result.at_threshold.recall == np.mean(bad > threshold)
    assert result.pixels is None
    assert result == evaluate(engine, normal, abnormal, threshold=threshold)


def test_a_found_threshold_is_tried_on_good_images_that_it_was_not_found_with(
    engine: Engine, normal: Path, abnormal: Path
) -> None:
    good = score_images(engine, normal).score
    seen: list[np.ndarray] = []

    def highest(scores: np.ndarray) -> float:
        seen.append(scores)
        return float(scores.max())

    at = evaluate(engine, normal, abnormal, threshold=highest).at_threshold
    np.testing.assert_array_equal(seen[0], good[::2])
    assert at is not None
    assert at.normal == 10
    assert at.threshold == good[::2].max()
    assert at.false_alarm_rate == np.mean(good[1::2] > at.threshold)
    assert evaluate(engine, normal, abnormal, threshold=lambda scores: None).at_threshold is None


def test_evaluation_with_masks_gives_pixel_figures(engine: Engine, normal: Path, abnormal: Path, masks: Path) -> None:
    """After twelve steps the reconstruction is gray, so its difference from a bright scratch is large."""
    result = evaluate(engine, normal, abnormal, masks)
    assert result.pixels is not None
    assert result.pixels.auroc > 0.7
    assert result.pixels.regions >= 17
    assert result.masks_missing == 1


def test_evaluation_writes_a_page_that_needs_nothing_else(
    engine: Engine, normal: Path, abnormal: Path, masks: Path, tmp_path: Path
) -> None:
    result = evaluate(engine, normal, abnormal, masks, threshold=0.1, out=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]{,20})', page))
    assert page.count("<figure>") == 16
    assert "http" not in page
    assert f"{result.auroc.value:.3f}" in page
    saved = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert saved == json.loads(result.to_json())
    for name in ("roc.png", "histogram.png"):
        assert cv2.imread(str(tmp_path / "report" / name)).shape[0] > 300


def test_evaluation_escapes_names_in_its_page(engine: Engine, normal: Path, tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "defect", 2, seed=5)
    (folder / "000.png").rename(folder / "<script>alert(1)<script>.png")
    evaluate(engine, normal, folder, out=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_files_that_cannot_be_read_are_skipped_and_named(engine: Engine, normal: Path, tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "defect", 3)
    (folder / "zz.png").write_text("text")
    (folder / "deep.png").write_bytes(cv2.imencode(".png", np.zeros((8, 8), np.uint16))[1].tobytes())
    result = evaluate(engine, normal, folder)
    assert result.abnormal == 3
    assert len(result.skipped) == 2
    assert "deep.png: the image has 16 bits per sample, the model wants 8" in result.skipped[0]


def test_folder_without_a_usable_image_is_one_line(engine: Engine, normal: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no usable image among 0"):
        evaluate(engine, normal, tmp_path)
    with pytest.raises(EngineError, match="no such folder"):
        evaluate(engine, tmp_path / "nowhere", normal)


def test_masks_of_other_images_are_refused(engine: Engine, normal: Path, abnormal: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "other.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(EngineError, match="none of its 1 files is named like an abnormal image"):
        evaluate(engine, normal, abnormal, tmp_path)
