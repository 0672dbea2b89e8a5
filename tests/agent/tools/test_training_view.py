"""What a training from the page inspects: the view in force, all of it, or the one that was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import Permanent
from engines.bundles import Bundle, CropBox, SensitiveRegion
from engines.images import SensitivityChoice
from tests.support.loose_parts import HEIGHT, PLATE, WIDTH, aligned_copy, taught, write_loose_parts

pytest.importorskip("torch", reason="training needs the train extra")

from agent.tools.training_job.job import _view
from engines.training.good_frames import load_good_frames
from engines.training.view_choice import WHOLE_IMAGE

DRAWN = {"crop": {"x": 1, "y": 2, "width": 30, "height": 40}, "exclude": [[[0, 0], [9, 0], [9, 9]]]}
REGION = {"factor": 3.0, "polygon": [[70, 50], [90, 50], [90, 70]]}


def shown(bundle: Bundle, **more: Any) -> dict[str, Any]:
    """What the command `view` returns of a camera with this bundle."""
    return {"bundle": str(bundle.path), "crop": PLATE.model_dump(), "drawn": None, **more}


def test_the_view_in_force_keeps_its_alignment(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = aligned_copy(tiny_bundle, tmp_path, taught(tmp_path / "taught.png").for_size(HEIGHT, WIDTH))
    choice = _view("in_force", shown(bundle))
    assert choice.like == bundle.manifest.view


def test_a_view_drawn_where_parts_are_aligned_keeps_the_alignment(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = aligned_copy(tiny_bundle, tmp_path, taught(tmp_path / "taught.png").for_size(HEIGHT, WIDTH))
    crop = {"x": 50, "y": 40, "width": 50, "height": 40}
    drawn = {"crop": crop, "exclude": [[[50, 40], [60, 40], [60, 50]]], "sensitivity": [REGION]}
    choice, known = _view("drawn", shown(bundle, drawn=drawn)), bundle.manifest.view
    assert known is not None
    assert choice.like is not None
    assert (choice.like.alignment, choice.like.crop) == (known.alignment, CropBox(**crop))
    assert choice.weighed
    write_loose_parts(tmp_path / "good", 12, seed=3)
    good = load_good_frames(tmp_path / "good", (48, 64), choice)
    assert len(good.frames) == 12, "parts that lie anyhow are found"
    assert (good.view.alignment, good.view.mask) == (known.alignment, choice.like.mask)
    assert good.view.fill[0] == pytest.approx(70, abs=20), "the gray of these plates, not that of a bundle"
    whole = _view("whole", shown(bundle)).like
    assert whole is not None
    assert (whole.alignment, whole.mask) == (known.alignment, None)
    assert whole.crop == CropBox(x=0, y=0, width=WIDTH, height=HEIGHT)


def test_a_drawn_view_is_crop_and_mask(tiny_bundle: Bundle) -> None:
    choice = _view("drawn", shown(tiny_bundle, drawn=DRAWN))
    assert (choice.crop, choice.like) == (CropBox(x=1, y=2, width=30, height=40), None)
    assert choice.mask is not None
    assert not choice.mask.for_size(60, 60).inspected()[1, 8]
    weighed = _view("drawn", shown(tiny_bundle, drawn={**DRAWN, "sensitivity": [REGION]}))
    assert weighed.sensitivity == SensitivityChoice((SensitiveRegion.model_validate(REGION),))
    with pytest.raises(Permanent, match="no view is drawn any more"):
        _view("drawn", shown(tiny_bundle))
    assert _view("whole", shown(tiny_bundle, drawn=DRAWN)) == WHOLE_IMAGE
