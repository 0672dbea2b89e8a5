"""`inspectd doctor` as a whole: settings that work, settings that do not, settings that cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from agent.doctor import Level, examine
from agent.doctor.fleet import examine_fleet
from tests.support.broker import Mosquitto
from tests.support.check_results import Configure, levels, only


def doctor(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent.cli", "doctor", "--config", str(config), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_device_without_problems_is_exit_code_0(configure: Configure, mosquitto: Callable[..., Mosquitto]) -> None:
    done = doctor(configure(url=mosquitto().url), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    results = {result["subject"]: result for result in json.loads(done.stdout)}
    assert "problem" not in {result["level"] for result in results.values()}
    assert {"settings", "python", "gpu", "clock", "disk", "bundle tiny.bundle", "engine onnxruntime"} < set(results)
    assert results["camera line1"]["text"].startswith("512×512 gray, 8 bit, ")
    assert results["camera line1"]["text"].endswith(" frames/s")
    assert results["broker"]["level"] == "ok"
    assert all(result["mend"] for result in results.values() if result["level"] != "ok")


def test_problem_is_exit_code_1_and_comes_with_its_fix(configure: Configure) -> None:
    done = doctor(configure(source='{ kind = "camera", device = "/dev/inspectd-none" }'))
    assert done.returncode == 1
    assert "problem  camera line1: camera /dev/inspectd-none does not exist" in done.stdout
    assert "→ sudo apt install v4l-utils; v4l2-ctl --list-devices" in done.stdout
    assert "→ sudo apt install mosquitto" in done.stdout
    assert "nothing listens there" in done.stdout
    assert done.stderr.splitlines() == ["inspectd: 2 problems found"]


def test_settings_with_mistakes_are_the_only_results(tmp_path: Path) -> None:
    config = tmp_path / "line1.toml"
    config.write_text('site = "plant"\n[cameras.line1]\nbundel = "x"\n')
    results = list(examine(config))
    assert set(levels(results)) == {Level.PROBLEM}
    assert any("did you mean bundle?" in result.text for result in results)
    assert all(str(result.fix).startswith(f"sudoedit {config}") for result in results)


def test_a_folder_instead_of_settings_is_not_to_be_edited(tmp_path: Path) -> None:
    for examined in (examine(tmp_path), examine_fleet(tmp_path)):
        result = only(examined)
        assert "Is a directory" in result.text
        assert result.fix == f"--config {tmp_path}/NAME.toml"


def test_settings_that_do_not_exist_are_copied_from_the_example(tmp_path: Path) -> None:
    result = only(examine(tmp_path / "line1.toml"))
    assert result.level is Level.PROBLEM
    assert "No such file or directory" in result.text
    assert str(result.fix).startswith("sudo install -D -m 644")
    assert str(tmp_path / "line1.toml") in str(result.fix)


def test_settings_that_are_not_toml_are_one_problem(tmp_path: Path) -> None:
    (tmp_path / "line1.toml").write_text("site = plant 1\n")
    result = only(examine(tmp_path / "line1.toml"))
    assert result.level is Level.PROBLEM
    assert "not TOML" in result.text
