"""Wrong input and wrong usage of every command: one line, exit code 1 or 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.command_line import assert_one_line, inspectd


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["score", "{bundle}", "{tmp}/missing.png"], ["missing.png", "no such file"]),
        (["score", "{bundle}", "{tmp}"], ["no images in this folder"]),
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
        (["demo", "--out", ""], ["empty path"]),
        (["simulate", "{tmp}/simulated", "--mode", "ultrasound"], ["'ultrasound'", "camera or xray"]),
        (["simulate", ""], ["empty path"]),
        (["watch", "http://broker"], ["http://broker", "mqtt"]),
        (["watch", "--out", "{bundle}/manifest.json"], ["manifest.json", "wanted a folder"]),
        (["view", "{bundle}", "{good}/000.png", "--out", "{tmp}"], ["{tmp}", "cannot be written (Is a directory)"]),
        (["view", "{bundle}", "/"], ["/: cannot be read"]),
        (["evaluate", "/", "--normal", "{good}", "--abnormal", "{good}"], ["manifest.json"]),
        (["evaluate", "{bundle}", "--normal", "{good}", "--abnormal", "{good}", "--false-alarms", ""], ["budget"]),
        (["bundle", "lean", "{bundle}", "{bundle}"], ["the bundle itself"]),
        (["bench", "{bundle}", "--config", "{tmp}/none.toml"], ["none.toml", "inspectd.example.toml"]),
        (["page", "user", "add", "anna", "--config", "{settings}"], ["no terminal", "--password-stdin"]),
        (["page", "user", "remove", "anna", "--config", "{settings}"], ["no account 'anna'; there are no accounts"]),
        (["train", "--normal", "{tmp}/none", "--out", "{tmp}/x.bundle"], ["none"]),
        (["train", "--normal", "{tmp}", "--out", "{tmp}/x.bundle"], ["no images in this folder"]),
        (["train", "--normal", "{good}", "--out", "{tmp}/x.bundle", "--recipe", "magic"], ["'magic'", "reference"]),
        (["train", "--normal", "{good}", "--out", "{tmp}/x.bundle", "--size", "50"], ["50", "16"]),
    ],
)
def test_wrong_input_is_one_line(
    tiny_bundle: Bundle, good_parts: Path, tmp_path: Path, arguments: list[str], wanted: list[str]
) -> None:
    if arguments[0] == "train":
        pytest.importorskip("torch", reason="training needs the train extra")
    settings = tmp_path / "line1.toml"
    places = {"bundle": tiny_bundle.path, "good": good_parts, "tmp": tmp_path, "settings": settings}
    if "{settings}" in arguments:
        settings.write_text(settings_text(tiny_bundle.path, 'kind = "simulator"'))
    done = inspectd(*(argument.format(**places) for argument in arguments))
    assert_one_line(done, *(words.format(**places) for words in wanted))


@pytest.mark.parametrize(
    "arguments",
    [
        ["launch"],
        ["run"],
        ["demo", "--seconds", "soon"],
        ["train", "--normal", "x"],
        ["bench", "x", "--seconds", "0"],
        ["bench", "x", "--seconds", "inf"],
        ["watch", "--config", "x", "--site", "plant"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    done = inspectd(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8:strict", b"k\xff.key: "), ("ascii:strict", b"k\xff.key: "), ("latin-1:strict", b"k\xff.key: ")],
)
def test_name_that_is_not_utf_8_is_printed_as_it_is_on_disk(tmp_path: Path, encoding: str, shown: bytes) -> None:
    """In every locale but C, Python raises an error for it."""
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", "bundle", "keygen", b"k\xff"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(shown)


def test_what_an_encoding_lacks_is_printed_as_its_number(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", "run", "--config", tmp_path / "≥.toml"],
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert b"\\u2265.toml: No such file" in done.stderr
    assert len(done.stderr.splitlines()) == 1
