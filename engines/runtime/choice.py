"""Which engine `auto` takes, and why: what was measured here, else the GPU's, else the one that every machine has.

Nothing is measured on the way into inspection. A calibration belongs to its engine, so the choice must not move with
the noise of a measurement or with a package that somebody installs: it is made once, when somebody asks for it, and
kept beside the agent's other state until somebody asks again.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from engines.bundles.bundle import Bundle
from engines.errors import EngineError
from engines.runtime.engine import DEFAULT, Engine, open_engine
from engines.runtime.kept_files import FOLDER, keep

# Two runs of the same engine on a machine that does other things differ by less than this; below it the default stays.
WORTH_A_CHANGE = 1.1

_PACKAGES = {"onnxruntime": ("onnxruntime",), "openvino": ("openvino",), "tensorrt": ("tensorrt", "pycuda")}

# The device nodes of NVIDIA's drivers on a PC and on Jetsons: without one there is no GPU that TensorRT could use.
_GPU_NODES = ("/dev/nvidia0", "/dev/nvgpu/igpu0", "/dev/nvhost-gpu")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was measured on a machine with a bundle."""

    engine: str
    """The engine to take."""
    frames_per_second: Mapping[str, float]
    """Of each engine that was tried, frame by frame."""
    bundle: str
    """sha256 of the bundle."""
    machine: str
    """What it was measured on, as `describe_processor` says."""
    measured_at: str
    """UTC, ISO 8601."""

    @property
    def reason(self) -> str:
        """Why this engine, in words.

        >>> Choice("openvino", {"onnxruntime": 100.0, "openvino": 151.0}, "", "", "2026-05-01T10:00:00Z").reason
        'measured 2026-05-01: openvino 151, onnxruntime 100 frames/s'
        """
        rates = sorted(self.frames_per_second.items(), key=lambda item: -item[1])
        listed = ", ".join(f"{name} {rate:.0f}" for name, rate in rates)
        return f"measured {self.measured_at[:10]}: {listed} frames/s"


def installed() -> list[str]:
    """The engines that `auto` may take on this machine; nothing is imported to find out."""
    names = [name for name, packages in _PACKAGES.items() if all(find_spec(package) for package in packages)]
    return [name for name in names if name != "tensorrt" or shows_gpu()]


def shows_gpu() -> bool:
    """Whether there is a device node of NVIDIA's drivers."""
    return any(Path(node).exists() for node in _GPU_NODES)


def candidates(bundle: Bundle, directory: Path | None) -> dict[str, str]:
    """Engines and why each is worth opening, the best first; among them the one that every machine has."""
    here = installed()
    choice = None if directory is None else recall(directory, bundle)
    reasons = {}
    if "tensorrt" in here and (choice is None or "tensorrt" not in choice.frames_per_second):
        reasons["tensorrt"] = "there is a GPU"
    if choice is not None and choice.engine in here:
        reasons[choice.engine] = choice.reason
    reasons.setdefault(DEFAULT, "runs on every CPU")
    return reasons


def choose(
    bundle: Bundle, *, threads: int | None = None, directory: Path | None = None, seconds: float = 2.0
) -> Choice:
    """Measure the installed engines, a frame a call, for `seconds` each, and choose.

    `threads` and `directory` as `open_engine` takes them. An engine that cannot be opened on this bundle is left out;
    EngineError where there is none.
    """
    engines = _open(bundle, installed(), threads, directory)
    try:
        rates = measure(engines, seconds)
    finally:
        for engine in engines:
            engine.close()
    if not rates:
        raise EngineError(f"{bundle.path}: no engine can be opened on this machine")
    now = datetime.now(timezone.utc).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return Choice(pick(rates), rates, bundle.sha256, describe_processor(), now)


def pick(rates: Mapping[str, float]) -> str:
    """The fastest, unless the default is within a tenth of it.

    >>> pick({"onnxruntime": 100.0, "openvino": 109.0}), pick({"onnxruntime": 100.0, "openvino": 111.0})
    ('onnxruntime', 'openvino')
    """
    fastest = max(rates, key=lambda name: rates[name])
    return DEFAULT if rates[fastest] < WORTH_A_CHANGE * rates.get(DEFAULT, 0.0) else fastest


def measure(engines: list[Engine], seconds: float, rounds: int = 5) -> dict[str, float]:
    """Frames a second of each engine, medians over rounds in turns: a shared machine is not as fast at all times."""
    rates: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            rates[engine.name].append(_rate(engine, seconds / rounds))
    return {name: round(float(np.median(values)), 2) for name, values in rates.items()}


def remember(directory: Path, choice: Choice) -> None:
    """Keep a choice in the agent's state directory, in place of the one for this bundle that may be there."""
    keep(_file(directory, choice.bundle), (json.dumps(asdict(choice), indent=2) + "\n").encode())


def recall(directory: Path, bundle: Bundle) -> Choice | None:
    """The choice for this bundle on this machine; None where there is none, or only one that cannot be read."""
    try:
        choice = Choice(**json.loads(_file(directory, bundle.sha256).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    same = (choice.bundle, choice.machine) == (bundle.sha256, describe_processor())
    return choice if same and isinstance(choice.frames_per_second, dict) else None


def describe_processor() -> str:
    """Cores, processor and architecture: what a measured rate holds for."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return f"{os.cpu_count()} × {names[0] if names else 'processor'} ({platform.machine()})"


def _open(bundle: Bundle, names: list[str], threads: int | None, directory: Path | None) -> list[Engine]:
    engines: list[Engine] = []
    for name in names:
        try:
            engines.append(open_engine(bundle, name, threads=threads, directory=directory))
        except EngineError:
            continue
    return engines


def _rate(engine: Engine, seconds: float) -> float:
    frames = engine.bundle.reference().frames
    engine.score(frames[:1])
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        index = count % len(frames)
        engine.score(frames[index : index + 1])
        count += 1
    return count / (time.perf_counter() - start)


def _file(directory: Path, bundle_sha256: str) -> Path:
    return directory / FOLDER / f"choice-{bundle_sha256[:16]}.json"
