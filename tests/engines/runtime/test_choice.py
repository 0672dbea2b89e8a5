"""What `auto` takes: what was measured here and still opens, else ONNX Runtime."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from engines.bundles.bundle import Bundle
from engines.runtime.choice import Choice, candidates, recall, remember
from engines.runtime.hardware import describe_processor, installed
from engines.runtime.measuring import choose
from engines.runtime.opening import open_engine


def choice_of(bundle: Bundle, engine: str = "openvino") -> Choice:
    """As if measured on this machine."""
    rates = {"onnxruntime": 50.0, "openvino": 80.0}
    return Choice(engine, rates, bundle.sha256, describe_processor(), "2026-05-01T10:00:00Z")


def test_choice_is_remembered_for_its_bundle(tiny_bundle: Bundle, tmp_path: Path) -> None:
    assert recall(tmp_path, tiny_bundle) is None
    remember(tmp_path, choice_of(tiny_bundle))
    assert recall(tmp_path, tiny_bundle) == choice_of(tiny_bundle)
    other = dataclasses.replace(tiny_bundle, sha256=tiny_bundle.sha256[:16] + "0" * 48)
    assert recall(tmp_path, other) is None


def test_choice_of_another_machine_does_not_count(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """A state directory that came with a copied disk."""
    remember(tmp_path, dataclasses.replace(choice_of(tiny_bundle), machine="64 × other"))
    assert recall(tmp_path, tiny_bundle) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"engine": "openvino"}'])
def test_choice_that_cannot_be_read_does_not_count(tiny_bundle: Bundle, tmp_path: Path, content: str) -> None:
    remember(tmp_path, choice_of(tiny_bundle))
    (file,) = (tmp_path / "engines").iterdir()
    file.write_text(content)
    assert recall(tmp_path, tiny_bundle) is None
    assert next(iter(candidates(tiny_bundle, tmp_path))) == "onnxruntime"


def test_auto_without_a_measurement_is_onnx_runtime_though_others_are_installed(tiny_bundle: Bundle) -> None:
    with open_engine(tiny_bundle, threads=1) as engine:
        assert (engine.name, engine.reason) == ("onnxruntime", "runs on every CPU")


def test_auto_takes_what_was_measured_and_says_why(tiny_bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    remember(tmp_path, choice_of(tiny_bundle))
    with open_engine(tiny_bundle, threads=1, directory=tmp_path) as engine:
        assert engine.name == "openvino"
        assert engine.reason == "measured 2026-05-01: openvino 80, onnxruntime 50 frames/s"
        assert engine.refused == ()


def test_auto_falls_back_where_the_measured_engine_is_broken(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package whose libraries are gone, found first on the path."""
    (tmp_path / "broken" / "openvino").mkdir(parents=True)
    (tmp_path / "broken" / "openvino" / "__init__.py").write_text("raise ImportError('libopenvino.so: no such file')")
    for name in [name for name in sys.modules if name.split(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path / "broken")
    remember(tmp_path, choice_of(tiny_bundle))
    with open_engine(tiny_bundle, threads=1, directory=tmp_path) as engine:
        assert engine.name == "onnxruntime"
        (why,) = engine.refused
        assert why.startswith("openvino engine: OpenVINO is not installed")


def test_auto_falls_back_where_the_sandbox_lets_openvino_make_no_code(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """The service forbids memory that is written and run; the kernel can forbid it to a process too (Linux 6.3)."""
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    remember(tmp_path, choice_of(tiny_bundle))
    program = (
        "import ctypes, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)\n"
        "from pathlib import Path\n"
        "from engines.bundles.bundle import read_bundle\n"
        "from engines.runtime.opening import open_engine\n"
        "bundle, directory = read_bundle(sys.argv[1]), Path(sys.argv[2])\n"
        "with open_engine(bundle, threads=1, directory=directory) as engine:\n"
        "    print(engine.name, *engine.refused)\n"
    )
    command = [sys.executable, "-c", program, str(tiny_bundle.path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("onnxruntime openvino engine: the model cannot be compiled")
    assert done.stdout.strip().endswith("the service needs the drop-in openvino.conf")


def test_choose_measures_every_installed_engine(tiny_bundle: Bundle) -> None:
    choice = choose(tiny_bundle, threads=1, seconds=0.2)
    assert list(choice.frames_per_second) == installed()
    assert min(choice.frames_per_second.values()) > 0
    assert choice.bundle == tiny_bundle.sha256
    assert choice.engine in installed()
