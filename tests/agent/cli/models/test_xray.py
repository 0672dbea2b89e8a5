"""`inspectd xray calibrate`: training, score and the line see the same corrected images."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.doctor.check_result import Level
from agent.doctor.model import check_corrections
from agent.settings import load_settings
from engines.bundles import Bundle, read_bundle
from engines.images import inspect, read_correction, read_image
from tests.support.agent_settings import settings_text
from tests.support.command_line import assert_one_line, inspectd
from tests.support.detector import Detector, part

pytest.importorskip("torch", reason="training needs the train extra")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.fixture(scope="module")
def folder(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibrated and trained by the commands."""
    folder = tmp_path_factory.mktemp("xray")
    dark, flat = detector.folder(folder / "dark", 8, 0.0), detector.folder(folder / "flat", 12, 1.0)
    done = inspectd("xray", "calibrate", "--dark", dark, "--flat", flat, "--out", folder / "detector.npz")
    assert done.returncode == 0, done.stderr
    bad = detector.bad.sum()
    assert f"{bad} of 12288 pixels are bad ({bad / 12288:.3%}); non-uniformity 0." in done.stdout
    assert "on 3 flat images that were held out" in done.stdout
    good = detector.folder(folder / "good", 24, part())
    arguments = ["--recipe", "reference", "--size", "48x32", "--steps", "3", "--correction", folder / "detector.npz"]
    done = inspectd("train", "--normal", good, "--out", folder / "x.bundle", *arguments)
    assert "trained on" in done.stdout, done.stderr
    return folder


def test_bundle_has_the_correction_and_corrects(folder: Path) -> None:
    bundle = read_bundle(folder / "x.bundle")
    assert bundle.manifest.view is not None
    assert bundle.manifest.view.correction == read_correction(folder / "detector.npz").about
    raw = read_image(folder / "good" / "000.png")
    assert raw[40].max() < 600
    seen = inspect(raw, bundle.manifest.view).image
    assert seen[40].min() > 0.4 * bundle.manifest.view.correction.level, "the dead row is replaced"
    done = inspectd("view", folder / "x.bundle", folder / "good" / "000.png", "--out", folder / "view.png")
    assert "correction    128×96, detector" in done.stdout, done.stderr
    done = inspectd("bundle", "lean", folder / "x.bundle", folder / "lean.bundle")
    assert done.returncode == 0, done.stderr
    assert (folder / "lean.bundle" / "correction.npz").exists()


def test_score_of_another_size_is_rejected_in_one_line(folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64), np.uint16))
    done = inspectd("score", folder / "x.bundle", tmp_path / "a.png")
    assert done.returncode == 1
    assert "the image is 64×48, 16 bit, 1 channels, the detector correction is for 128×96, 16 bit, gray" in done.stderr


def run(config: Path, bundle: Path, images: Path, correction: Path | None = None) -> Path:
    text = settings_text(bundle, f'kind = "folder"\npath = "{images}"')
    if correction is not None:
        text = text.replace("[cameras.line1.source]", f'correction = "{correction}"\n[cameras.line1.source]')
    config.write_text(text)
    return config


def test_line_inspects_with_the_correction_or_a_renewed_one(folder: Path, detector: Detector, tmp_path: Path) -> None:
    renewed = tmp_path / "renewed.npz"
    options = ["--dark", folder / "dark", "--flat", folder / "flat", "--out", renewed]
    assert inspectd("xray", "calibrate", *options, "--renew", folder / "detector.npz").returncode == 0
    images = detector.folder(tmp_path / "images", 70, part())
    for index, correction in enumerate((None, renewed)):
        (tmp_path / str(index)).mkdir()
        config = run(tmp_path / str(index) / "inspectd.toml", folder / "x.bundle", images, correction)
        done = inspectd("run", "--config", config)
        assert done.returncode == 0, done.stderr
        assert list((config.parent / "state" / "cameras" / "line1" / "calibrations").glob("*.json"))


def test_disagreement_ends_the_start_with_one_line(folder: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    other, config = tmp_path / "other.npz", tmp_path / "inspectd.toml"
    options = ["--dark", folder / "dark", "--flat", folder / "flat", "--out", other]
    assert inspectd("xray", "calibrate", *options).returncode == 0
    done = inspectd("run", "--config", run(config, folder / "x.bundle", folder / "good", other))
    assert_one_line(done, "is of detector", "as in x.bundle", "--renew keeps the detector")
    done = inspectd("run", "--config", run(config, folder / "x.bundle", folder / "good", tmp_path / "none.npz"))
    assert_one_line(done, "none.npz: cannot be read")
    done = inspectd("run", "--config", run(config, tiny_bundle.path, folder / "good", other))
    assert_one_line(done, "was trained without")
    broken = tmp_path / "broken.bundle"
    shutil.copytree(folder / "x.bundle", broken)
    (broken / "correction.npz").write_bytes(b"x")
    assert_one_line(inspectd("score", broken, folder / "good"), "correction.npz")


def test_doctor_names_the_correction_or_what_is_wrong_with_it(folder: Path, tmp_path: Path) -> None:
    config = run(tmp_path / "inspectd.toml", folder / "x.bundle", folder / "good")
    (found,) = check_corrections(load_settings(config))
    assert (found.level, found.subject) == (Level.OK, "correction line1")
    assert "bad pixels, non-uniformity 0." in found.text
    config = run(config, folder / "x.bundle", folder / "good", tmp_path / "none.npz")
    (found,) = check_corrections(load_settings(config))
    assert found.level is Level.PROBLEM
    assert "none.npz: cannot be read" in found.text


def test_mistake_of_the_command_is_one_line(folder: Path, tmp_path: Path) -> None:
    options = ["--dark", folder / "dark", "--flat", folder / "dark"]
    assert_one_line(
        inspectd("xray", "calibrate", *options, "--out", tmp_path / "a.npz"), "flat and dark images differ by"
    )
    assert not (tmp_path / "a.npz").exists()
    options = ["--dark", folder / "dark", "--flat", folder / "flat"]
    done = inspectd("xray", "calibrate", *options, "--out", tmp_path / "none" / "a.npz")
    assert_one_line(done, "cannot be written")
    image = next((folder / "good").iterdir())
    before = image.read_bytes()
    for mistaken in (image, folder / "good"):
        done = inspectd("xray", "calibrate", *options, "--out", mistaken)
        assert_one_line(done, "exists and is no detector correction, so it is not replaced")
    assert image.read_bytes() == before
