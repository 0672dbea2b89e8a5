"""`inspectd score` and `inspectd evaluate`, as processes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.command_line import assert_one_line, inspectd
from tests.support.loose_parts import HEIGHT, WIDTH, aligned_copy, taught, write_loose_parts
from tests.support.parts import write_parts
from tests.support.small_disk import fill, mounted


def test_score_prints_a_json_line_for_each_image(tiny_bundle: Bundle, good_parts: Path, tmp_path: Path) -> None:
    done = inspectd("score", tiny_bundle.path, good_parts, "--json", "--heatmaps", tmp_path / "heat")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 24
    assert all(line["score"] >= 0.0 for line in lines)
    assert cv2.imread(lines[0]["heatmap"]).shape == (32, 32, 3)


def test_heatmaps_of_images_with_the_same_name_are_all_kept(
    tiny_bundle: Bundle, good_parts: Path, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(good_parts / "003.png", tmp_path / folder)
    done = inspectd(
        "score", tiny_bundle.path, tmp_path / "a", tmp_path / "b", "--json", "--heatmaps", tmp_path / "heat"
    )
    assert done.returncode == 0, done.stderr
    written = [Path(json.loads(line)["heatmap"]) for line in done.stdout.splitlines()]
    assert [path.name for path in written] == ["003.png", "003-2.png"]
    assert all(path.is_file() for path in written)


def test_score_continues_after_a_damaged_image(tiny_bundle: Bundle, good_parts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(good_parts, folder)
    whole = (folder / "003.png").read_bytes()
    (folder / "003.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("not an image")
    assert cv2.imwrite(str(folder / "deep.png"), np.zeros((40, 40), np.uint16))
    done = inspectd("score", tiny_bundle.path, folder, "--json")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 23
    assert "003.png" in done.stderr
    assert "deep.png" in done.stderr
    assert "2 of the images could not be scored" in done.stderr
    assert "Traceback" not in done.stderr


def test_heatmaps_that_the_disk_does_not_take_end_the_command_with_one_line(
    tiny_bundle: Bundle, good_parts: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "disk", "64k") as disk:
        fill(disk / "fill")
        done = inspectd("score", tiny_bundle.path, good_parts, "--heatmaps", disk / "heat")
        assert_one_line(done, "000.png: cannot be written (No space left on device)")
        assert not list((disk / "heat").iterdir())


def test_a_name_with_control_characters_is_one_line_and_does_nothing_to_the_terminal(
    tiny_bundle: Bundle, good_parts: Path, tmp_path: Path
) -> None:
    shutil.copy(good_parts / "003.png", tmp_path / "a\x1b[2Jb\nc.png")
    (tmp_path / "d\x1b[2Je\nf.png").write_text("not an image")
    done = inspectd("score", tiny_bundle.path, tmp_path)
    (line,) = done.stdout.splitlines()
    assert line.endswith(r"a\x1b[2Jb\nc.png")
    first, _ = done.stderr.splitlines()
    assert r"d\x1b[2Je\nf.png: not a PNG" in first


def test_evaluate_prints_figures_and_writes_charts(tiny_bundle: Bundle, good_parts: Path, tmp_path: Path) -> None:
    bad_parts = write_parts(tmp_path / "bad", 6, seed=3, scratch=True)
    arguments = ("evaluate", tiny_bundle.path, "--normal", good_parts, "--abnormal", bad_parts, "--out", tmp_path / "e")
    done = inspectd(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert 0.0 <= json.loads(done.stdout)["auroc"]["value"] <= 1.0
    assert cv2.imread(str(tmp_path / "e" / "roc.png")) is not None
    assert cv2.imread(str(tmp_path / "e" / "histogram.png")) is not None
    people = inspectd(*arguments)
    assert "AUROC" in people.stdout
    assert "no threshold       wanted 50 different scores in half of the normal images" in people.stdout


def test_evaluate_judges_as_the_camera_of_the_settings(tiny_bundle: Bundle, tmp_path: Path) -> None:
    good, bad = write_parts(tmp_path / "good", 120), write_parts(tmp_path / "bad", 9, seed=3, scratch=True)
    source = 'kind = "video"\npath = "line.mp4"\nframes_per_second = 20.0'
    config = tmp_path / "line1.toml"
    config.write_text(settings_text(tiny_bundle.path, source, alarm='rule = "2 of 3"'))
    done = inspectd(
        "evaluate", tiny_bundle.path, "--normal", good, "--abnormal", bad, "--out", tmp_path / "e", "--config", config
    )
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert any(line.endswith("for 1 false alarm per 100 frames, rule 2 of 3") for line in lines), lines
    assert any("of 20 normal groups of 3 successive images" in line for line in lines), lines
    assert any(
        line.startswith("certificate") and "1 false alarm per 100 frames could not be certified" in line
        for line in lines
    ), lines
    alone = inspectd("evaluate", tiny_bundle.path, "--normal", good, "--abnormal", bad, "--camera", "line1")
    assert (alone.returncode, alone.stderr.count("\n")) == (1, 1)
    assert "got --camera without --config" in alone.stderr


def test_evaluate_inspects_as_the_camera_of_the_settings(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """Its limits of the alignment decide what is a part, and its crop belongs to the bundle."""
    alignment = taught(tmp_path / "taught.png", 0.6).for_size(HEIGHT, WIDTH)
    bundle = aligned_copy(tiny_bundle, tmp_path, alignment)
    lies = write_loose_parts(tmp_path / "good", 12, seed=1) + write_loose_parts(tmp_path / "bad", 8, seed=2, bad=True)
    far = sum(max(abs(each.right), abs(each.down)) > 4.5 for each in lies)
    near = sum(max(abs(each.right), abs(each.down)) < 3.5 for each in lies)
    config = tmp_path / "inspectd.toml"
    text = settings_text(bundle.path, f'kind = "folder"\npath = "{tmp_path / "good"}"')
    config.write_text(text + "[cameras.line1.alignment]\nmax_shift_pixels = 4\n")
    folders = ("--normal", tmp_path / "good", "--abnormal", tmp_path / "bad", "--out", tmp_path / "e", "--json")
    plain = inspectd("evaluate", bundle.path, *folders)
    assert json.loads(plain.stdout)["without_part"] == 0, plain.stderr
    done = inspectd("evaluate", bundle.path, *folders, "--config", config)
    assert far <= json.loads(done.stdout)["without_part"] <= len(lies) - near, done.stderr
    config.write_text(text + "[cameras.line1.crop]\nx = 0\ny = 0\nwidth = 60\nheight = 60\n")
    done = inspectd("evaluate", bundle.path, *folders, "--config", config)
    assert_one_line(done, "crop is 60×60 at 0,0, wanted that of aligned.bundle, 64×48 at 48,36")


def test_evaluate_without_matplotlib_prints_figures_and_a_line_about_the_report(
    tiny_bundle: Bundle, good_parts: Path, tmp_path: Path
) -> None:
    """As on a base install: for Python a module that is None in `sys.modules` is not installed."""
    (tmp_path / "sitecustomize.py").write_text('import sys\nsys.modules["matplotlib"] = None\n')
    bad_parts = write_parts(tmp_path / "bad", 6, seed=3, scratch=True)
    folders = ("--normal", good_parts, "--abnormal", bad_parts, "--out", tmp_path / "e")
    done = inspectd("evaluate", tiny_bundle.path, *folders, path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "AUROC" in done.stdout
    assert done.stdout.splitlines()[-1] == "no report: it needs matplotlib (pip install 'inspectd[train]')"
    assert [path.name for path in (tmp_path / "e").iterdir()] == ["evaluation.json"]
