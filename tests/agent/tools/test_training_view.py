"""What a training from the page inspects: the view in force, all of it, or the one that was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import Permanent
from engines.bundles import Bundle, CropBox
from tests.support.loose_parts import HEIGHT, PLATE, WIDTH, aligned_copy, taught

pytest.importorskip("torch", reason="training needs the train extra")

from agent.tools.training_job.job import _view
from engines.training.view_choice import WHOLE_IMAGE

DRAWN = {"crop": {"x": 1, "y": 2, "width": 30, "height": 40}, "exclude": [[[0, 0], [9, 0], [9, 9]]]}


def shown(bundle: Bundle, **more: Any) -> dict[str, Any]:
    """What the command `view` returns of a camera with this bundle."""
    return {"bundle": str(bundle.path), "crop": PLATE.model_dump(), "drawn": None, **more}


def test_the_view_in_force_keeps_its_alignment(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = aligned_copy(tiny_bundle, tmp_path, taught(tmp_path / "taught.png").for_size(HEIGHT, WIDTH))
    choice = _view("in_force", shown(bundle))
    assert choice.like == bundle.manifest.view


def test_a_drawn_view_is_crop_and_mask(tiny_bundle: Bundle) -> None:
    choice = _view("drawn", shown(tiny_bundle, drawn=DRAWN))
    assert (choice.crop, choice.like) == (CropBox(x=1, y=2, width=30, height=40), None)
    assert choice.mask is not None
    assert not choice.mask.for_size(60, 60).inspected()[1, 8]
    with pytest.raises(Permanent, match="no view is drawn any more"):
        _view("drawn", shown(tiny_bundle))
    assert _view("whole", shown(tiny_bundle, drawn=DRAWN)) == WHOLE_IMAGE
