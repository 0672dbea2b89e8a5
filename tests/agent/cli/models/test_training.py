"""A training that has learned nothing ends with exit code 1, and the bundle that it wrote is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer

from agent.cli.models.training_options import parse_number
from tests.support.agents import inspectd

pytest.importorskip("torch", reason="training needs the train extra")


def write_noise(folder: Path, count: int) -> None:
    """Images of noise with structure of any strength: nothing can be learned from them in a few steps."""
    import cv2

    folder.mkdir()
    chance = np.random.default_rng(3)
    for number in range(count):
        coarse = cv2.resize(chance.normal(128.0, 60.0, (8, 8)), (32, 32))
        image = np.clip(coarse + chance.normal(0.0, 40.0, (32, 32)), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"{number:03}.png"), image)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "value"), [("10px", 10.0), (" 10 PX", 10.0), ("7,5px", 7.5), ("4", 4.0), (None, None)]
)
def test_numbers_are_read_with_or_without_their_unit(text: str | None, value: float | None) -> None:
    assert parse_number(text, "px", "--smallest-defect") == value


@pytest.mark.parametrize("text", ["ten", "10ms", "0px", "-3", "inf", "nan", ""])
def test_a_number_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="wanted a number of px, such as 10px"):
        parse_number(text, "px", "--smallest-defect")


@pytest.mark.slow
def test_a_training_that_learned_nothing_says_so(tmp_path: Path) -> None:
    write_noise(tmp_path / "good", 120)
    out = tmp_path / "noise.bundle"
    done = inspectd(
        "train", "--normal", tmp_path / "good", "--out", out, "--recipe", "reference", "--size", "32", "--steps", "1"
    )
    assert done.returncode == 1
    assert "has learned nothing" in done.stderr
    assert "chance is 0.5" in done.stderr
    assert (out / "manifest.json").exists()
