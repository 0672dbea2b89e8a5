"""Which engine `auto` takes, and why: what was measured here, else the GPU's, else the one that every machine has.

Nothing is measured on the way into inspection. A calibration belongs to its engine, so the choice must not move with
the noise of a measurement or with a package that somebody installs: it is made once, when somebody asks for it, and
kept beside the agent's other state until somebody asks again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.bundles import Bundle
from engines.runtime.engine import DEFAULT
from engines.runtime.hardware import describe_processor, installed
from engines.runtime.kept_files import FOLDER, keep


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


def _file(directory: Path, bundle_sha256: str) -> Path:
    return directory / FOLDER / f"choice-{bundle_sha256[:16]}.json"
