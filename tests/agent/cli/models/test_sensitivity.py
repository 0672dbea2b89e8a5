"""Regions with a sensitivity of their own: in every engine and command, and without effect elsewhere."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.command_line import assert_one_line, inspectd
from tests.support.parts import draw_part

pytest.importorskip("torch", reason="training needs the train extra")

import torch

from agent.alarms import regions
from agent.tools.reweighing import NewRegions, reweighed
from engines.bundles import Bundle, Manifest, write_lean_copy
from engines.errors import BundleError
from engines.images import SensitivityChoice, factors_of_pixels, parse_region
from engines.recipes.feature_scorer import BRANCHES, FeatureScorer
from engines.recipes.scorer import Scorer
from engines.runtime import open_engine
from engines.runtime.torch import load_scorer
from engines.training.plan import Devices, TrainingPlan, ViewChoice
from engines.training.train import train_model

# The left quarter of the images of 64 pixels counts a tenth, the right quarter three times.
LEFT, RIGHT = "0.1: 0,0 15,0 15,63 0,63", "3: 48,0 63,0 63,63 48,63"
SIDE = 64


# A copy of a bundle takes as long as two exports, which for the recipe `pretrained` is the better part of a minute.
SCRATCH_FIRST = pytest.mark.parametrize(
    "weighed", ["scratch", pytest.param("pretrained", marks=pytest.mark.slow)], indirect=True
)


def part_with(*columns: int, seed: int = 7) -> NDArray[np.uint8]:
    """A good part, [64, 64, 1], with a small bright defect at each of these columns."""
    image = draw_part(np.random.default_rng(seed), side=SIDE)
    for column in columns:
        image[26:38, column : column + 6] = 255
    return image[:, :, None]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    rng = np.random.default_rng(1)
    for index in range(24):
        assert cv2.imwrite(str(folder / f"{index:03}.png"), draw_part(rng, side=SIDE))
    return folder


@pytest.fixture(scope="module", params=["pretrained", "scratch"])
def weighed(request: pytest.FixtureRequest, good: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that was trained with two regions, by each recipe."""
    torch.set_num_threads(1)
    plan = TrainingPlan(
        good,
        out=tmp_path_factory.mktemp(request.param) / "x.bundle",
        recipe=request.param,
        size=SIDE,
        steps=4,
        minutes=None,
        devices=Devices("cpu"),
        view=ViewChoice(sensitivity=SensitivityChoice((parse_region(LEFT), parse_region(RIGHT)))),
    )
    return train_model(plan).bundle


def equal_places(bundle: Bundle) -> Scorer:
    """The scorer of the same weights, without regions."""
    view = bundle.manifest.view.model_copy(update={"sensitivity": None})
    manifest = bundle.manifest.model_copy(update={"view": view})
    return load_scorer(Bundle(bundle.path, manifest, bundle.sha256))


