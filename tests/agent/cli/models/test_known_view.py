"""Training with the view of a bundle: alignment, crop, mask and size come from it, and the same images score alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer

from tests.support.loose_parts import PLATE, taught, write_loose_parts

pytest.importorskip("torch", reason="training needs the train extra")

from agent.cli.models.training import train
from engines.bundles.bundle import Bundle, read_bundle
from engines.images import prepare, read_image
from engines.runtime.opening import open_engine

STEPS = {"recipe": "scratch", "steps": 2, "minutes": None, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("known-view")
    write_loose_parts(root / "good", 24, seed=1)
    write_loose_parts(root / "more", 12, seed=2)
    taught(root / "taught.png")
    return root


@pytest.fixture(scope="module")
def known(folder: Path) -> Bundle:
    """Aligned, cropped within the aligned image, with a masked corner."""
    out = folder / "known.bundle"
    x, y, width, height = PLATE.x, PLATE.y, PLATE.width, PLATE.height
    corner = f"{x},{y} {x + 9},{y} {x + 9},{y + 9} {x},{y + 9}"
    train(
        folder / "good",
        out,
        size="32x48",
        align=folder / "taught.png",
        align_region=f"{x},{y},{width},{height}",
        crop=f"{x},{y},{width - 4},{height}",
        exclude_polygon=[corner],
        **STEPS,
    )
    return read_bundle(out)


@pytest.fixture(scope="module")
def again(folder: Path, known: Bundle) -> Bundle:
    """Trained on the same images with nothing but that view."""
    out = folder / "again.bundle"
    train(folder / "good", out, view=known.path, **STEPS)
    return read_bundle(out)


def test_the_view_is_that_of_the_bundle(known: Bundle, again: Bundle) -> None:
    view = known.manifest.view
    assert view is not None
    assert view.alignment is not None
    assert view.mask is not None
    assert view.crop is not None
    assert again.manifest.view == view
    assert again.manifest.geometry == known.manifest.geometry


def test_scores_agree_over_alignment_crop_and_mask(folder: Path, known: Bundle, again: Bundle) -> None:
    paths = sorted((folder / "more").iterdir())
    found = []
    for bundle in (known, again):
        pixels = np.stack([prepare(read_image(path), bundle.manifest).pixels for path in paths])
        with open_engine(bundle, "onnxruntime", threads=1) as engine:
            scores = engine.score(pixels)
            found.append((pixels, scores.score.copy(), scores.heatmap.copy()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_images_are_seen_by_the_same_view_at_a_size_of_its_own(folder: Path, known: Bundle) -> None:
    """Fill and limits of the alignment are not learned anew."""
    out = folder / "other.bundle"
    train(folder / "more", out, view=known.path, size="64", **STEPS)
    manifest, before = read_bundle(out).manifest, known.manifest.view
    assert manifest.view is not None
    assert before is not None
    assert (manifest.view.alignment, manifest.view.crop, manifest.view.mask, manifest.view.fill) == (
        before.alignment, before.crop, before.mask, before.fill,
    )  # fmt: skip
    assert (manifest.geometry.width, manifest.geometry.height) == (64, 64)


@pytest.mark.parametrize(
    ("option", "value"),
    [("crop", "0,0,8,8"), ("mask", Path("m.png")), ("align_within", "9,9"), ("raw", "8x8"), ("sensitivity", ["2: "])],
)
def test_another_view_beside_it_is_a_wrong_usage(folder: Path, known: Bundle, option: str, value: object) -> None:
    with pytest.raises(typer.BadParameter, match=f"wanted no --{option.replace('_', '-')}"):
        train(folder / "good", folder / "never.bundle", view=known.path, **{option: value}, **STEPS)
    assert not (folder / "never.bundle").exists()
