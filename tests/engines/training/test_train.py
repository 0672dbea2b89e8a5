"""Training from folder to bundle: records, reproducibility, interruption, several processes, impossible arguments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.parts import write_parts

pytest.importorskip("torch", reason="training needs the train extra")

import cv2

from engines.bundles.bundle import MODEL, MODEL_FP16, REPORT, WEIGHTS, Bundle, read_bundle
from engines.errors import BundleError, TrainingError
from engines.evaluation.at_threshold import at_given
from engines.evaluation.evaluate import evaluate_engine
from engines.runtime.opening import open_engine
from engines.training.plan import Devices, TrainingPlan
from engines.training.train import train_model

OPTIONS = {"filters": 8, "latent": 16}
ARGUMENTS: dict[str, Any] = {
    "recipe": "reference",
    "size": 32,
    "steps": 12,
    "minutes": None,
    "options": OPTIONS,
    "devices": Devices("cpu"),
}
FISHBONES = Path(__file__).parents[4] / "shared" / "data" / "fishbones"


def test_manifest_records_the_training(trained_bundle: Bundle) -> None:
    record = trained_bundle.manifest.training
    assert (record.seed, record.steps, record.stopped) == (0, 12, "finished")
    assert record.images_used + record.images_held_out == 24
    assert record.images_held_out == 4
    assert record.held_out.minimum <= record.held_out.median <= record.held_out.maximum
    assert record.agreement[MODEL] < 1e-4
    assert record.agreement[MODEL_FP16] < 1e-2
    assert any("24 good images are few, wanted at least 50" in line for line in record.warnings)
    assert record.versions["torch"]


def test_default_recipe_starts_from_pretrained_weights_and_says_whose(good_parts: Path, tmp_path: Path) -> None:
    """Both graphs agree with PyTorch, and the manifest names source, licence and hash of the foreign weights."""
    plan = TrainingPlan(
        good_parts, out=tmp_path / "x.bundle", size=(32, 48), steps=2, minutes=None, devices=Devices("cpu")
    )
    bundle = train_model(plan).bundle
    record = bundle.manifest.training
    assert bundle.manifest.recipe.name == "pretrained"
    # The parts are square: they are padded on both sides, and no engine sees anything there.
    reference = bundle.reference()
    assert (reference.frames[:, :, :8] == bundle.manifest.view.padding).all()
    assert reference.heatmap[:, :, :4].max() == 0.0
    assert reference.heatmap[:, :, 4:20].max() > 0.0
    assert [weights.licence for weights in record.foreign_weights] == ["Apache-2.0"]
    assert record.agreement[MODEL] < 1e-4
    assert record.agreement[MODEL_FP16] < 1e-2
    # Small frames are seen at twice their size.
    assert bundle.manifest.recipe.options == {"enlarged": 2}
    assert bundle.manifest.heatmap_shape == (16, 24)


def test_bundle_holds_a_training_report(trained_bundle: Bundle) -> None:
    image = cv2.imread(str(trained_bundle.path / REPORT))
    assert image.shape[1] > 1000
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100


def test_training_again_with_the_same_seed_gives_the_same_model(
    trained_bundle: Bundle, good_parts: Path, tmp_path: Path
) -> None:
    """Byte for byte, on one thread: weights, both graphs and the reference."""
    again = train_model(TrainingPlan(good_parts, out=tmp_path / "again.bundle", **ARGUMENTS)).bundle
    for name in (MODEL, MODEL_FP16, WEIGHTS, "reference.npz"):
        assert again.manifest.files[name] == trained_bundle.manifest.files[name], name


def test_training_that_is_interrupted_leaves_a_usable_bundle(good_parts: Path, tmp_path: Path) -> None:
    """A real Ctrl-C during a step, and a second one while the bundle is being written."""
    fractions = []
    # A shell without job control starts background processes with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press(fraction: float, message: str) -> None:
        fractions.append(fraction)
        if message in ("training, step 3", "exporting FP16"):
            signal.raise_signal(signal.SIGINT)

    out = tmp_path / "early.bundle"
    plan = TrainingPlan(good_parts, out=out, **{**ARGUMENTS, "steps": None, "minutes": 60}, seed=1)
    result = train_model(plan, press)
    signal.signal(signal.SIGINT, before)
    assert result.record.stopped == "interrupted"
    assert result.record.steps == 3
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    with open_engine(read_bundle(out), "onnxruntime", threads=1) as engine:
        assert engine.score(result.bundle.reference().frames).score.shape == (8,)


SCRIPT = """
import sys
from engines.training.plan import Devices, TrainingPlan
from engines.training.train import train_model
plan = TrainingPlan(sys.argv[1], out=sys.argv[2], recipe="reference", size=(32, 48), steps=6, minutes=None,
                    devices=Devices("cpu", 2), options={"filters": 8, "latent": 16})
result = train_model(plan)
print("main" if result.is_main else "helper", result.bundle.sha256, flush=True)
"""


def test_training_on_two_processes_makes_one_bundle(tmp_path: Path, sixteen_bit_parts: Path) -> None:
    """The script is started once; Fabric starts the second process, and both communicate over loopback."""
    (tmp_path / "script.py").write_text(SCRIPT)
    out = tmp_path / "two.bundle"
    command = [sys.executable, str(tmp_path / "script.py"), str(sixteen_bit_parts), str(out)]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    bundle = read_bundle(out)
    # Both print into one pipe, so only whole tokens are reliable.
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
        ({"devices": Devices("cpu", 0)}, "devices is 0"),
        ({"devices": Devices("abacus")}, "accelerator is 'abacus', wanted one of"),
        ({"devices": Devices("cpu", precision="3-bit")}, "these devices cannot be used"),
    ],
)
def test_training_with_impossible_arguments_is_rejected(
    good_parts: Path, tmp_path: Path, changes: dict, wanted: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        train_model(TrainingPlan(good_parts, **{"out": tmp_path / "x.bundle", "devices": Devices("cpu"), **changes}))
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.bundle").exists()


def test_training_is_not_started_if_the_bundle_cannot_be_written(good_parts: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(BundleError, match="exists and is not a bundle"):
        train_model(TrainingPlan(good_parts, out=tmp_path / "taken", steps=1))


@pytest.mark.skipif(not FISHBONES.is_dir(), reason="../shared/data/fishbones is not here")
def test_training_on_xray_frames_can_be_evaluated(tmp_path: Path) -> None:
    progress: list[float] = []
    good = sorted((FISHBONES / "train" / "good").iterdir())[:80]
    plan = TrainingPlan(good, out=tmp_path / "fish.bundle", **{**ARGUMENTS, "steps": 15})
    bundle = train_model(plan, lambda fraction, message: progress.append(fraction)).bundle
    assert progress == sorted(progress)
    with open_engine(bundle, threads=1) as engine:
        result = evaluate_engine(
            engine,
            FISHBONES / "test" / "good",
            FISHBONES / "test" / "defect",
            out=tmp_path / "report",
            judge=at_given(0.0),
        )
    assert (result.normal, result.abnormal) == (100, 340)
    assert result.auroc.low <= result.auroc.value <= result.auroc.high
    assert result.auroc.high - result.auroc.low < 0.15
    assert result.at_threshold is not None
    assert result.at_threshold.recall == 1.0
    names = {"evaluation.json", "roc.png", "histogram.png", "report.html"}
    assert {path.name for path in (tmp_path / "report").iterdir()} == names
