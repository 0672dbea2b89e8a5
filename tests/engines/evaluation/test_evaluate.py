"""An evaluation scores folders of images and computes the figures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import EngineError
from engines.evaluation.at_threshold import AtThreshold, at_given, exact_interval
from engines.evaluation.evaluate import evaluate_engine, score_images
from engines.evaluation.metrics import auroc
from engines.images import fit, read_image
from engines.runtime.engine import Engine
from tests.support.parts import write_parts


def test_scores_are_the_engine_s_in_the_order_of_the_names(engine: Engine, normal: Path) -> None:
    scored = score_images(engine, normal)
    frames = np.stack([fit(read_image(path), engine.bundle.geometry) for path in sorted(normal.iterdir())])
    np.testing.assert_allclose(scored.score, engine.score(frames).score, rtol=1e-5)
    assert [path.name for path in scored.paths] == sorted(path.name for path in normal.iterdir())


def test_evaluation_computes_the_figures_of_the_scores(engine: Engine, normal: Path, abnormal: Path) -> None:
    good, bad = score_images(engine, normal).score, score_images(engine, abnormal).score
    threshold = float(np.sort(good)[-3])
    result = evaluate_engine(engine, normal, abnormal, judge=at_given(threshold))
    assert (result.normal, result.abnormal) == (20, 18)
    assert result.auroc.value == auroc(good, bad)
    assert result.at_threshold is not None
    assert result.at_threshold.false_alarm_rate == 2 / 20
    assert result.at_threshold.recall == np.mean(bad > threshold)
    assert result.pixels is None
    assert result == evaluate_engine(engine, normal, abnormal, judge=at_given(threshold))


def test_a_judge_gets_the_scores_in_the_order_of_the_names(engine: Engine, normal: Path, abnormal: Path) -> None:
    seen: list[np.ndarray] = []

    def judge(good: np.ndarray, bad: np.ndarray) -> AtThreshold | None:
        seen.extend((good, bad))
        return None

    assert evaluate_engine(engine, normal, abnormal, judge=judge).at_threshold is None
    for scores, folder in zip(seen, (normal, abnormal), strict=True):
        np.testing.assert_array_equal(scores, score_images(engine, folder).score)


@pytest.mark.parametrize(("count", "total", "wanted"), [(0, 100, (0.0, 0.0362)), (5, 10, (0.1871, 0.8129))])
def test_shares_have_exact_intervals(count: int, total: int, wanted: tuple[float, float]) -> None:
    """Clopper and Pearson's tables."""
    assert exact_interval(count, total) == pytest.approx(wanted, abs=5e-5)


def test_evaluation_with_masks_gives_pixel_figures(engine: Engine, normal: Path, abnormal: Path, masks: Path) -> None:
    """After twelve steps reconstructions are gray, so the residual of a bright scratch is large."""
    result = evaluate_engine(engine, normal, abnormal, masks)
    assert result.pixels is not None
    assert result.pixels.auroc > 0.7
    assert result.pixels.regions >= 17
    assert result.masks_missing == 1


def test_unusable_files_are_skipped_and_named(engine: Engine, normal: Path, tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "defect", 3)
    (folder / "zz.png").write_text("text")
    (folder / "deep.png").write_bytes(cv2.imencode(".png", np.zeros((8, 8), np.uint16))[1].tobytes())
    result = evaluate_engine(engine, normal, folder)
    assert result.abnormal == 3
    assert len(result.skipped) == 2
    assert "deep.png: the image has 16 bits per sample, the model wants 8" in result.skipped[0]


def test_folder_without_usable_images_is_rejected(engine: Engine, normal: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no images there, wanted at least one"):
        evaluate_engine(engine, normal, tmp_path)
    with pytest.raises(EngineError, match="no such folder"):
        evaluate_engine(engine, tmp_path / "nowhere", normal)


def test_masks_of_other_images_are_rejected(engine: Engine, normal: Path, abnormal: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "other.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(EngineError, match="none of its 1 files is named like an abnormal image"):
        evaluate_engine(engine, normal, abnormal, tmp_path)
