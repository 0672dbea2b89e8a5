"""Raw images of a detector: train, score, evaluate, view and run read them in one way, from one description."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engines.bundles import FileReading, RawFormat
from tests.support.agent_settings import settings_text
from tests.support.command_line import assert_one_line, inspectd

pytest.importorskip("torch", reason="training needs the train extra")

RAW = "40x32,bits=32,byte_order=big,header_bytes=16,frames=2"
RANGE = "0,2"


def write(folder: Path, count: int, *, bad: bool = False) -> Path:
    """Raw files of two float images each, of a bright disc; in bad ones it is dark."""
    folder.mkdir()
    random = np.random.default_rng(len(folder.name))
    y, x = np.mgrid[0:32, 0:40]
    for number in range(count):
        level = 0.2 if bad else 1.5
        disc = np.where((x - 20) ** 2 + (y - 16) ** 2 < 100, level, 1.0)
        frames = disc + random.normal(0, 0.02, (2, 32, 40))
        (folder / f"{number}.raw").write_bytes(bytes(16) + frames.astype(">f4").tobytes())
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by the command on 12 files, which hold 24 images."""
    folder = tmp_path_factory.mktemp("raw")
    arguments = ["--recipe", "reference", "--size", "32", "--steps", "3", "--raw", RAW, "--value-range", RANGE]
    done = inspectd("train", "--normal", write(folder / "good", 12), "--out", folder / "x.bundle", *arguments)
    assert "trained on" in done.stdout, done.stderr
    return folder / "x.bundle"


def test_bundle_says_how_its_images_were_read(bundle: Path) -> None:
    view = json.loads((bundle / "manifest.json").read_text())["view"]
    assert FileReading.model_validate(view["reading"]) == FileReading(
        raw=RawFormat(width=40, height=32, bits=32, byte_order="big", header_bytes=16, frames=2), value_range=(0.0, 2.0)
    )


def test_score_evaluate_and_view_need_no_option(bundle: Path, tmp_path: Path) -> None:
    good, bad = write(tmp_path / "more", 2), write(tmp_path / "bad", 2, bad=True)
    heatmaps = tmp_path / "heatmaps"
    done = inspectd("score", bundle, good, bad / "0.raw", bad / "1#2.raw", "--json", "--heatmaps", heatmaps)
    assert done.returncode == 0, done.stderr
    names = [Path(json.loads(line)["path"]).name for line in done.stdout.splitlines()]
    assert names == ["0#1.raw", "0#2.raw", "1#1.raw", "1#2.raw", "0#1.raw", "0#2.raw", "1#2.raw"]
    assert (heatmaps / "1#2.png").exists()
    done = inspectd("evaluate", bundle, "--normal", good, "--abnormal", bad, "--json")
    assert json.loads(done.stdout)["normal"] == json.loads(done.stdout)["abnormal"] == 4
    done = inspectd("view", bundle, good / "0#2.raw", "--out", tmp_path / "view.png")
    assert "40×32, 16 bit" in done.stdout, done.stderr


def test_truncated_file_and_another_geometry_are_named_in_one_line(bundle: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "more", 1)
    (folder / "short.raw").write_bytes((folder / "0.raw").read_bytes()[:-4])
    done = inspectd("score", bundle, folder)
    assert done.returncode == 1
    assert "short.raw: 10252 bytes, wanted 10256 for 40×32, 32 bit big-endian after 16 bytes, 2 frames" in done.stderr
    other = [*RAW.split(",", 1)]
    arguments = ["--recipe", "reference", "--steps", "1", "--raw", f"48x32,{other[1]}", "--value-range", RANGE]
    done = inspectd("train", "--normal", folder, "--out", tmp_path / "y.bundle", *arguments)
    assert_one_line(done, "0 usable of 2 images", "truncated, or of another geometry")


@pytest.mark.parametrize(
    ("option", "text", "reason"),
    [
        ("--raw", "40", "height"),
        ("--raw", "40x32,bits=20", "bits: Value error, wanted 8 to 16, or 32 for float"),
        ("--raw", "40x32,colour=red", "colour"),
        ("--value-range", "1", "--value-range"),
        ("--value-range", "2,1", "wanted a lower and a higher number"),
    ],
)
def test_option_that_is_not_understood_is_wrong_usage(tmp_path: Path, option: str, text: str, reason: str) -> None:
    done = inspectd("train", "--normal", tmp_path, "--out", tmp_path / "x.bundle", option, text)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())


def test_agent_runs_with_the_range_of_the_training_only(bundle: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "line", 40)
    raw = "{ width = 40, height = 32, bits = 32, byte_order = 'big', header_bytes = 16, frames = 2 }"
    config = tmp_path / "inspectd.toml"

    def source(value_range: str) -> str:
        return f'kind = "folder"\npath = "{folder}"\nraw = {raw}\n{value_range}'

    for value_range, got in (("", "none"), ("value_range = [0.0, 1.0]", "[0, 1]")):
        config.write_text(settings_text(bundle, source(value_range)))
        wanted = f"value_range of the source is {got}, x.bundle was trained with [0, 2]"
        assert_one_line(inspectd("run", "--config", config), wanted)
    config.write_text(settings_text(bundle, source("value_range = [0.0, 2.0]")))
    done = inspectd("run", "--config", config)
    assert done.returncode == 0, done.stderr
    assert "camera line1: ended" in done.stderr
    assert list((tmp_path / "state" / "cameras" / "line1" / "calibrations").glob("*.json"))
