"""`inspectd engine …` and `inspectd bench`, and an agent whose wanted engine is refused: as people start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.engine_check import Comparison, Pair
from engines.bundle import Bundle, write_lean_copy
from engines.selection import Choice, describe_processor, recall, remember, shows_gpu
from tests.broker import Mosquitto, Subscriber, wait_until
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
path = "pictures"
follow = true
"""


def inspectd(*arguments: str | Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, filter(None, (path, *sys.path))))}
    command = [sys.executable, "-m", "agent.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


@pytest.fixture
def openvino() -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.mark.usefixtures("openvino")
def test_engine_compare_shows_two_engines_on_the_same_pictures(tiny_bundle: Bundle, good_parts: Path) -> None:
    command = ("engine", "compare", tiny_bundle.path, good_parts, "--b", "openvino", "--threshold", "1e9", "--json")
    done = inspectd(*command)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["engines"] == ["onnxruntime", "openvino"]
    assert [pair["picture"] for pair in result["pairs"]] == [f"{index:03}.png" for index in range(24)]
    assert all(pair["score_difference"] < 1e-3 for pair in result["pairs"])
    assert len({pair["a"] for pair in result["pairs"]}) == 24
    assert result["flipped"] == []


def test_engine_build_with_auto_says_which_and_why(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(SETTINGS.format(url="mqtt://localhost", bundle=tiny_bundle.path))
    command = ("engine", "build", tiny_bundle.path, "--engine", "auto", "--config", tmp_path / "agent.toml", "--json")
    done = inspectd(*command)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["engine"], result["reason"]) == ("onnxruntime", "auto: runs on every CPU")


def test_engine_build_without_tensorrt_and_gpu_is_one_line(tiny_bundle: Bundle) -> None:
    if shows_gpu():
        pytest.skip("this machine has a GPU; tests/gpu looks at it")
    done = inspectd("engine", "build", tiny_bundle.path, "--engine", "tensorrt")
    assert done.returncode == 1
    assert done.stderr.startswith("inspectd: tensorrt engine: ")
    assert done.stderr.endswith("; and this machine shows no NVIDIA GPU\n")
    assert done.stderr.count("\n") == 1


def test_engine_compare_with_a_threshold_that_is_no_number_is_refused(tiny_bundle: Bundle) -> None:
    """Nothing is above it or below, so that every picture would be judged alike."""
    done = inspectd("engine", "compare", tiny_bundle.path, "--b", "onnxruntime", "--threshold", "nan")
    assert (done.returncode, done.stderr) == (1, "inspectd: threshold is nan, wanted a finite number\n")


def test_engine_without_its_weights_names_the_bundle_once(tmp_path: Path, tiny_bundle: Bundle) -> None:
    lean = write_lean_copy(tiny_bundle, tmp_path / "lean.bundle")
    done = inspectd("engine", "compare", lean.path, "--b", "torch")
    assert done.returncode == 1
    assert done.stderr.startswith(f"inspectd: {lean.path}: no weights.npz in this bundle")
    assert done.stderr.count(str(lean.path)) == done.stderr.count("\n") == 1


def test_comparison_names_pictures_that_are_judged_differently() -> None:
    pairs = [Pair("good.png", 1.0, 1.01, 0.01, 0.0), Pair("edge.png", 1.99, 2.02, 0.015, 0.1)]
    lines = list(Comparison(("onnxruntime", "tensorrt"), (9.0, 1.0), pairs, threshold=2.0).lines())
    assert lines[-1] == "at threshold 2 judged differently: edge.png"
    assert lines[-3] == "largest relative difference: score 0.015, heatmap 0.1"


def test_engine_build_checks_against_the_reference(tiny_bundle: Bundle) -> None:
    done = inspectd("engine", "build", tiny_bundle.path, "--engine", "onnxruntime", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["score_error"] < result["tolerance"] == tiny_bundle.manifest.tolerance.fp32
    assert result["milliseconds"] > 0


def test_engine_build_of_nothing_is_a_line(tmp_path: Path) -> None:
    done = inspectd("engine", "build", tmp_path / "none.bundle")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("none.bundle: found nothing, wanted a bundle directory with manifest.json")


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
    """The payloads on topics that end so."""
    return [json.loads(message.payload) for message in subscriber.on(ending)]


def test_refused_engine_is_one_event_and_another_one_runs(
    tmp_path: Path, tiny_bundle: Bundle, mosquitto: Callable[..., Mosquitto]
) -> None:
    """OpenVINO was measured to be faster, and its libraries are gone."""
    broker = mosquitto()
    (tmp_path / "inspectd.toml").write_text(SETTINGS.format(url=broker.url, bundle=tiny_bundle.path))
    write_parts(tmp_path / "pictures", 3, seed=1)
    (tmp_path / "broken" / "openvino").mkdir(parents=True)
    (tmp_path / "broken" / "openvino" / "__init__.py").write_text("raise ImportError('libopenvino.so: no such file')")
    rates = {"onnxruntime": 50.0, "openvino": 80.0}
    measured = Choice("openvino", rates, tiny_bundle.sha256, describe_processor(), "2026-05-01T10:00:00Z")
    remember(tmp_path / "state", measured)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "broken"), *sys.path])}
    command = [sys.executable, "-m", "agent.cli", "run", "--config", str(tmp_path / "inspectd.toml")]
    subscriber = Subscriber(broker, "inspectd/plant/line1/event", "inspectd/plant/line1/state")
    agent = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: any(state["frames"] >= 3 for state in documents(subscriber, "/state")), seconds=60)
    finally:
        agent.terminate()
        _, log = agent.communicate(timeout=30)
    subscriber.close()
    (event,) = documents(subscriber, "/event")
    assert (event["event"], event["camera"], event["shift"]) == ("engine", "line1", None)
    assert event["text"].startswith("runs on onnxruntime: openvino engine: OpenVINO is not installed")
    last = documents(subscriber, "/state")[-1]
    assert (last["engine"], last["engine_reason"]) == ("onnxruntime", "runs on every CPU")
    assert "engine onnxruntime (ONNX Runtime" in log
    assert "Traceback" not in log
