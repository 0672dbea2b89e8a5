"""Which engine `auto` takes: the measured one, else the one for this machine's GPU, else the fallback.

Nothing is measured when the agent starts. A calibration belongs to its engine, so the choice must not change with the
noise of a measurement or with a package that somebody installs: `inspectd bench` measures, and its choice is kept in
the agent's state directory until the next `inspectd bench`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.backends import BACKENDS, FALLBACK, Auto
from engines.bundles import Bundle
from engines.runtime.hardware import describe_processor, usable_engines
from engines.runtime.kept_files import FOLDER, keep


@dataclass(frozen=True, slots=True)
class Choice:
    """The result of measuring the engines with one bundle on one machine."""

    engine: str
    """The engine that `auto` takes."""
    frames_per_second: Mapping[str, float]
    """Rates of all measured engines, one frame a call."""
    bundle: str
    """sha256 of the bundle."""
    machine: str
    """The machine, as `describe_processor` names it."""
    measured_at: str
    """UTC, ISO 8601."""

    @property
    def reason(self) -> str:
        """Why this engine, for people.

        >>> Choice("openvino", {"onnxruntime": 100.0, "openvino": 151.0}, "", "", "2026-05-01T10:00:00Z").reason
        'measured 2026-05-01: openvino 151, onnxruntime 100 frames/s'
        """
        rates = sorted(self.frames_per_second.items(), key=lambda item: -item[1])
        listed = ", ".join(f"{name} {rate:.0f}" for name, rate in rates)
        return f"measured {self.measured_at[:10]}: {listed} frames/s"


def candidates(bundle: Bundle, directory: Path | None) -> dict[str, str]:
    """The engines that `auto` tries, the best first, each with the reason; the last one is the fallback."""
    usable = usable_engines()
    choice = None if directory is None else recall(directory, bundle)
    measured = {} if choice is None else choice.frames_per_second
    reasons = {
        name: f"there is an {BACKENDS[name].hardware.value}"
        for name in usable
        if BACKENDS[name].auto is Auto.PREFERRED and name not in measured
    }
    if choice is not None and choice.engine in usable:
        reasons[choice.engine] = choice.reason
    reasons.setdefault(FALLBACK, "runs on every CPU")
    return reasons


def remember(directory: Path, choice: Choice) -> None:
    """Keep a choice in the agent's state directory; it replaces an earlier one for the same bundle."""
    keep(_file(directory, choice.bundle), (json.dumps(asdict(choice), indent=2) + "\n").encode())


def recall(directory: Path, bundle: Bundle) -> Choice | None:
    """The kept choice for this bundle on this machine; None if there is none or it cannot be read."""
    try:
        choice = Choice(**json.loads(_file(directory, bundle.sha256).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    same = (choice.bundle, choice.machine) == (bundle.sha256, describe_processor())
    return choice if same and isinstance(choice.frames_per_second, dict) else None


def _file(directory: Path, bundle_sha256: str) -> Path:
    return directory / FOLDER / f"choice-{bundle_sha256[:16]}.json"
