"""Imports go down only: by folder, without circles, through each folder's `__init__.py`; heavy libraries stay put."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agent", "engines", "calibration")

# What each folder may import, its own files apart. Ordered from the top floor to the ground; nothing imports upward.
AGENT = {
    "cli": {
        "doctor",
        "service",
        "tools",
        "fleet",
        "opcua",
        "page",
        "commands",
        "monitoring",
        "inspection",
        "settings",
        "outputs",
        "review",
        "audit",
        "alarms",
        "sources",
        "messages",
        "core",
    },
    "doctor": {
        "service",
        "fleet",
        "opcua",
        "page",
        "commands",
        "inspection",
        "settings",
        "sources",
        "outputs",
        "mqtt",
        "messages",
        "core",
    },
    "service": {
        "commands",
        "monitoring",
        "inspection",
        "settings",
        "outputs",
        "review",
        "audit",
        "alarms",
        "sources",
        "messages",
        "core",
    },
    "tools": {
        "commands",
        "monitoring",
        "inspection",
        "settings",
        "outputs",
        "alarms",
        "sources",
        "mqtt",
        "messages",
        "core",
    },
    "fleet": {"page", "mqtt", "messages", "core"},
    "opcua": {"page", "messages", "core"},
    "page": {"core"},
    "commands": {"monitoring", "inspection", "settings", "outputs", "review", "audit", "alarms", "messages", "core"},
    "monitoring": {"inspection", "outputs", "review", "messages", "core"},
    "inspection": {"settings", "parts", "alarms", "sources", "messages", "core"},
    "settings": {"outputs", "parts", "sources", "core"},
    "outputs": {"parts", "alarms", "mqtt", "messages", "core"},
    "parts": {"core"},
    "review": {"messages", "core"},
    "audit": {"core"},
    "alarms": {"core"},
    "sources": {"core"},
    "mqtt": {"core"},
    "messages": {"core"},
    "core": set(),
}
ENGINES = {
    "comparison": {"baselines", "evaluation", "training", "images", "recipes", "bundles"},
    "baselines": {"training", "runtime", "recipes", "networks", "bundles"},
    "foreign": {"training", "export", "recipes", "networks", "images", "bundles"},
    "training": {"export", "runtime", "recipes", "networks", "siblings", "images", "bundles"},
    "export": {"runtime", "recipes", "bundles"},
    "evaluation": {"runtime", "images", "bundles"},
    "runtime": {"recipes", "images", "bundles"},
    "recipes": {"networks", "bundles"},
    "siblings": {"images"},
    "images": {"bundles"},
    "networks": set(),
    "bundles": set(),
}
CALIBRATION = {
    "report": {"store", "statistics", "budgets"},
    "window": {"store", "camera", "statistics", "budgets"},
    "production": {"store", "statistics", "budgets"},
    "store": {"camera", "statistics", "budgets"},
    "camera": set(),
    "statistics": {"budgets"},
    "budgets": set(),
}
FLOORS = {"agent": AGENT, "engines": ENGINES, "calibration": CALIBRATION}

# Files beside the folders of a package, which everything there may import.
GROUND = {"engines": {"backends", "errors", "progress"}, "agent": set(), "calibration": {"arrays", "errors"}}

# Which packages each package may import, and for those of the agent, which folders may.
MAY_IMPORT = {"agent": {"engines", "calibration"}, "engines": set(), "calibration": set()}
ENGINES_OF = {
    "cli": "*",
    "doctor": "*",
    "service": "*",
    "tools": "*",
    "commands": {"engines.errors"},
    "inspection": "*",
    "settings": {"engines.backends"},
    "sources": {"engines.images", "engines.errors"},
}
CALIBRATION_OF = set(AGENT) - {"core", "messages", "mqtt", "page", "fleet", "sources", "doctor"}

# Folders whose `__init__.py` re-exports nothing, since some of their files load heavy or optional libraries: their
# modules are imported one by one.
CLOSED = {
    "agent.cli.terminal",
    "agent.core",
    "agent.core.logs",
    "agent.core.sockets",
    "agent.cli.models",
    "agent.cli.operation",
    "agent.fleet",
    "agent.fleet.broker",
    "agent.fleet.cameras",
    "agent.fleet.history",
    "agent.fleet.web",
    "agent.opcua",
    "agent.opcua.address_space",
    "agent.page",
    "agent.page.link",
    "agent.page.security",
    "agent.page.server",
    "agent.tools",
    "engines.images.formats",
    "agent.tools.plc_sim",
    "agent.outputs.gpio",
    "agent.outputs.modbus",
    "agent.outputs.s3",
    "agent.sources.dicom",
    "agent.sources.genicam",
    "agent.sources.genicam.aravis",
    "agent.sources.genicam.gentl",
    "engines.networks",
    "engines.recipes",
    "engines.training",
    "engines.export",
    "engines.evaluation",
    "engines.comparison",
    "engines.foreign",
    "engines.baselines",
    "engines.runtime.tensorrt",
}

# The same for single files: they load prometheus-client or SQLAlchemy, which are imported only where they are wanted.
OPTIONAL_FILES = {"agent.monitoring.metrics", "agent.monitoring.camera_metrics", "agent.doctor.fleet"}

# Folders that may import torch: training, export, and what these are made of. Of `runtime`, its PyTorch backend may.
TORCH_FOLDERS = {"comparison", "baselines", "foreign", "training", "export", "recipes", "networks"}
TORCH_FILE = "engines.runtime.torch"

# All that calibration may use beyond the standard library.
CALIBRATION_NEEDS = {"numpy", "scipy", "calibration"}
# For type checkers, under TYPE_CHECKING: `Unpack` came with Python 3.11.
CALIBRATION_TYPES = {"typing_extensions"}

# Loaded with the running agent: none of these may come with it.
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


@dataclass(frozen=True)
class Import:
    """One import of one of our modules, wherever in the file it stands."""

    by: str
    """The importing module."""
    of: str
    """The imported module, or the folder through whose `__init__.py` a name is imported."""
    line: int

    def __str__(self) -> str:
        return f"{self.by}:{self.line} imports {self.of}"


@lru_cache
def files() -> dict[str, Path]:
    """Every module of ours by its dotted name; a folder's name stands for its `__init__.py`."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def names(path: Path) -> Iterator[tuple[str, str | None, int]]:
    """(module, imported name or None, line) of every import in a file: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: wanted an absolute import"
            yield from ((node.module or "", alias.name, node.lineno) for alias in node.names)


@lru_cache
def imports() -> tuple[Import, ...]:
    found = []
    for module, path in files().items():
        for source, name, line in names(path):
            of = f"{source}.{name}" if f"{source}.{name}" in files() else source
            if of in files() and of != module:
                found.append(Import(module, of, line))
    return tuple(found)


def imported_libraries(module: str) -> set[str]:
    return {source.split(".")[0] for source, _, _ in names(files()[module])}


def package_of(module: str) -> str:
    return module.split(".")[0]


def folder_of(module: str) -> str | None:
    """The folder right below the package; None for files that lie beside the folders."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / parts[0] / parts[1]).is_dir() else None


