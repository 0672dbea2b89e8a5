"""The kept choice: valid for its bundle and its machine only."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from engines.bundles.bundle import Bundle
from engines.runtime.choice import Choice, candidates, recall, remember
from engines.runtime.hardware import describe_processor


def choice_of(bundle: Bundle) -> Choice:
    """A choice of OpenVINO, as if measured on this machine."""
    rates = {"onnxruntime": 50.0, "openvino": 80.0}
    return Choice("openvino", rates, bundle.sha256, describe_processor(), "2026-05-01T10:00:00Z")


def test_choice_is_recalled_for_its_bundle_only(tiny_bundle: Bundle, tmp_path: Path) -> None:
    assert recall(tmp_path, tiny_bundle) is None
    remember(tmp_path, choice_of(tiny_bundle))
    assert recall(tmp_path, tiny_bundle) == choice_of(tiny_bundle)
    other = dataclasses.replace(tiny_bundle, sha256=tiny_bundle.sha256[:16] + "0" * 48)
    assert recall(tmp_path, other) is None


def test_choice_of_another_machine_is_ignored(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """A state directory on a copied disk."""
    remember(tmp_path, dataclasses.replace(choice_of(tiny_bundle), machine="64 × other"))
    assert recall(tmp_path, tiny_bundle) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"engine": "openvino"}'])
def test_choice_that_cannot_be_read_is_ignored(tiny_bundle: Bundle, tmp_path: Path, content: str) -> None:
    remember(tmp_path, choice_of(tiny_bundle))
    (file,) = (tmp_path / "engines").iterdir()
    file.write_text(content)
    assert recall(tmp_path, tiny_bundle) is None
    assert list(candidates(tiny_bundle, tmp_path))[-1] == "onnxruntime"


@pytest.fixture
def usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU and all packages: this test machine may lack both."""
    monkeypatch.setattr("engines.runtime.choice.usable_engines", lambda: ["onnxruntime", "openvino", "tensorrt"])


@pytest.mark.usefixtures("usable")
def test_candidates_on_a_machine_with_a_gpu_start_with_tensorrt(tiny_bundle: Bundle, tmp_path: Path) -> None:
    reasons = candidates(tiny_bundle, tmp_path)
    assert reasons == {"tensorrt": "there is an NVIDIA GPU", "onnxruntime": "runs on every CPU"}


@pytest.mark.usefixtures("usable")
def test_candidates_after_a_measurement_without_the_gpu_still_start_with_tensorrt(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    """The GPU was added later."""
    remember(tmp_path, choice_of(tiny_bundle))
    assert list(candidates(tiny_bundle, tmp_path)) == ["tensorrt", "openvino", "onnxruntime"]


@pytest.mark.usefixtures("usable")
def test_candidates_after_a_measurement_with_the_gpu_start_with_the_fastest(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    rates = {"onnxruntime": 50.0, "openvino": 80.0, "tensorrt": 70.0}
    remember(tmp_path, dataclasses.replace(choice_of(tiny_bundle), frames_per_second=rates))
    assert list(candidates(tiny_bundle, tmp_path)) == ["openvino", "onnxruntime"]
