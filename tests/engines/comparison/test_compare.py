"""From folders to the table: the same images for every system, nothing chosen by test scores."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.parts import draw_part, write_parts

pytest.importorskip("torch", reason="the comparison needs the train extra")

from engines.comparison.compare import run_comparison
from engines.comparison.records import Comparison
from engines.comparison.table import as_text
from engines.errors import EngineError


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Good parts, good and scratched ones to test on, masks of the scratches, and one file that is no image."""
    root = tmp_path_factory.mktemp("compare")
    folders = {
        "normal": write_parts(root / "good", 40),
        "test_normal": write_parts(root / "fresh", 12, seed=1),
        "abnormal": write_parts(root / "bad", 12, seed=2, scratch=True),
        "masks": root / "masks",
    }
    folders["masks"].mkdir()
    for path in folders["abnormal"].iterdir():
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(folders["masks"] / path.name), ((image > 220) * 255).astype(np.uint8))
    (folders["test_normal"] / "notes.png").write_text("no image")
    return folders


@pytest.fixture(scope="module")
def compared(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    """A deterministic system and one that depends on its seed, with the report."""
    out = tmp_path_factory.mktemp("out") / "comparison"
    only = ["pca", "autoencoder"]
    return run_comparison(**folders, only=only, size=32, minutes=None, steps=3, seeds=2, out=out), out


def test_systems_are_in_the_order_of_the_table(compared: tuple[Comparison, Path]) -> None:
    result, _ = compared
    assert [system.name for system in result.systems] == ["autoencoder", "pca"]
    assert (result.normal, result.test_normal, result.abnormal) == (40, 12, 12)


def test_deterministic_systems_train_once_and_others_with_every_seed(compared: tuple[Comparison, Path]) -> None:
    autoencoder, pca = compared[0].systems
    assert [run.seed for run in autoencoder.runs] == [0, 1]
    assert autoencoder.auroc.deviation is not None
    assert len(pca.runs) == 1
    assert pca.auroc.deviation is None


def test_scratches_are_found_and_located(compared: tuple[Comparison, Path]) -> None:
    pca = compared[0].systems[1]
    assert pca.auroc.mean > 0.9
    assert pca.pixel_auroc is not None
    assert pca.pixel_auroc.mean > 0.9
    assert pca.milliseconds > 0


def test_unusable_file_is_named(compared: tuple[Comparison, Path]) -> None:
    (line,) = compared[0].skipped
    assert "notes.png" in line


def test_results_are_written_as_table_json_and_images(compared: tuple[Comparison, Path]) -> None:
    result, out = compared
    document = json.loads((out / "comparison.json").read_text())
    assert document == json.loads(result.to_json())
    assert document["systems"][1]["auroc"]["mean"] == result.systems[1].auroc.mean
    table = (out / "comparison.txt").read_text()
    assert table.strip() == as_text(result)
    assert [line.split("  ")[0] for line in table.splitlines()[2:4]] == ["Autoencoder", "PCA"]
    for name in ("roc.png", "heatmaps.png"):
        image = cv2.imread(str(out / name))
        assert min(image.shape[:2]) > 300
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100


def test_max_images_limits_both_test_folders(folders: dict[str, Path]) -> None:
    result = run_comparison(**folders, only=["pca"], size=32, steps=1, max_images=5)
    assert (result.test_normal, result.abnormal) == (5, 5)


def test_scoring_time_is_relative_to_ganomaly(folders: dict[str, Path]) -> None:
    """GANomaly itself is trained to a bundle and scores through an engine, as a user's model does."""
    without_masks = {name: folder for name, folder in folders.items() if name != "masks"}
    only = ["pca", "ganomaly-reference"]
    result = run_comparison(**without_masks, only=only, size=32, minutes=None, steps=2, seeds=1, max_images=4)
    ganomaly, pca = result.systems
    assert result.times_ganomaly(ganomaly) == 1.0
    assert result.times_ganomaly(pca) == pca.milliseconds / ganomaly.milliseconds
    assert ganomaly.pixel_auroc is None
    assert "pixel" not in as_text(result)


def test_same_images_as_good_and_bad_give_chance(folders: dict[str, Path], tmp_path: Path) -> None:
    """An AUROC other than one half would be an artefact of the comparison."""
    result = run_comparison(folders["normal"], folders["abnormal"], folders["abnormal"], only=["pca", "ocsvm"], size=32)
    assert [system.auroc.mean for system in result.systems] == [0.5, 0.5]


def test_progress_increases_to_1(folders: dict[str, Path]) -> None:
    fractions: list[float] = []
    run_comparison(
        **folders,
        only=["pca", "autoencoder"],
        size=32,
        steps=2,
        seeds=1,
        max_images=4,
        progress=lambda fraction, _: fractions.append(fraction),
    )
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"only": ["pca", "magic"]}, "'magic' is unknown"),
        ({"only": []}, "no system is selected"),
        ({"seeds": 0}, "seeds is 0"),
        ({"size": 30}, "multiples of 16"),
    ],
)
def test_impossible_arguments_are_rejected(folders: dict[str, Path], changes: dict[str, object], wanted: str) -> None:
    arguments = {**folders, "only": ["pca"], "size": 32, **changes}
    with pytest.raises(EngineError, match=wanted):
        run_comparison(**arguments)  # type: ignore[arg-type]


def test_folder_without_images_is_rejected(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no images there, wanted at least one"):
        run_comparison(folders["normal"], tmp_path, folders["abnormal"], only=["pca"], size=32)


def test_test_images_take_the_colour_of_the_good_images(tmp_path: Path) -> None:
    """Good parts in colour, test images in gray: all become colour."""
    rng = np.random.default_rng(0)
    (tmp_path / "colour").mkdir()
    for index in range(6):
        gray = draw_part(rng)
        cv2.imwrite(str(tmp_path / "colour" / f"{index}.png"), np.dstack([gray, gray // 2, gray // 3]))
    fresh = write_parts(tmp_path / "fresh", 3)
    result = run_comparison(tmp_path / "colour", fresh, fresh, only=["pca"], size=32, out=tmp_path / "out")
    assert result.geometry.channels == 3
