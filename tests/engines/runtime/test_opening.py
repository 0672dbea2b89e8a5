"""`open_engine` returns an engine only if it reproduces the reference."""

from __future__ import annotations

import dataclasses
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.backends import BACKENDS, Hardware
from engines.bundles.bundle import Bundle, Reference, reference_archive, write_bundle
from engines.errors import EngineError
from engines.runtime.choice import Choice, remember
from engines.runtime.hardware import describe_processor
from engines.runtime.limits import memory_limit
from engines.runtime.opening import open_engine
from tests.support.hostile_bundles import add_to_score, that_wants, with_graph

CPU_ENGINES = [name for name, backend in BACKENDS.items() if backend.hardware is Hardware.CPU]


def import_or_skip(name: str) -> None:
    """Skip the test if a package of the backend is missing."""
    for package in BACKENDS[name].packages:
        pytest.importorskip(package, reason=f"{package} is not installed")


def with_reference(bundle: Bundle, path: Path, change: Callable[[Reference], Reference]) -> Bundle:
    """The same bundle, with valid hashes, with other answers for its reference frames."""
    files = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    files["reference.npz"] = reference_archive(change(bundle.reference()))
    return write_bundle(path, bundle.manifest, files)


@pytest.fixture
def near(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle whose reference is off by half of the manifest's tolerance."""

    def off_by_little(reference: Reference) -> Reference:
        return dataclasses.replace(reference, score=reference.score * np.float32(1.0005))

    return with_reference(tiny_bundle, tmp_path / "near.bundle", off_by_little)


def between(bundle: Bundle, frame: int) -> float:
    """A threshold between the reference's score of a frame and the score that engines compute."""
    return float(bundle.reference().score[frame]) / 1.00025


def measured_openvino(bundle: Bundle) -> Choice:
    """A choice of OpenVINO, as if measured on this machine."""
    rates = {"onnxruntime": 50.0, "openvino": 80.0}
    return Choice("openvino", rates, bundle.sha256, describe_processor(), "2026-05-01T10:00:00Z")


def test_unknown_engine_is_rejected_with_the_known_names(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="engine 'abacus' is unknown, wanted one of auto, onnxruntime, openvino"):
        open_engine(tiny_bundle, "abacus")


def test_threads_below_one_are_rejected(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="threads is 0, wanted at least 1"):
        open_engine(tiny_bundle, threads=0)


@pytest.mark.parametrize("name", CPU_ENGINES)
@pytest.mark.parametrize("field", ["score", "heatmap"])
def test_engine_that_misses_the_reference_is_rejected(
    tiny_bundle: Bundle, tmp_path: Path, name: str, field: str
) -> None:
    import_or_skip(name)

    def off_by_a_hundredth(reference: Reference) -> Reference:
        return dataclasses.replace(reference, **{field: getattr(reference, field) * np.float32(1.01)})

    other = with_reference(tiny_bundle, tmp_path / "other.bundle", off_by_a_hundredth)
    with pytest.raises(EngineError, match=f"{name} engine: {field} of the reference frames is off by 0.0099, wanted"):
        open_engine(other, name)


def test_engine_within_the_tolerance_is_opened(near: Bundle) -> None:
    with open_engine(near) as engine:
        assert engine.name == "onnxruntime"


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_engine_that_changes_a_verdict_is_rejected(near: Bundle, name: str) -> None:
    import_or_skip(name)
    message = rf"{name} engine: reference frame 3 scores [\d.e-]+, wanted the same side of the threshold [\d.e-]+ as"
    for thresholds in ([between(near, 3)], [1e9, between(near, 3)]):
        with pytest.raises(EngineError, match=message):
            open_engine(near, name, thresholds=thresholds)
    with open_engine(near, name, thresholds=[1e9, 0.0, between(near, 3) * 1.01]) as engine:
        assert engine.name == name


def test_fallback_that_changes_a_verdict_is_opened(near: Bundle) -> None:
    """No other engine could replace it, and a camera without inspection is worse."""
    with open_engine(near, "onnxruntime", thresholds=[between(near, 3)]) as engine:
        assert engine.name == "onnxruntime"


def test_auto_without_a_measurement_opens_onnx_runtime(tiny_bundle: Bundle) -> None:
    """Also if OpenVINO is installed."""
    with open_engine(tiny_bundle, threads=1) as engine:
        assert (engine.name, engine.reason) == ("onnxruntime", "runs on every CPU")


def test_auto_opens_the_measured_engine_with_the_reason(tiny_bundle: Bundle, tmp_path: Path) -> None:
    import_or_skip("openvino")
    remember(tmp_path, measured_openvino(tiny_bundle))
    with open_engine(tiny_bundle, threads=1, directory=tmp_path) as engine:
        assert engine.name == "openvino"
        assert engine.reason == "measured 2026-05-01: openvino 80, onnxruntime 50 frames/s"
        assert engine.rejected == ()


def test_auto_replaces_an_engine_that_changes_a_verdict(near: Bundle, tmp_path: Path) -> None:
    import_or_skip("openvino")
    remember(tmp_path, measured_openvino(near))
    with open_engine(near, directory=tmp_path) as engine:
        assert (engine.name, engine.rejected) == ("openvino", ())
    with open_engine(near, directory=tmp_path, thresholds=[between(near, 0)]) as engine:
        assert engine.name == "onnxruntime"
        (rejected,) = engine.rejected
        assert rejected.startswith("openvino engine: reference frame 0 scores ")


def test_auto_replaces_an_engine_whose_package_is_broken(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A package without its libraries, first on the path."""
    (tmp_path / "broken" / "openvino").mkdir(parents=True)
    (tmp_path / "broken" / "openvino" / "__init__.py").write_text("raise ImportError('libopenvino.so: no such file')")
    for name in [name for name in sys.modules if name.split(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path / "broken")
    remember(tmp_path, measured_openvino(tiny_bundle))
    with caplog.at_level(logging.WARNING), open_engine(tiny_bundle, threads=1, directory=tmp_path) as engine:
        assert engine.name == "onnxruntime"
        (rejected,) = engine.rejected
    command = "pip install 'inspectd[openvino]'"
    assert rejected == f"openvino engine: cannot be loaded (libopenvino.so: no such file); {command}"
    assert rejected in caplog.text


def test_auto_replaces_openvino_if_the_sandbox_forbids_executable_memory(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """As the unit's MemoryDenyWriteExecute= does; the kernel can do it for one process, too (Linux 6.3)."""
    import_or_skip("openvino")
    remember(tmp_path, measured_openvino(tiny_bundle))
    program = (
        "import ctypes, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)\n"
        "from pathlib import Path\n"
        "from engines.bundles.bundle import read_bundle\n"
        "from engines.runtime.opening import open_engine\n"
        "bundle, directory = read_bundle(sys.argv[1]), Path(sys.argv[2])\n"
        "with open_engine(bundle, threads=1, directory=directory) as engine:\n"
        "    print(engine.name, *engine.rejected)\n"
    )
    command = [sys.executable, "-c", program, str(tiny_bundle.path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("onnxruntime openvino engine: the model cannot be compiled")
    assert done.stdout.strip().endswith("the service needs the drop-in openvino.conf")


def test_inference_imports_only_its_own_backend(tiny_bundle: Bundle) -> None:
    """The device has no torch, and no memory for libraries that it does not use."""
    code = (
        "import sys, numpy\n"
        "from engines.bundles.bundle import read_bundle\n"
        "from engines.runtime.opening import open_engine\n"
        "import engines.images.reading\n"
        f"bundle = read_bundle({str(tiny_bundle.path)!r})\n"
        "with open_engine(bundle, threads=1) as engine:\n"
        "    engine.score(bundle.reference().frames)\n"
        "unwanted = {'torch', 'openvino', 'matplotlib', 'onnx', 'lightning_fabric', 'agent', 'calibration'}\n"
        "print(sorted(unwanted & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_model_that_wants_terabytes_is_one_line(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """A few bytes ask for them; the machine is not asked to swap, and the limit is gone afterwards."""

    def grow(graph: Any) -> None:
        from onnx import helper, numpy_helper

        graph.initializer.append(numpy_helper.from_array(np.array([2**20, 2**22], np.int64), "huge shape"))
        graph.initializer.append(numpy_helper.from_array(np.array([-1, 4], np.int64), "rows"))
        graph.node.append(helper.make_node("ConstantOfShape", ["huge shape"], ["huge"]))
        graph.node.append(helper.make_node("ReduceMax", ["huge"], ["number"], keepdims=0))
        add_to_score(graph, "number")

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(EngineError, match="onnxruntime engine: ") as caught:
        open_engine(with_graph(tiny_bundle, tmp_path / "huge.bundle", grow), "onnxruntime")
    assert "\n" not in str(caught.value)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_model_that_fails_when_it_runs_is_one_line(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """An index that is computed from the frames, and is outside of the array."""

    def index(graph: Any) -> None:
        from onnx import helper, numpy_helper

        graph.initializer.append(numpy_helper.from_array(np.array([1.0], np.float32), "list"))
        graph.node.append(helper.make_node("Shape", ["frames"], ["shape"]))
        graph.node.append(helper.make_node("ReduceMax", ["shape"], ["index"], keepdims=0))
        graph.node.append(helper.make_node("Gather", ["list", "index"], ["number"]))
        add_to_score(graph, "number")

    with pytest.raises(EngineError, match="onnxruntime engine: the model cannot be run") as caught:
        open_engine(with_graph(tiny_bundle, tmp_path / "index.bundle", index), "onnxruntime")
    assert "\n" not in str(caught.value)


def test_model_that_takes_too_long_is_interrupted(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.runtime.limits.MAX_SECONDS", 1.0)

    def multiply(graph: Any) -> None:
        from onnx import helper, numpy_helper

        graph.initializer.append(numpy_helper.from_array(np.array([1000, 1000], np.int64), "side"))
        graph.node.append(helper.make_node("Cast", ["frames"], ["floats"], to=1))
        graph.node.append(helper.make_node("ReduceMax", ["floats"], ["seed"], keepdims=0))
        graph.node.append(helper.make_node("Expand", ["seed", "side"], ["m0"]))
        for step in range(2_000):
            graph.node.append(helper.make_node("MatMul", [f"m{step}", "m0"], [f"m{step + 1}"]))
        graph.node.append(helper.make_node("ReduceMin", ["m2000"], ["number"], keepdims=0))
        add_to_score(graph, "number")

    begin = time.monotonic()
    with pytest.raises(EngineError, match="no scores of the reference frames after 1 s"):
        open_engine(with_graph(tiny_bundle, tmp_path / "slow.bundle", multiply), "onnxruntime")
    assert time.monotonic() < begin + 30.0


def test_model_of_more_than_the_memory_that_is_left_is_one_line(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a small device, the limit is what is left: 3 GB are not touched, though they are below the limit for all."""
    monkeypatch.setattr("engines.runtime.limits.memory_left", lambda: 700 * 1024**2)
    with pytest.raises(EngineError, match="onnxruntime engine: ") as caught:
        open_engine(with_graph(tiny_bundle, tmp_path / "large.bundle", that_wants(3)), "onnxruntime")
    assert "\n" not in str(caught.value)


def test_process_is_the_first_that_the_kernel_ends_while_a_model_is_opened(tiny_bundle: Bundle, tmp_path: Path) -> None:
    file = Path("/proc/self/oom_score_adj")
    before = file.read_text()
    with memory_limit(1000, "onnxruntime"):
        assert file.read_text().strip() == "1000"
    assert file.read_text() == before


def test_model_that_cannot_be_interrupted_ends_the_process_with_one_line(tiny_bundle: Bundle) -> None:
    """A library's call that does not return; the log is flushed before the end."""
    code = (
        "import sys, time, logging; from pathlib import Path; from engines.runtime import limits\n"
        "logging.basicConfig(); limits.MAX_SECONDS, limits.GRACE_SECONDS = 0.1, 0.1\n"
        "with limits.hard_time_limit('toy', Path('x.bundle')): time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "toy engine: no scores of the reference frames after 0.2 s, and it cannot be interrupted" in done.stderr
    assert len(done.stderr.splitlines()) == 1
