"""Plans on disk: built once on this device, kept in the agent's state directory, never taken from elsewhere.

A plan is executable code. It is loaded only if its record says that this device built it, for this bundle, this
TensorRT and this GPU, if every byte is unchanged, and if nobody else could have written the file.
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
"""Increased when our build of the same bundle changes, so that older plans are built again."""

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class PlanKey:
    """Everything that a plan depends on."""

    bundle: str
    """sha256 of the bundle."""
    tensorrt: str
    """Version of TensorRT."""
    gpu: str
    """The driver's name for the GPU."""
    compute_capability: str
    """Such as 8.7."""
    precision: str
    """fp16."""
    max_batch: int
    """Largest number of frames in one call."""
    device: str
    """Identity of the machine that built it (`device_identity`): plans on a copied disk are built again."""
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """sha256, hex, of all fields."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class PlanStore:
    """The plans of one state directory."""

    def __init__(self, directory: Path | None) -> None:
        """Use this state directory; None: no plan is kept."""
        self._folder = None if directory is None else directory / FOLDER

    def timing_cache(self, key: PlanKey) -> Path | None:
        """File for the builder's measurements, which are valid for any bundle with this device and TensorRT."""
        if self._folder is None:
            return None
        name = hashlib.sha256("\n".join((key.tensorrt, key.gpu, key.compute_capability, key.device)).encode())
        return self._folder / f"timing-{name.hexdigest()[:16]}.cache"

    def load_or_build(self, key: PlanKey, build: Callable[[], bytes], load: Callable[[bytes], Loaded]) -> Loaded:
        """Load the kept plan, or build, keep and load a new one.

        A kept plan that `load` rejects with EngineError is set aside and built again once. Passes on the errors of
        `build`, and those of `load` for the new plan.
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
        """The kept plan for exactly this key; None if there is none. An altered plan is set aside."""
        path, record = self._paths(key)
        if path is None or record is None or not path.exists():
            return None
        try:
            recorded = json.loads(record.read_text(encoding="utf-8"))
            plan = _read_own(path)
        except (OSError, ValueError) as error:
            self.set_aside(key, str(error))
            return None
        if not isinstance(recorded, dict) or recorded.get("key") != asdict(key):
            self.set_aside(key, "its record belongs to another plan")
            return None
        if recorded.get("sha256") != hashlib.sha256(plan).hexdigest():
            self.set_aside(key, f"its {len(plan)} bytes are not the {recorded.get('bytes')} that were written")
            return None
        return plan

    def write(self, key: PlanKey, plan: bytes) -> None:
        """Keep a plan, completely or not at all; if the disk does not take it, the next start builds it again."""
        path, record = self._paths(key)
        if path is None or record is None:
            return
        content = {"key": asdict(key), "sha256": hashlib.sha256(plan).hexdigest(), "bytes": len(plan)}
        try:
            record.unlink(missing_ok=True)
            keep(path, plan)
            keep(record, (json.dumps(content, indent=2) + "\n").encode())
        except OSError as error:
            log.warning("tensorrt engine: the plan is not kept (%s: %s)", path, error.strerror)

    def set_aside(self, key: PlanKey, reason: str) -> None:
        """Rename a plan to `.broken`, for inspection; replaces the previous one."""
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
    """Identifies this machine without revealing which one it is: a digest of ids that any user may read, 32 hex digits.

    The machine id is on the disk, and is renewed if a disk is copied properly; a Jetson also has a serial number.
    """
    parts = []
    for source in ("/etc/machine-id", "/proc/device-tree/serial-number"):
        try:
            parts.append(Path(source).read_bytes().strip(b"\0\n "))
        except OSError:
            parts.append(b"")
    return hashlib.sha256(b"inspectd\0" + b"\0".join(parts)).hexdigest()[:32]


def _read_own(path: Path) -> bytes:
    """The bytes of a file that we or root own and nobody else can write; OSError with the reason for any other."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or path.is_symlink():
            raise OSError(f"{path.name} is a link or special file")
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            raise OSError(f"{path.name} can be written by others (mode {status.st_mode & 0o777:o})")
        return file.read()