def scored(scorer: Scorer, *images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    with torch.inference_mode():
        score, heatmap = scorer(torch.from_numpy(np.stack(images)))
    return score.numpy(), heatmap.numpy()


def test_every_engine_weighs_as_pytorch_does(weighed: Bundle) -> None:
    images = np.stack([part_with(), part_with(4), part_with(28), part_with(54)])
    wanted = scored(load_scorer(weighed), *images)
    for name in ("onnxruntime", "torch", *(["openvino"] if find_spec("openvino") else [])):
        with open_engine(weighed, name, threads=1) as engine:
            got = engine.score(images)
        assert got.score == pytest.approx(wanted[0], rel=1e-2), name
        assert got.heatmap == pytest.approx(wanted[1], rel=1e-2, abs=1e-2 * float(wanted[1].max())), name


def test_what_is_unusual_in_a_region_counts_by_its_factor(weighed: Bundle) -> None:
    images = part_with(), part_with(4), part_with(54)
    (plain, plain_left, plain_right), plain_heat = scored(equal_places(weighed), *images)
    (good, left, right), heat = scored(load_scorer(weighed), *images)
    assert left < plain_left
    assert right > plain_right
    assert (left - good) < 0.6 * (plain_left - plain)
    assert (right - good) > 1.5 * (plain_right - plain)
    columns = heat.shape[2] // 4
    assert heat[:, :, 1 : columns - 1] == pytest.approx(0.1 * plain_heat[:, :, 1 : columns - 1], rel=1e-4)
    assert heat[:, :, 1 - columns :] == pytest.approx(3.0 * plain_heat[:, :, 1 - columns :], rel=1e-4)


def test_sensitivity_elsewhere_does_not_change_the_score_of_a_place(weighed: Bundle) -> None:
    """Where the hottest place has the factor 1, a factor of all others changes neither its heat nor what it adds."""
    image = part_with(28)
    plain, scorer = equal_places(weighed), equal_places(weighed)
    (score,), (heat,) = scored(plain, image)
    stride = SIDE // heat.shape[0]
    row, column = (stride * int(place) for place in np.unravel_index(int(heat.argmax()), heat.shape))
    factors = np.full((SIDE, SIDE), 0.1, np.float32)
    factors[max(0, row - 16) : row + 16, max(0, column - 16) : column + 16] = 1.0
    scorer.factors.use(factors)
    (weighed_score,), (weighed_heat,) = scored(scorer, image)
    unchanged = factors[::stride, ::stride] == 1.0
    assert (weighed_heat[unchanged] == heat[unchanged]).all()
    assert weighed_heat[~unchanged] == pytest.approx(0.1 * heat[~unchanged], rel=1e-4)
    if not isinstance(plain, FeatureScorer) or not isinstance(scorer, FeatureScorer):
        assert weighed_score == score
        return
    frames = plain.normalise(torch.from_numpy(image[None]))
    with torch.inference_mode():
        before, after = (dict(zip(BRANCHES, each.branches(frames)[0], strict=True)) for each in (plain, scorer))
    assert after["identity"] == before["identity"]
    # This is a mean over several places: what the others added counts a tenth, and nothing is added.
    assert after["local"] <= before["local"]


def test_regions_of_alarms_follow(weighed: Bundle) -> None:
    """Of two equal defects, the one in the region that counts a tenth is no region of the alarm."""
    image = part_with(4, 54)
    heats = (scored(equal_places(weighed), image)[1][0], scored(load_scorer(weighed), image)[1][0])
    calibrated = (heat / (0.5 * heats[0].max()) for heat in heats)
    left = [any(region.x < 16 for region in regions(heat, (SIDE, SIDE))) for heat in calibrated]
    assert left == [True, False]


def test_view_shows_the_regions_and_images_of_another_size_are_one_line(weighed: Bundle, tmp_path: Path) -> None:
    image = tmp_path / "part.png"
    assert cv2.imwrite(str(image), part_with())
    done = inspectd("view", weighed.path, image)
    assert "sensitivity   ×0.1, ×3 in regions of 64×64" in done.stdout
    shown: Any = cv2.imread(str(tmp_path / "part-view.png"))
    assert (shown[32, 15] != shown[32, 15, 0]).any(), "an outline in colour"
    assert (shown[32, 30] == shown[32, 30, 0]).all()
    assert cv2.imwrite(str(image), np.zeros((80, 80), np.uint8))
    done = inspectd("view", weighed.path, image)
    assert_one_line(done, "the image is 80×80, wanted 64×64, the size that the sensitivity is given for")


def test_a_sensitivity_that_cannot_be_is_one_line(good: Path, tmp_path: Path) -> None:
    base = ("train", "--normal", good, "--out", tmp_path / "x.bundle", "--steps", 1)
    for more, wanted in (
        (("--sensitivity", "0: 1,1 9,1 9,9"), "got sensitivity 0, wanted a factor from 0.05 to 10"),
        (("--sensitivity", "2: 100,1 109,1 109,9"), "a polygon is outside the image of 64×64"),
        (("--sensitivity", LEFT, "--recipe", "reference"), "the score of the recipe reference has no places"),
    ):
        assert_one_line(inspectd(*base, *more), wanted)
    assert not (tmp_path / "x.bundle").exists()


def quiet(fraction: float, message: str) -> None:
    """Nobody looks."""


@pytest.fixture(scope="module")
def copy(weighed: Bundle, good: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A copy with other factors."""
    out = tmp_path_factory.mktemp("copy") / "y.bundle"
    copy, skipped = reweighed(weighed.path, NewRegions(factors=(1.0, 0.5)), out, good, quiet)
    assert skipped == []
    return copy


def test_other_factors_need_no_training(weighed: Bundle, copy: Bundle) -> None:
    """The copy scores as the same weights with the other factors do; held-out scores are those of the given parts."""
    view = copy.manifest.view
    assert view is not None
    assert view.sensitivity is not None
    assert [region.factor for region in view.sensitivity.regions] == [1.0, 0.5]
    expected = equal_places(weighed)
    expected.factors.use(factors_of_pixels(view, copy.geometry))
    images = np.stack([part_with(), part_with(4), part_with(28), part_with(54)])
    score, heatmap = scored(expected, *images)
    for name in ("onnxruntime", "torch"):
        with open_engine(copy, name, threads=1) as engine:
            got = engine.score(images)
        assert got.score == pytest.approx(score, rel=1e-2), name
        assert got.heatmap == pytest.approx(heatmap, rel=1e-2, abs=1e-2 * float(heatmap.max())), name
    before, after = weighed.manifest.training, copy.manifest.training
    assert before is not None
    assert after is not None
    assert (after.held_out.count, after.images_held_out, after.steps) == (24, 24, before.steps)
    assert after.damage is not None


@SCRATCH_FIRST
def test_factors_that_return_give_the_same_scores_again(weighed: Bundle, copy: Bundle, tmp_path: Path) -> None:
    again = reweighed(copy.path, NewRegions(factors=(0.1, 3.0)), tmp_path / "again.bundle", None, quiet)[0].reference()
    plain = weighed.reference()
    assert again.score == pytest.approx(plain.score, rel=1e-5)
    assert again.heatmap == pytest.approx(plain.heatmap, rel=1e-4, abs=1e-5 * float(plain.heatmap.max()))


@SCRATCH_FIRST
def test_regions_can_be_taken_away_or_drawn_anew(weighed: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "y.bundle"
    manifest = reweighed(weighed.path, NewRegions(), out, None, quiet)[0].manifest
    assert manifest.view is not None
    assert manifest.view.sensitivity is None
    assert manifest.training is not None
    assert (manifest.training.held_out.count, manifest.training.damage) == (0, None)
    base = ("bundle", "sensitivity", out, "--out", tmp_path / "z.bundle")
    assert_one_line(inspectd(*base, "--factors", "2"), "got 1 factors for 0 regions of other sensitivity")
    assert inspectd(*base).returncode == 2, "neither regions nor factors"
    regions = NewRegions(SensitivityChoice((parse_region(RIGHT),)))
    with pytest.raises(BundleError, match="it does not say how large its images are; wanted --normal"):
        reweighed(out, regions, tmp_path / "z.bundle", None, quiet)
    with pytest.raises(BundleError, match=r"wanted a factor from 0\.05 to 10"):
        reweighed(weighed.path, NewRegions(factors=(20.0, 1.0)), tmp_path / "z.bundle", None, quiet)
    lean = write_lean_copy(weighed, tmp_path / "lean.bundle")
    with pytest.raises(BundleError, match=r"weights\.npz"):
        reweighed(lean.path, NewRegions(), tmp_path / "z.bundle", None, quiet)
    assert not (tmp_path / "z.bundle").exists()


def test_a_manifest_without_sensitivity_is_read_as_before(tiny_bundle: Bundle) -> None:
    document = json.loads((tiny_bundle.path / "manifest.json").read_bytes())
    document["view"] = {"lowest_aspect": 1.0, "highest_aspect": 1.0}
    assert Manifest.model_validate(document).view.sensitivity is None
