"""TensorRT's real lean runtime, as far as it runs without a GPU: each failure is one line, none is a crash."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines.backends import Hardware
from engines.bundles.bundle import Bundle
from engines.errors import EngineError
from engines.runtime.choice import candidates
from engines.runtime.hardware import has_hardware, usable_engines
from engines.runtime.opening import open_engine
from engines.runtime.tensorrt.runtime import TensorRtMessages
from tests.engines.runtime.tensorrt.test_api import CLASSES
from tests.support.fake_plan import FAKE_TENSORRT

ROOT = Path(__file__).parents[4]
LEAN = ROOT / "build" / "tensorrt" / "lean"

# A process of its own: a failure here is a segmentation fault.
_PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])
import tensorrt_lean_bindings as lean
sys.modules["tensorrt"] = lean
from engines.bundles.bundle import read_bundle
from engines.errors import EngineError
from engines.runtime.tensorrt.runtime import Runtime
try:
    runtime = Runtime()
    for plan in (b"", b"garbage" * 100, b"ftrt" + bytes(4096)):
        try:
            runtime.deserialize(plan, read_bundle(sys.argv[2]))
        except EngineError as error:
            print(error)
except EngineError as error:
    print(error)
print("alive")
"""

# The bindings of a release whose library returns null pointers, as it does if the driver is too old for it.
_NO_BUILDER = """\
import os
import sys
from pathlib import Path
from tests.support.tensorrt_bindings import load_bindings
sys.modules["tensorrt"] = load_bindings(Path(sys.argv[1]))
from engines.bundles.bundle import read_bundle
from engines.errors import EngineError
from engines.runtime.tensorrt.build import BuildOptions, build_plan
from engines.runtime.tensorrt.runtime import Runtime
for begin in (Runtime, lambda: build_plan(read_bundle(sys.argv[2]), BuildOptions(1, 2**32))):
    try:
        begin()
    except EngineError as error:
        print(error)
sys.stdout.flush()
os._exit(0)
"""

# The part of the interface that runs a plan.
_RUNTIME_CLASSES = ("ILogger", "Runtime", "ICudaEngine", "IExecutionContext", "TensorIOMode", "DataType")


@pytest.fixture
def lean() -> Path:
    if not LEAN.exists():
        pytest.skip("the lean runtime of TensorRT is not here: make tensorrt")
    return LEAN


def test_runtime_without_a_driver_or_plan_reports_it_and_does_not_crash(lean: Path, tiny_bundle: Bundle) -> None:
    """Without a driver it returns a runtime that crashes at first use; on a GPU it rejects each of the plans."""
    command = [sys.executable, "-c", _PROGRAM, str(lean), str(tiny_bundle.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert last == "alive"
    if len(lines) == 1:
        assert lines[0].startswith(
            "tensorrt engine: TensorRT 11.4.0.106 cannot start (createInferRuntime: Error Code 6"
        )
        assert "CUDA" in lines[0]
    else:
        assert len(lines) == 3
        assert all(line.startswith("tensorrt engine: the plan is rejected (") for line in lines)


@pytest.mark.parametrize("release", ["10.3", "10.13", "11.4"])
def test_library_that_returns_no_builder_and_no_runtime_is_one_line(release: str, tiny_bundle: Bundle) -> None:
    """The bindings then raise TypeError, which `auto` would not take for a rejected engine."""
    folder = ROOT / "build" / "tensorrt" / release
    if not folder.exists() or not all(map(shutil.which, ("cc", "nm", "readelf"))):
        pytest.skip(
            f"the bindings of TensorRT {release} are not here: make tensorrt; or no C compiler: apt install gcc"
        )
    command = [sys.executable, "-c", _NO_BUILDER, str(folder), str(tiny_bundle.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"tensorrt engine: TensorRT {release}.") for line in lines)
    assert all(line.endswith("cannot start (pybind11::init(): factory function returned nullptr)") for line in lines)


def test_real_runtime_has_every_call_that_runs_a_plan(lean: Path) -> None:
    """With its library loaded, not only its bindings."""
    names = {
        name: [each.name for each in CLASSES[name].body if isinstance(each, ast.FunctionDef)]
        for name in _RUNTIME_CLASSES
    }
    program = (
        "import sys, operator; sys.path.insert(0, sys.argv[1]); import tensorrt_lean_bindings as trt\n"
        f"for name, members in {names!r}.items():\n"
        "    for member in members:\n"
        "        operator.attrgetter(f'{name}.{member}')(trt)\n"
        "print(trt.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(lean)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "11.4.0.106"), done.stderr


def test_messages_return_the_first_error_once() -> None:
    messages = TensorRtMessages()
    messages.add("only\ninformation", error=False)
    assert messages.first_error() == ""
    messages.add("[E] first\n  of two", error=True)
    messages.add("second", error=True)
    assert messages.first_error() == " ([E] first of two)"
    assert messages.first_error() == ""


@pytest.mark.parametrize("missing", ["tensorrt", "pycuda"])
def test_engine_without_its_packages_is_rejected_with_the_install_command(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", FAKE_TENSORRT)
    monkeypatch.setitem(sys.modules, missing, None)
    message = rf"tensorrt engine: cannot be loaded \(.*{missing}.*\); pip install 'inspectd\[tensorrt\]'"
    with pytest.raises(EngineError, match=message):
        open_engine(tiny_bundle, "tensorrt")


def test_auto_without_a_gpu_does_not_try_tensorrt(tiny_bundle: Bundle, tmp_path: Path) -> None:
    if has_hardware(Hardware.NVIDIA_GPU):
        pytest.skip("this machine has a GPU; tests/gpu runs on it")
    assert "tensorrt" not in usable_engines()
    assert "tensorrt" not in candidates(tiny_bundle, tmp_path)
