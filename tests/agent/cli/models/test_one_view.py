"""One view in all commands: what a mask excludes changes no score, no figure and no alarm, and is drawn grey."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.agents import agent_processes, configure
from tests.support.command_line import assert_one_line, inspectd
from tests.support.parts import draw_part

pytest.importorskip("torch", reason="training needs the train extra")

from agent.core.errors import Permanent
from agent.inspection import check_mask_setting
from engines.baselines import find_baseline
from engines.bundles import CropBox
from engines.bundles.bundle import Bundle, Manifest
from engines.comparison.compare import _test_frames
from engines.errors import TrainingError
from engines.images import MaskChoice, parse_polygon, prepare, read_image
from engines.runtime.opening import open_engine
from engines.training.good_frames import load_good_frames
from engines.training.plan import Devices, TrainingPlan, ViewChoice
from engines.training.train import train_model

# The left quarter of the images of 40 pixels.
POLYGON, MASKED = "0,0 9,0 9,39 0,39", 10


def write_images(folder: Path, count: int, *, seed: int, trash: bool, bad: int = 0) -> Path:
    """Good parts, then bad ones with a bright bar on the right; `trash`: noise of any kind where it is masked."""
    folder.mkdir(parents=True)
    rng, noise = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    for index in range(count + bad):
        image = draw_part(rng)
        if trash:
            image[:, :MASKED] = noise.integers(0, 256, (40, MASKED))
        if index >= count:
            image[10:30, 27:36] = 255
        assert cv2.imwrite(str(folder / f"{index:03}.png"), image)
    return folder


@pytest.fixture(scope="module")
def masked(good_parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that was trained with a mask."""
    import torch

    torch.set_num_threads(1)
    plan = TrainingPlan(
        good_parts,
        out=tmp_path_factory.mktemp("masked") / "masked.bundle",
        recipe="reference",
        size=32,
        steps=12,
        minutes=None,
        options={"filters": 8, "latent": 16},
        devices=Devices("cpu"),
        view=ViewChoice(mask=MaskChoice(excluded=(parse_polygon(POLYGON),))),
    )
    return train_model(plan).bundle


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    for name, trash in (("clean", False), ("trash", True)):
        write_images(root / name / "good", 60, seed=5, trash=trash)
        write_images(root / name / "bad", 0, seed=9, trash=trash, bad=8)
    return root


def test_the_bundle_has_the_mask_and_its_fill(masked: Bundle) -> None:
    view = masked.manifest.view
    assert view.mask.inspected().sum() == 40 * 30
    assert 80 <= view.fill[0] <= 175
    assert str(view.mask) == "25 % of 40×40 excluded"
    assert not masked.reference().heatmap[:, :, :2].any()


def test_every_engine_leaves_out_what_is_masked(masked: Bundle, folders: Path) -> None:
    pixels = np.stack(
        [prepare(read_image(folders / name / "bad" / "000.png"), masked.manifest).pixels for name in ("clean", "trash")]
    )
    for name in ("onnxruntime", "torch"):
        with open_engine(masked, name, threads=1) as engine:
            scores = engine.score(pixels)
        assert scores.score[0] == scores.score[1]
        assert (scores.heatmap[0] == scores.heatmap[1]).all()
        assert not scores.heatmap[:, :, :2].any()
        assert scores.heatmap[:, :, 3:].all()


def test_score_and_evaluate_give_the_same_figures_whatever_is_masked(
    masked: Bundle, folders: Path, tmp_path: Path
) -> None:
    found = []
    for name in ("clean", "trash"):
        good, bad = folders / name / "good", folders / name / "bad"
        scored = inspectd("score", masked.path, bad)
        figures = inspectd(
            "evaluate", masked.path, "--normal", good, "--abnormal", bad, "--out", tmp_path / name, "--json"
        )
        assert figures.returncode == 0, figures.stderr
        found.append(([line.split()[0] for line in scored.stdout.splitlines()], json.loads(figures.stdout)))
    assert found[0] == found[1]


def test_compare_gives_all_systems_the_view_of_a_bundle(masked: Bundle, folders: Path) -> None:
    """The scores of each image are the same whatever is masked; without the view they are not."""
    table: dict[tuple[bool, str], Any] = {}
    for view in (masked.manifest.view, None):
        for name in ("clean", "trash"):
            good = load_good_frames(folders / name / "good", (32, 32), ViewChoice(like=view))
            system = find_baseline("pca")()
            system.fit(good.frames, seed=0, minutes=None, steps=1)
            table[view is None, name] = system.score(_test_frames(folders / name / "bad", good, None).frames).score
    assert (table[False, "clean"] == table[False, "trash"]).all()
    assert (table[True, "clean"] != table[True, "trash"]).all()


def test_view_draws_the_masked_area_grey(masked: Bundle, folders: Path, tmp_path: Path) -> None:
    done = inspectd("view", masked.path, folders / "trash" / "bad" / "000.png", "--out", tmp_path / "view.png")
    assert done.returncode == 0, done.stderr
    assert "mask          25 % of 40×40 excluded" in done.stdout
    shown = cv2.imread(str(tmp_path / "view.png"))
    assert (shown[:, :8] == 128).all()
    assert (shown[10:20, 24:28] == 255).all()


