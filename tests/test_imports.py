"""Data walks one way, and heavy libraries are loaded only by those who need them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agent", "engines", "calibration")

# What each package may not import, whatever the place in the file.
FORBIDDEN = {"agent": set(), "engines": {"agent", "calibration"}, "calibration": {"agent", "engines"}}

# All that calibration may use beyond the standard library.
CALIBRATION_NEEDS = {"numpy", "scipy", "calibration"}

# Folders of `engines` that may import torch: training, export, and what these are made of.
WITH_TORCH = {"baselines", "comparison", "export", "foreign", "networks", "recipes", "training"}

# Loaded by the running agent's modules: none of these may come with them.
HEAVY = (
    "torch",
    "lightning_fabric",
    "matplotlib",
    "onnx",
    "sklearn",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "pycuda",
    "cryptography",
)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_data_walks_one_way(package: str) -> None:
    """`agent` knows the other two; they know neither it nor each other."""
    for path in modules(package):
        assert not imported(path) & FORBIDDEN[package], path


def test_calibration_needs_numpy_and_scipy_only() -> None:
    for path in modules("calibration"):
        foreign = imported(path) - CALIBRATION_NEEDS - set(sys.stdlib_module_names) - {"__future__"}
        assert not foreign, path


def test_torch_stays_where_models_are_made() -> None:
    for path in [*modules("agent"), *modules("calibration")]:
        if path != ROOT / "agent" / "cli" / "model.py":  # it looks whether torch is there before it trains
            assert "torch" not in imported(path), path
    for path in modules("engines"):
        folder = path.relative_to(ROOT / "engines").parts[0]
        if folder not in WITH_TORCH and path != ROOT / "engines" / "runtime" / "torch.py":
            assert "torch" not in imported(path), path


def test_the_agent_loads_nothing_heavy() -> None:
    """Importing the whole running agent loads no library that only its neighbours need."""
    code = f"import sys, agent.service.service, agent.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_calibration_does_not_load_scipy_stats() -> None:
    """It takes a second, of every command's start; `scipy.special` has what is needed of it."""
    code = "import sys, calibration; print('scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
