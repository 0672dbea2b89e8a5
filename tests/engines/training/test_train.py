"""Training from folder to bundle: what it keeps, when it stops, and that it can be done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.parts import write_parts

pytest.importorskip("torch", reason="training needs the train extra")

import cv2

from engines.bundles.bundle import MODEL, MODEL_FP16, REPORT, WEIGHTS, Bundle, read_bundle
from engines.errors import BundleError, TrainingError
from engines.evaluation.evaluate import evaluate
from engines.runtime.opening import open_engine
from engines.training.train import train

OPTIONS = {"filters": 8, "latent": 16}
FISHBONES = Path(__file__).parents[4] / "shared" / "data" / "fishbones"


def test_training_records_what_it_did(trained_bundle: Bundle) -> None:
    record = trained_bundle.manifest.training
    assert (record.seed, record.steps, record.stopped) == (0, 12, "finished")
    assert record.images_used + record.images_held_out == 24
    assert record.images_held_out == 4
    assert record.held_out.minimum <= record.held_out.median <= record.held_out.maximum
    assert record.agreement[MODEL] < 1e-4
    assert record.agreement[MODEL_FP16] < 1e-2
    assert any("24 good images are few, wanted at least 50" in line for line in record.warnings)
    assert record.versions["torch"]


def test_training_draws_a_report(trained_bundle: Bundle) -> None:
    picture = cv2.imread(str(trained_bundle.path / REPORT))
    assert picture.shape[1] > 1000
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100


def test_training_again_with_the_same_seed_gives_the_same_model(
    trained_bundle: Bundle, good_parts: Path, tmp_path: Path
) -> None:
    """Byte for byte: weights, both graphs and the reference; with as many threads as the first time."""
    import torch

    torch.set_num_threads(1)
    arguments = {
        "recipe": "reference",
        "size": 32,
        "steps": 12,
        "minutes": None,
        "options": OPTIONS,
        "accelerator": "cpu",
    }
    again = train(good_parts, out=tmp_path / "again.bundle", **arguments).bundle
    ours, theirs = again.manifest.files, trained_bundle.manifest.files
    for name in (MODEL, MODEL_FP16, WEIGHTS, "reference.npz"):
        assert ours[name] == theirs[name], name


def test_training_that_is_interrupted_leaves_a_usable_bundle(good_parts: Path, tmp_path: Path) -> None:
    """A real Ctrl-C while a step is under way, and an impatient second one while the bundle is being written."""
    shares = []
    # A shell without job control starts what it puts into the background deaf to Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press(share: float, message: str) -> None:
        shares.append(share)
        if message in ("training, step 3", "exporting FP16"):
            signal.raise_signal(signal.SIGINT)

    out = tmp_path / "early.bundle"
    result = train(
        good_parts,
        out=out,
        recipe="reference",
        size=32,
        minutes=60,
        options=OPTIONS,
        accelerator="cpu",
        progress=press,
        seed=1,
    )
    signal.signal(signal.SIGINT, before)
    assert result.record.stopped == "interrupted"
    assert result.record.steps == 3
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    with open_engine(read_bundle(out), "onnxruntime", threads=1) as engine:
        assert engine.score(result.bundle.reference().frames).score.shape == (8,)


SCRIPT = """
import sys
from engines.training.train import train
result = train(sys.argv[1], out=sys.argv[2], recipe="reference", size=(32, 48), steps=6, minutes=None,
               accelerator="cpu", devices=2, options={"filters": 8, "latent": 16})
print("main" if result.is_main else "helper", result.bundle.sha256, flush=True)
"""


def test_training_on_two_processes_makes_one_bundle(tmp_path: Path, sixteen_bit_parts: Path) -> None:
    """The script is started once; Fabric starts the second process, and both speak over loopback."""
    (tmp_path / "script.py").write_text(SCRIPT)
    out = tmp_path / "two.bundle"
    command = [sys.executable, str(tmp_path / "script.py"), str(sixteen_bit_parts), str(out)]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    bundle = read_bundle(out)
    # Both print into one pipe, so only whole tokens can be relied on.
    assert done.stdout.count(bundle.sha256) == 2
    assert done.stdout.count("main") == done.stdout.count("helper") == 1
    record = bundle.manifest.training
    # 17 frames between two processes are 9 each, one batch an epoch.
    assert (record.steps, record.epochs, record.images_used) == (6, 6.0, 17)
    assert bundle.geometry.bit_depth == 16
    assert bundle.geometry.shape == (32, 48, 1)
    with open_engine(bundle, "torch", threads=1) as engine:
        assert np.isfinite(engine.score(bundle.reference().frames).score).all()


@pytest.fixture
def sixteen_bit_parts(tmp_path: Path) -> Path:
    return write_parts(tmp_path / "good16", 20, depth=16)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"size": 40}, "size is 40×40, wanted multiples of 16"),
        ({"size": (32, 40)}, "size is 40×32, wanted multiples of 16"),
        ({"minutes": None}, "neither minutes nor steps are given"),
        ({"minutes": 0}, "minutes is 0, wanted more than 0"),
        ({"steps": 0}, "steps is 0, wanted at least 1"),
        ({"seed": -1}, "seed is -1"),
        ({"recipe": "magic"}, "recipe 'magic' is unknown, wanted one of"),
        ({"devices": 0}, "devices is 0"),
        ({"accelerator": "abacus"}, "accelerator is 'abacus', wanted one of"),
        ({"precision": "3-bit"}, "these devices cannot be used"),
    ],
)
def test_training_with_impossible_arguments_says_what_is_wanted(
    good_parts: Path, tmp_path: Path, changes: dict, wanted: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        train(good_parts, **{"out": tmp_path / "x.bundle", "accelerator": "cpu", **changes})
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.bundle").exists()


def test_training_never_starts_when_the_bundle_could_not_be_written(good_parts: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(BundleError, match="exists and is not a bundle"):
        train(good_parts, out=tmp_path / "taken", steps=1)


@pytest.mark.skipif(not FISHBONES.is_dir(), reason="../shared/data/fishbones is not here")
def test_training_on_xray_frames_ends_in_an_evaluation_with_pictures(tmp_path: Path) -> None:
    progress: list[float] = []
    good = sorted((FISHBONES / "train" / "good").iterdir())[:80]
    bundle = train(
        good,
        out=tmp_path / "fish.bundle",
        recipe="reference",
        size=32,
        steps=15,
        minutes=None,
        options=OPTIONS,
        accelerator="cpu",
        progress=lambda share, message: progress.append(share),
    ).bundle
    assert progress == sorted(progress)
    with open_engine(bundle, threads=1) as engine:
        result = evaluate(
            engine, FISHBONES / "test" / "good", FISHBONES / "test" / "defect", out=tmp_path / "report", threshold=0.0
        )
    assert (result.normal, result.abnormal) == (100, 340)
    assert result.auroc.low <= result.auroc.value <= result.auroc.high
    assert result.auroc.high - result.auroc.low < 0.15
    assert result.at_threshold is not None
    assert result.at_threshold.recall == 1.0
    names = {"evaluation.json", "roc.png", "histogram.png", "report.html"}
    assert {path.name for path in (tmp_path / "report").iterdir()} == names
