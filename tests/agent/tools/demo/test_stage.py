"""The folder of a demo run."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.settings import load_settings
from agent.tools.demo.stage import CAMERA, MODES, prepare_stage


@pytest.mark.parametrize("mode", MODES)
def test_settings_are_valid_and_name_the_bundle_of_the_mode(tmp_path: Path, mode: str) -> None:
    stage = prepare_stage(tmp_path / "out", mode, seed=7)
    settings = load_settings(stage.settings)
    assert settings.mqtt.url == stage.url
    assert settings.socket_path == stage.control_socket
    assert settings.cameras[CAMERA].bundle.name == f"simulator-{mode}.bundle"
    assert (settings.cameras[CAMERA].bundle / "manifest.json").exists()


def test_earlier_demo_is_removed(tmp_path: Path) -> None:
    stage = prepare_stage(tmp_path / "out", "camera", seed=0)
    stage.alarms.mkdir()
    prepare_stage(tmp_path / "out", "xray", seed=0)
    assert not stage.alarms.exists()


def test_folder_with_other_files_is_rejected_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(Permanent, match="not empty and not from a demo"):
        prepare_stage(tmp_path, "camera", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_unknown_mode_is_rejected_before_anything_is_removed(tmp_path: Path) -> None:
    stage = prepare_stage(tmp_path / "out", "camera", seed=0)
    with pytest.raises(Permanent, match="--mode ultrasound: wanted camera or xray"):
        prepare_stage(tmp_path / "out", "ultrasound", seed=0)
    assert stage.settings.exists()
