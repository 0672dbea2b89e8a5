"""Plans on the disk: built once on this device, kept under the agent's state directory, never taken from elsewhere.

A plan is executable code. One is loaded only where its record says that this very device built it, for this bundle,
this TensorRT and this GPU, every byte is as it was written, and nobody else could have written it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from engines.errors import EngineError
from engines.runtime.kept_files import FOLDER, keep

log = logging.getLogger(__name__)

FORMAT = 1
"""Counts up when what we build of the same bundle changes, so that older plans are built again."""

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class PlanKey:
    """What a plan is good for, and nothing else."""

    bundle: str
    """sha256 of the bundle."""
    tensorrt: str
    """Version of TensorRT."""
    gpu: str
    """Name of the GPU, as the driver says."""
    compute_capability: str
    """Such as 8.7."""
    precision: str
    """fp16."""
    max_batch: int
    """Frames of one call at most."""
    device: str
    """Which machine built it: plans that came with a copied disk are built again."""
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """sha256, hex, of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class PlanStore:
    """The plans of one state directory; None: none are kept."""

    def __init__(self, directory: Path | None) -> None:
        self._folder = None if directory is None else directory / FOLDER

    def timing_cache(self, key: PlanKey) -> Path | None:
        """Where the builder's measurements are kept: they hold for any bundle on this device and TensorRT."""
        if self._folder is None:
            return None
        name = hashlib.sha256("\n".join((key.tensorrt, key.gpu, key.compute_capability, key.device)).encode())
        return self._folder / f"timing-{name.hexdigest()[:16]}.cache"

    def load_or_build(self, key: PlanKey, build: Callable[[], bytes], load: Callable[[bytes], Loaded]) -> Loaded:
        """A plan brought to life by `load`: the one that is kept, else a new one.

        One that is kept and cannot be loaded is set aside, and built again once. Raises what `build` raises, and what
        `load` raises of a plan that was built just now.
        """
        plan = self.read(key)
        if plan is not None:
            try:
                return load(plan)
            except EngineError as error:
                self.set_aside(key, str(error))
        plan = build()
        self.write(key, plan)
        return load(plan)

    def read(self, key: PlanKey) -> bytes | None:
        """The plan that is kept for exactly this; None where there is none. One that was altered is set aside."""
        path, record = self._paths(key)
        if path is None or record is None or not path.exists():
            return None
        try:
            said = json.loads(record.read_text(encoding="utf-8"))
            plan = _read_own(path)
        except (OSError, ValueError) as error:
            self.set_aside(key, str(error))
            return None
        if not isinstance(said, dict) or said.get("key") != asdict(key):
            self.set_aside(key, "its record is of another plan")
            return None
        if said.get("sha256") != hashlib.sha256(plan).hexdigest():
            self.set_aside(key, f"{len(plan)} bytes that are not the {said.get('bytes')} that were written")
            return None
        return plan

    def write(self, key: PlanKey, plan: bytes) -> None:
        """Keep a plan, complete or not at all; where the disk does not take it, it is built again at the next start."""
        path, record = self._paths(key)
        if path is None or record is None:
            return
        said = {"key": asdict(key), "sha256": hashlib.sha256(plan).hexdigest(), "bytes": len(plan)}
        try:
            record.unlink(missing_ok=True)
            keep(path, plan)
            keep(record, (json.dumps(said, indent=2) + "\n").encode())
        except OSError as error:
            log.warning("tensorrt engine: the plan is not kept (%s: %s)", path, error.strerror)

    def set_aside(self, key: PlanKey, reason: str) -> None:
        """Out of the way, but there to be looked at; the one before it goes."""
        path, record = self._paths(key)
        if path is None or record is None:
            return
        log.warning("tensorrt engine: %s is set aside: %s", path, reason)
        try:
            record.unlink(missing_ok=True)
            path.replace(path.with_suffix(".broken"))
        except OSError as error:
            log.warning("tensorrt engine: %s stays where it is (%s)", path, error.strerror)

    def _paths(self, key: PlanKey) -> tuple[Path | None, Path | None]:
        if self._folder is None:
            return None, None
        path = self._folder / f"{key.bundle[:12]}-{key.digest[:12]}.plan"
        return path, path.with_suffix(".json")


def device_identity() -> str:
    """What tells this machine from others, without saying which it is: a digest of the ids that any user may read.

    A machine id is on the disk, and is made anew where a disk is copied properly; a Jetson has its serial number too.
    """
    parts = []
    for source in ("/etc/machine-id", "/proc/device-tree/serial-number"):
        try:
            parts.append(Path(source).read_bytes().strip(b"\0\n "))
        except OSError:
            parts.append(b"")
    return hashlib.sha256(b"inspectd\0" + b"\0".join(parts)).hexdigest()[:32]


def _read_own(path: Path) -> bytes:
    """The bytes of a file that we, or root, own and nobody else can write; OSError says what is wrong."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or path.is_symlink():
            raise OSError(f"{path.name} is a link or special file")
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            raise OSError(f"{path.name} can be written by others (mode {status.st_mode & 0o777:o})")
        return file.read()