def home_of(module: str) -> str:
    """The folder that a file lies in, dotted; of an `__init__.py`, its own."""
    return module if files()[module].name == "__init__.py" else module.rpartition(".")[0]


def test_packages_know_only_those_below() -> None:
    for found in imports():
        by, of = package_of(found.by), package_of(found.of)
        assert by == of or of in MAY_IMPORT[by], found


@pytest.mark.parametrize("package", FLOORS)
def test_every_folder_has_a_floor(package: str) -> None:
    folders = {path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(FLOORS[package])


@pytest.mark.parametrize("package", FLOORS)
def test_the_table_itself_goes_down_only(package: str) -> None:
    order = list(FLOORS[package])
    for folder, below in FLOORS[package].items():
        assert all(order.index(folder) < order.index(other) for other in below), folder


@pytest.mark.parametrize("package", FLOORS)
def test_folders_import_downward_only(package: str) -> None:
    for found in imports():
        # The package's own `__init__.py` re-exports what its folders offer.
        if package_of(found.by) == package == package_of(found.of) and found.by != package:
            by, of = folder_of(found.by), folder_of(found.of)
            if by == of or of is None:
                continue
            assert by is not None, f"{found}: a file beside the folders may not import from them"
            assert of in FLOORS[package][by], found


def test_files_beside_the_folders_are_known() -> None:
    for package, allowed in GROUND.items():
        beside = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
        assert beside == allowed, package


def test_few_folders_of_the_agent_know_engines_and_calibration() -> None:
    for found in imports():
        if package_of(found.by) != "agent":
            continue
        folder = folder_of(found.by)
        if package_of(found.of) == "engines":
            allowed = ENGINES_OF.get(folder or "", set())
            assert allowed == "*" or any(found.of == one or found.of.startswith(one + ".") for one in allowed), found
        if package_of(found.of) == "calibration":
            assert folder in CALIBRATION_OF, found


def test_there_is_no_circle() -> None:
    """Between files, wherever the import stands. A package's `__init__.py` counts as the files that it re-exports."""
    graph: dict[str, set[str]] = {module: set() for module in files()}
    for found in imports():
        # A file may import from its own folder's siblings while the folder's `__init__.py` imports it.
        graph[found.by].add(found.of)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


def test_folders_are_imported_through_their_init() -> None:
    """Only a folder's own files, and those of its sub-folders, import its modules one by one."""
    for found in imports():
        if files()[found.of].name == "__init__.py" or found.of in OPTIONAL_FILES:
            continue
        target, importer = home_of(found.of), home_of(found.by)
        inside = importer == target or importer.startswith(target + ".")
        # The settings section of a source or an output: reading settings must not load OpenCV and paho.
        section = found.of.rpartition(".")[2] == "settings" and target != "agent.settings"
        assert inside or section or target in CLOSED or target in PACKAGES, found


def test_closed_folders_re_export_nothing() -> None:
    for folder in CLOSED - {"engines.baselines"}:
        tree = ast.parse(files()[folder].read_text())
        assert [type(node) for node in tree.body] == [ast.Expr], f"{folder}: wanted its docstring alone"


def test_calibration_is_imported_through_its_init() -> None:
    for found in imports():
        if package_of(found.of) == "calibration" and package_of(found.by) != "calibration":
            assert found.of == "calibration", found


def test_calibration_needs_numpy_and_scipy_only() -> None:
    for module in files():
        if package_of(module) == "calibration":
            allowed = CALIBRATION_NEEDS | CALIBRATION_TYPES | set(sys.stdlib_module_names) | {"__future__"}
            foreign = imported_libraries(module) - allowed
            assert not foreign, module


def test_torch_stays_where_models_are_made() -> None:
    for module in files():
        allowed = package_of(module) == "engines" and folder_of(module) in TORCH_FOLDERS
        assert allowed or module == TORCH_FILE or "torch" not in imported_libraries(module), module


def test_the_agent_loads_nothing_heavy() -> None:
    """Importing the whole running agent loads no library that only its neighbours need."""
    code = f"import sys, agent.service, agent.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_calibration_does_not_load_scipy_stats() -> None:
    """It takes a second, of every command's start; `scipy.special` has what is needed of it."""
    code = "import sys, calibration; print('scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("module", ["agent.page.server.application", "agent.fleet.web.serve"])
def test_pages_load_no_arrays(module: str) -> None:
    """A page reads documents: NumPy, SciPy and OpenCV would double its memory."""
    code = f"import sys, {module}; print([name for name in ('numpy', 'scipy', 'cv2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
