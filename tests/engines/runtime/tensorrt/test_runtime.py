"""TensorRT's real runtime, the lean one, as far as it goes without a GPU: each trouble is a line, and none a crash."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines.bundles.bundle import Bundle
from engines.errors import EngineError
from engines.runtime.choice import candidates
from engines.runtime.hardware import installed
from engines.runtime.opening import open_engine
from engines.runtime.tensorrt.runtime import Diary
from tests.engines.runtime.tensorrt.test_api import CLASSES

ROOT = Path(__file__).parents[4]
LEAN = ROOT / "build" / "tensorrt" / "lean"

# A process of its own: where this goes wrong, it goes wrong with a segmentation fault.
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

# The bindings of a release whose library gives null pointers, as it does where the driver is too old for it.
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

# The part of the interface that a plan is run with.
_RUNTIME_HALF = ("ILogger", "Runtime", "ICudaEngine", "IExecutionContext", "TensorIOMode", "DataType")


@pytest.fixture
def lean() -> Path:
    if not LEAN.exists():
        pytest.skip("the lean runtime of TensorRT is not here: make tensorrt")
    return LEAN


def test_runtime_says_what_is_wrong_and_lives(lean: Path, tiny_bundle: Bundle) -> None:
    """Without a driver it hands out a runtime that crashes at first use; on a GPU it refuses each of the plans."""
    command = [sys.executable, "-c", _PROGRAM, str(lean), str(tiny_bundle.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    *said, last = done.stdout.splitlines()
    assert last == "alive"
    if len(said) == 1:
        assert said[0].startswith("tensorrt engine: TensorRT 11.4.0.106 cannot start (createInferRuntime: Error Code 6")
        assert "CUDA" in said[0]
    else:
        assert len(said) == 3
        assert all(line.startswith("tensorrt engine: the plan is refused (") for line in said)


@pytest.mark.parametrize("release", ["10.3", "10.13", "11.4"])
def test_library_that_gives_no_builder_and_no_runtime_is_a_line(release: str, tiny_bundle: Bundle) -> None:
    """The bindings raise TypeError then, at which `auto` would not have gone on to the next engine."""
    folder = ROOT / "build" / "tensorrt" / release
    if not folder.exists() or not all(map(shutil.which, ("cc", "nm", "readelf"))):
        pytest.skip(
            f"the bindings of TensorRT {release} are not here: make tensorrt; or no C compiler: apt install gcc"
        )
    command = [sys.executable, "-c", _NO_BUILDER, str(folder), str(tiny_bundle.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 2
    assert all(line.startswith(f"tensorrt engine: TensorRT {release}.") for line in said)
    assert all(line.endswith("cannot start (pybind11::init(): factory function returned nullptr)") for line in said)


def test_real_runtime_has_all_that_a_plan_is_run_with(lean: Path) -> None:
    """Its library loaded, not only its bindings."""
    names = {
        name: [each.name for each in CLASSES[name].body if isinstance(each, ast.FunctionDef)] for name in _RUNTIME_HALF
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


def test_diary_gives_the_first_error_once() -> None:
    diary = Diary()
    diary.take("only\nsaying", error=False)
    assert diary.why() == ""
    diary.take("[E] first\n  of two", error=True)
    diary.take("second", error=True)
    assert diary.why() == " ([E] first of two)"
    assert diary.why() == ""


@pytest.mark.parametrize("missing", ["tensorrt", "pycuda"])
def test_without_its_libraries_the_engine_is_a_line(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(EngineError, match=r"tensorrt engine: .* cannot be loaded .*pip install 'inspectd.tensorrt.'"):
        open_engine(tiny_bundle, "tensorrt")


def test_auto_leaves_tensorrt_alone_without_a_gpu(tiny_bundle: Bundle, tmp_path: Path) -> None:
    if any(map(Path.exists, map(Path, ("/dev/nvidia0", "/dev/nvgpu/igpu0", "/dev/nvhost-gpu")))):
        pytest.skip("this machine has a GPU; tests/gpu looks at it")
    assert "tensorrt" not in installed()
    assert "tensorrt" not in candidates(tiny_bundle, tmp_path)
