"""The command line as people use it: a process, its output, its exit code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundles.bundle import Bundle
from tests.support.parts import write_parts


def inspectd(*arguments: str | Path, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *wanted: str) -> None:
    """Failed with this exit code and one line that says what was got and wanted."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("inspectd: ")]
    assert len(lines) == 1, done.stderr
    for words in wanted:
        assert words in lines[0]


@pytest.fixture
def bad_parts(tmp_path: Path) -> Path:
    return write_parts(tmp_path / "bad", 6, seed=3, scratch=True)


def test_score_prints_a_json_line_for_each_picture(tiny_bundle: Bundle, good_parts: Path, tmp_path: Path) -> None:
    done = inspectd("score", tiny_bundle.path, good_parts, "--json", "--heatmaps", tmp_path / "heat")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 24
    assert all(line["score"] >= 0.0 for line in lines)
    assert cv2.imread(lines[0]["heatmap"]).shape == (32, 32, 3)


def test_score_goes_on_after_a_broken_picture(tiny_bundle: Bundle, good_parts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(good_parts, folder)
    whole = (folder / "003.png").read_bytes()
    (folder / "003.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("not a picture")
    assert cv2.imwrite(str(folder / "deep.png"), np.zeros((40, 40), np.uint16))
    done = inspectd("score", tiny_bundle.path, folder, "--json")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 23
    assert "003.png" in done.stderr
    assert "deep.png" in done.stderr
    assert "2 of the pictures could not be scored" in done.stderr
    assert "Traceback" not in done.stderr


def test_bundle_is_signed_and_verified(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle.path, tmp_path / "line1.bundle"))
    made = inspectd("bundle", "keygen", tmp_path / "plant")
    assert made.returncode == 0, made.stderr
    assert 'trusted_keys = ["plant.pub"]' in made.stdout
    assert_one_line(inspectd("bundle", "keygen", tmp_path / "plant"), 1, "plant.key: exists", "never overwritten")
    assert_one_line(
        inspectd("bundle", "verify", bundle, "--key", tmp_path / "plant.pub"), 1, "line1.bundle: not signed"
    )
    signed = inspectd("bundle", "sign", bundle, "--key", tmp_path / "plant.key")
    assert signed.returncode == 0, signed.stderr
    verified = inspectd("bundle", "verify", bundle, "--key", tmp_path / "plant.pub")
    assert verified.returncode == 0, verified.stderr
    assert "signed by" in verified.stdout
    assert inspectd("bundle", "verify", bundle).returncode == 2


def test_evaluate_prints_figures_and_writes_pictures(
    tiny_bundle: Bundle, good_parts: Path, bad_parts: Path, tmp_path: Path
) -> None:
    arguments = ("evaluate", tiny_bundle.path, "--normal", good_parts, "--abnormal", bad_parts, "--out", tmp_path / "e")
    done = inspectd(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert 0.0 <= json.loads(done.stdout)["auroc"]["value"] <= 1.0
    assert cv2.imread(str(tmp_path / "e" / "roc.png")) is not None
    assert cv2.imread(str(tmp_path / "e" / "histogram.png")) is not None
    people = inspectd(*arguments)
    assert "AUROC" in people.stdout
    assert "no threshold       half of the normal images calibrate one, wanted 50" in people.stdout


def test_bench_prints_both_rates_and_their_ratio(tiny_bundle: Bundle) -> None:
    done = inspectd("bench", tiny_bundle.path, "--seconds", "1", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["engine_frames_per_second"] > 0
    assert result["loop_frames_per_second"] > 0
    assert result["loop_over_engine"] > 0
    assert result["capture_to_verdict_ms"]["p99"] >= result["capture_to_verdict_ms"]["p50"]


def test_simulate_writes_folders_to_train_on(tmp_path: Path) -> None:
    done = inspectd("simulate", tmp_path / "parts", "--mode", "xray", "--count", "12", "--defect-rate", "0.3")
    assert done.returncode == 0, done.stderr
    picture = cv2.imread(str(next((tmp_path / "parts" / "train" / "good").iterdir())), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint16


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["score", "{bundle}", "{tmp}/missing.png"], ["missing.png", "no such file"]),
        (["score", "{bundle}", "{tmp}"], ["no pictures in this folder"]),
        (["score", "{tmp}", "{good}"], ["manifest.json"]),
        (["score", "{bundle}", "{good}", "--engine", "quantum"], ["'quantum'", "onnxruntime"]),
        (["evaluate", "{bundle}", "--normal", "{tmp}/none", "--abnormal", "{good}"], ["none"]),
        (
            ["evaluate", "{bundle}", "--normal", "{good}", "--abnormal", "{good}", "--false-alarms", "1 per shift"],
            ["'1 per shift'", "wanted one in parts"],
        ),
        (["run", "--config", "{tmp}/none.toml"], ["none.toml", "inspectd.example.toml"]),
        (["status", "--socket", "{tmp}/none.sock"], ["no agent answers", "is it running?"]),
        (["recalibrate", "--socket", "{tmp}/none.sock"], ["no agent answers"]),
        (["demo", "--mode", "ultrasound", "--out", "{tmp}/demo"], ["ultrasound", "camera or xray"]),
        (["watch", "http://broker"], ["http://broker", "mqtt"]),
        (["train", "--normal", "{tmp}/none", "--out", "{tmp}/x.bundle"], ["none"]),
        (["train", "--normal", "{tmp}", "--out", "{tmp}/x.bundle"], ["no images in this folder"]),
        (["train", "--normal", "{good}", "--out", "{tmp}/x.bundle", "--recipe", "magic"], ["'magic'", "reference"]),
        (["train", "--normal", "{good}", "--out", "{tmp}/x.bundle", "--size", "50"], ["50", "16"]),
    ],
)
def test_bad_input_is_one_line(
    tiny_bundle: Bundle, good_parts: Path, tmp_path: Path, arguments: list[str], wanted: list[str]
) -> None:
    places = {"bundle": tiny_bundle.path, "good": good_parts, "tmp": tmp_path}
    assert_one_line(inspectd(*(argument.format(**places) for argument in arguments)), 1, *wanted)


@pytest.mark.parametrize(
    "arguments",
    [["launch"], ["run"], ["demo", "--seconds", "soon"], ["train", "--normal", "x"], ["bench", "x", "--seconds", "0"]],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    done = inspectd(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_demo_leaves_a_folder_that_is_not_its_own_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert_one_line(inspectd("demo", "--out", tmp_path), 1, "not empty and not from a demo")
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_an_altered_bundle_is_refused(tiny_bundle: Bundle, good_parts: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered.bundle"
    shutil.copytree(tiny_bundle.path, altered)
    with (altered / "model.onnx").open("ab") as model:
        model.write(b"\0")
    assert_one_line(inspectd("score", altered, good_parts), 1, "model.onnx")