def test_alarms_come_from_what_is_inspected_alone(masked: Bundle, folders: Path, tmp_path: Path) -> None:
    """An agent on parts with noise under the mask: only bad parts raise alarms, and their overlay is grey there."""
    parts = write_images(tmp_path / "parts", 90, seed=5, trash=True, bad=3)
    config = configure(tmp_path, masked, f'kind = "folder"\npath = "{parts}"')
    with agent_processes(config) as start:
        process = start()
        _, log = process.communicate(timeout=150)
    assert process.returncode == 0, log
    overlays = sorted((tmp_path / "state" / "evidence").glob("line1/*/overlay.jpg"))
    assert 3 <= len(overlays) <= 5
    for path in overlays:
        overlay, heatmap = cv2.imread(str(path)), cv2.imread(str(path.with_name("heatmap.png")))
        side = heatmap.shape[0]
        assert (abs(overlay[8 : side - 8, 8 : side // 4 - 24].astype(int) - 128) <= 6).all()
        assert (heatmap[:, : side // 4 - 1] == 128).all()
    frame = cv2.imread(str(overlays[0].with_name("frame.jpg")))
    assert frame[:, :MASKED].std() > 40, "the frame shows what the camera saw"


def test_a_mask_of_the_settings_must_be_that_of_the_bundle(masked: Bundle, tiny_bundle: Bundle, tmp_path: Path) -> None:
    document = {"width": 40, "height": 40, "exclude": [[[0, 0], [9, 0], [9, 39], [0, 39]]]}
    same, more, other = tmp_path / "same.json", tmp_path / "more.json", tmp_path / "other.json"
    same.write_text(json.dumps(document))
    more.write_text(json.dumps({**document, "exclude": [[[0, 0], [12, 0], [12, 39], [0, 39]]]}))
    other.write_text(json.dumps({**document, "width": 80}))
    check_mask_setting(None, masked)
    check_mask_setting(same, masked)
    for path, wanted in (
        (more, "wanted the mask of masked.bundle"),
        (other, "the mask is 80×40, the images are 40×40"),
    ):
        with pytest.raises(Permanent, match=wanted):
            check_mask_setting(path, masked)
    with pytest.raises(Permanent, match=r"tiny.bundle was trained without one; train again with --mask"):
        check_mask_setting(same, tiny_bundle)


def test_training_with_a_mask_that_does_not_fit_is_one_line(good_parts: Path, tmp_path: Path) -> None:
    (tmp_path / "mask.json").write_text('{"width": 50, "height": 40}')
    polygon = MaskChoice(excluded=(parse_polygon(POLYGON),))
    out = tmp_path / "x.bundle"
    for choice, crop, wanted in (
        (MaskChoice(tmp_path / "mask.json"), None, "the mask is 50×40, the images are 40×40"),
        (MaskChoice(excluded=(parse_polygon("0,0 99,0 99,99 0,99"),)), None, "the mask excludes the whole image"),
        (MaskChoice(tmp_path / "none.png"), None, "none.png: cannot be read"),
        (polygon, CropBox(x=0, y=0, width=9, height=30), "the mask excludes all that the crop"),
    ):
        with pytest.raises(TrainingError, match=wanted):
            train_model(TrainingPlan(good_parts, out=out, recipe="scratch", steps=1, view=ViewChoice(crop, choice)))
    arguments = ("--mask", tmp_path / "mask.json", "--exclude-polygon", POLYGON)
    for command in (("train",), ("compare", "--test-normal", good_parts, "--abnormal", good_parts)):
        done = inspectd(*command, "--normal", good_parts, "--out", out, *arguments)
        assert_one_line(done, "the mask is 50×40, the images are 40×40")
    assert not out.exists()


def test_images_of_another_size_than_the_mask_are_skipped_by_name(good_parts: Path, tmp_path: Path) -> None:
    folder = write_images(tmp_path / "some", 6, seed=1, trash=False)
    assert cv2.imwrite(str(folder / "large.png"), np.zeros((60, 60), np.uint8))
    choice = MaskChoice(excluded=(parse_polygon(POLYGON),))
    good = load_good_frames(folder, (32, 32), ViewChoice(mask=choice))
    assert len(good.frames) == 6
    assert [line.rsplit("/")[-1] for line in good.skipped] == [
        "large.png: the image is 60×60, wanted 40×40, the size of the mask"
    ]
    with pytest.raises(TrainingError, match="no image of 1 could be read"):
        load_good_frames([tmp_path / "none.png"], (32, 32), ViewChoice(mask=choice))


def test_a_bundle_without_a_mask_is_read_as_before(tiny_bundle: Bundle) -> None:
    document = tiny_bundle.manifest.model_dump(by_alias=True, mode="json")
    document["view"] = {"lowest_aspect": 1.0, "highest_aspect": 1.0, "crop": None}
    assert Manifest.model_validate(document).view.mask is None
