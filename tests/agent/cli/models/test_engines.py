"""`inspectd engine …` and `inspectd bench`, and an agent whose preferred engine is rejected, as processes."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.tools.engine_check import EngineComparison, ImagePair
from calibration import Store
from engines.backends import Hardware
from engines.bundles.bundle import Bundle, reference_archive, write_bundle, write_lean_copy
from engines.runtime.choice import Choice, recall, remember
from engines.runtime.hardware import describe_processor, has_hardware
from tests.calibration.lines import NOON, heat, image, scores, window
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.command_line import inspectd
from tests.support.parts import write_parts

SETTINGS = """\
site = "plant"
state_directory = "state"
inference_threads = 1
[mqtt]
url = "{url}"
[cameras.line1]
bundle = "{bundle}"
[cameras.line1.source]
kind = "folder"
path = "images"
follow = true
"""


@pytest.fixture
def openvino() -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.mark.usefixtures("openvino")
def test_engine_compare_shows_two_engines_on_the_same_images(tiny_bundle: Bundle, good_parts: Path) -> None:
    command = ("engine", "compare", tiny_bundle.path, good_parts, "--b", "openvino", "--threshold", "1e9", "--json")
    done = inspectd(*command)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["engines"] == ["onnxruntime", "openvino"]
    assert [pair["picture"] for pair in result["pairs"]] == [f"{index:03}.png" for index in range(24)]
    assert all(pair["score_difference"] < 1e-3 for pair in result["pairs"])
    assert len({pair["a"] for pair in result["pairs"]}) == 24
    assert result["flipped"] == []


def test_engine_build_with_auto_prints_the_engine_and_the_reason(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(SETTINGS.format(url="mqtt://localhost", bundle=tiny_bundle.path))
    command = ("engine", "build", tiny_bundle.path, "--engine", "auto", "--config", tmp_path / "agent.toml", "--json")
    done = inspectd(*command)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["engine"], result["reason"]) == ("onnxruntime", "auto: runs on every CPU")


def test_engine_build_without_tensorrt_and_gpu_is_one_line(tiny_bundle: Bundle) -> None:
    if has_hardware(Hardware.NVIDIA_GPU):
        pytest.skip("this machine has a GPU; tests/gpu checks it")
    done = inspectd("engine", "build", tiny_bundle.path, "--engine", "tensorrt")
    assert done.returncode == 1
    assert done.stderr.startswith("inspectd: tensorrt engine: ")
    assert done.stderr.endswith("; no NVIDIA GPU was found on this machine\n")
    assert done.stderr.count("\n") == 1


def test_engine_compare_with_a_threshold_that_is_not_finite_is_rejected(tiny_bundle: Bundle) -> None:
    """No score is above or below NaN: all images would be judged alike."""
    done = inspectd("engine", "compare", tiny_bundle.path, "--b", "onnxruntime", "--threshold", "nan")
    assert (done.returncode, done.stderr) == (1, "inspectd: threshold is nan, wanted a finite number\n")


def test_engine_without_its_weights_is_one_line_with_the_bundle(tmp_path: Path, tiny_bundle: Bundle) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    lean = write_lean_copy(tiny_bundle, tmp_path / "lean.bundle")
    done = inspectd("engine", "compare", lean.path, "--b", "torch")
    assert done.returncode == 1
    assert done.stderr.startswith(f"inspectd: {lean.path}: no weights.npz in this bundle")
    assert done.stderr.count(str(lean.path)) == done.stderr.count("\n") == 1


def test_comparison_lists_images_that_are_judged_differently() -> None:
    pairs = [ImagePair("good.png", 1.0, 1.01, 0.01, 0.0), ImagePair("edge.png", 1.99, 2.02, 0.015, 0.1)]
    lines = list(EngineComparison(("onnxruntime", "tensorrt"), (9.0, 1.0), pairs, thresholds=(1.5, 2.0)).lines())
    assert lines[-2:] == [
        "at threshold 1.5 judged differently: none",
        "at threshold 2 judged differently: edge.png",
    ]
    assert lines[-4] == "largest relative difference: score 0.015, heatmap 0.1"


def test_engine_build_checks_against_the_reference(tiny_bundle: Bundle) -> None:
    done = inspectd("engine", "build", tiny_bundle.path, "--engine", "onnxruntime", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["score_error"] < result["tolerance"] == tiny_bundle.manifest.tolerance.fp32
    assert result["milliseconds"] > 0


def test_engine_build_without_a_bundle_is_one_line(tmp_path: Path) -> None:
    done = inspectd("engine", "build", tmp_path / "none.bundle")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("none.bundle: found nothing, wanted a bundle directory with manifest.json")


def test_bench_prints_both_rates_and_their_ratio(tiny_bundle: Bundle) -> None:
    done = inspectd("bench", tiny_bundle.path, "--seconds", "1", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["engine_frames_per_second"] > 0
    assert result["loop_frames_per_second"] > 0
    assert result["loop_over_engine"] > 0
    assert result["capture_to_verdict_ms"]["p99"] >= result["capture_to_verdict_ms"]["p50"]


@pytest.mark.usefixtures("openvino")
def test_bench_measures_every_engine_and_keeps_the_choice_for_an_agent(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "inspectd.toml").write_text(SETTINGS.format(url="mqtt://127.0.0.1:1", bundle=tiny_bundle.path))
    done = inspectd("bench", tiny_bundle.path, "--seconds", "1", "--config", tmp_path / "inspectd.toml", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {"onnxruntime", "openvino"} <= set(result["engines"])
    choice = recall(tmp_path / "state", tiny_bundle)
    assert choice is not None
    assert (choice.engine, dict(choice.frames_per_second)) == (result["fastest"], result["engines"])


def documents(subscriber: Subscriber, ending: str) -> list[dict[str, Any]]:
    """The payloads on topics with this ending."""
    return [json.loads(message.payload) for message in subscriber.on(ending)]


@pytest.fixture
def run_agent(tmp_path: Path, mosquitto: Callable[..., Mosquitto]) -> Callable[..., tuple[dict[str, Any], str]]:
    """Runs an agent that prefers OpenVINO for three frames; returns its only event and its log."""

    def run(bundle: Bundle, path: Path | None = None) -> tuple[dict[str, Any], str]:
        broker = mosquitto()
        (tmp_path / "inspectd.toml").write_text(SETTINGS.format(url=broker.url, bundle=bundle.path))
        write_parts(tmp_path / "images", 3, seed=1)
        rates = {"onnxruntime": 50.0, "openvino": 80.0}
        measured = Choice("openvino", rates, bundle.sha256, describe_processor(), "2026-05-01T10:00:00Z")
        remember(tmp_path / "state", measured)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, filter(None, (path, *sys.path))))}
        command = [sys.executable, "-m", "agent.cli", "run", "--config", str(tmp_path / "inspectd.toml")]
        subscriber = Subscriber(broker, "inspectd/plant/line1/event", "inspectd/plant/line1/state")
        agent = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: any(state["frames"] >= 3 for state in documents(subscriber, "/state")))
            wait_until(lambda: subscriber.on("/event"), what="the event")
        finally:
            agent.terminate()
            _, log = agent.communicate(timeout=150)
        subscriber.close()
        last = documents(subscriber, "/state")[-1]
        assert (last["engine"], last["engine_reason"]) == ("onnxruntime", "runs on every CPU")
        (event,) = documents(subscriber, "/event")
        return event, log

    return run


def test_rejected_engine_is_one_event_and_another_engine_runs(
    run_agent: Callable[..., tuple[dict[str, Any], str]], tmp_path: Path, tiny_bundle: Bundle
) -> None:
    """OpenVINO was measured to be faster, but its libraries are missing now."""
    (tmp_path / "broken" / "openvino").mkdir(parents=True)
    (tmp_path / "broken" / "openvino" / "__init__.py").write_text("raise ImportError('libopenvino.so: no such file')")
    event, log = run_agent(tiny_bundle, tmp_path / "broken")
    assert (event["event"], event["camera"], event["shift"]) == ("engine", "line1", None)
    assert event["text"].startswith(
        "runs on onnxruntime: openvino engine: cannot be loaded (libopenvino.so: no such file)"
    )
    assert "engine onnxruntime (ONNX Runtime" in log
    assert "Traceback" not in log


def near_its_threshold(bundle: Bundle, folder: Path) -> tuple[Bundle, float]:
    """A bundle with a reference score off by half the tolerance, and a threshold between it and the true one."""
    reference = bundle.reference()
    moved = dataclasses.replace(reference, score=reference.score * np.float32(1.0005))
    contents = {name: bundle.read(name) for name in bundle.manifest.files}
    contents["reference.npz"] = reference_archive(moved)
    return write_bundle(folder / "near.bundle", bundle.manifest, contents), float(moved.score[2]) / 1.00025


def activate(state: Path, bundle: Bundle, threshold: float) -> None:
    """A calibration of line1 with this threshold, made on ONNX Runtime."""
    collected = window(frames=300)
    for index, score in enumerate(scores(300)):
        collected.add(float(score), heat(index, shape=bundle.heatmap_shape), image(index))
    tied_to = {"camera": "line1", "bundle_sha256": bundle.sha256, "engine": "onnxruntime"}
    found = collected.finish(**tied_to, created_at=NOON, who="anna")
    made = dataclasses.replace(found, threshold=dataclasses.replace(found.threshold, value=threshold), id="")
    store = Store(state / "cameras" / "line1" / "calibrations")
    store.save(made)
    store.activate(made.id, who="anna", at=NOON)


@pytest.mark.usefixtures("openvino")
def test_engine_that_would_judge_differently_is_one_event_and_another_engine_runs(
    run_agent: Callable[..., tuple[dict[str, Any], str]], tmp_path: Path, tiny_bundle: Bundle
) -> None:
    bundle, threshold = near_its_threshold(tiny_bundle, tmp_path)
    activate(tmp_path / "state", bundle, threshold)
    event, log = run_agent(bundle)
    assert event["text"].startswith("runs on onnxruntime: openvino engine: reference frame 2 scores ")
    assert f"wanted the same side of the threshold {threshold:.6g} as" in event["text"]
    assert "Traceback" not in log


@pytest.mark.usefixtures("openvino")
def test_engine_commands_use_the_thresholds_of_the_agent(tmp_path: Path, tiny_bundle: Bundle) -> None:
    bundle, threshold = near_its_threshold(tiny_bundle, tmp_path)
    activate(tmp_path / "state", bundle, threshold)
    config = tmp_path / "inspectd.toml"
    config.write_text(SETTINGS.format(url="mqtt://127.0.0.1:1", bundle=bundle.path))
    done = inspectd("engine", "build", bundle.path, "--engine", "openvino", "--config", config)
    assert done.returncode == 1
    assert done.stderr.startswith("inspectd: openvino engine: reference frame 2 scores ")
    assert done.stderr.count("\n") == 1
    done = inspectd("engine", "compare", bundle.path, "--b", "openvino", "--config", config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"at threshold {threshold:g} judged differently: none"
