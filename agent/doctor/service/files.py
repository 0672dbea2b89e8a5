"""Checks that a service can read the files and folders that its settings name."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.doctor.check_result import CheckResult, ok, problem
from agent.settings import SERVICE_SETTINGS, Settings

# The unit has ProtectHome=yes and PrivateTmp=yes, so the service does not see the files below these.
HIDDEN = tuple(Path(path) for path in ("/home", "/root", "/run/user", "/tmp", "/var/tmp"))


def check_files(settings: Settings, config: Path, hidden: Sequence[Path] = HIDDEN) -> Iterator[CheckResult]:
    """Settings, bundles and the files of sources are visible in the service's sandbox, and its user may read them."""
    cameras = settings.cameras.values()
    paths = [config, *(bundle for camera in cameras for bundle in camera.bundles)]
    paths += [file for camera in cameras for file in camera.source.files()]
    unreadable = [result for path in paths if (result := _check(path, hidden)) is not None]
    yield from unreadable or [ok("files", "the service can read its settings, bundles and sources")]


def _check(path: Path, hidden: Sequence[Path]) -> CheckResult | None:
    place = path.resolve()
    if any(place.is_relative_to(folder) for folder in hidden):
        return problem("files", f"the unit hides {path} from the service", f"sudo cp -r {path} {SERVICE_SETTINGS}/")
    try:
        readable = all(_open_to_everybody(part) for part in (place, *place.parents))
    except OSError as error:
        return problem("files", f"{path}: {error.strerror}", f"ls -ld {path}")
    if readable:
        return None
    return problem("files", f"the service may not read {path}", f"sudo chmod -R o+rX {path}")


def _open_to_everybody(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IXOTH if path.is_dir() else stat.S_IROTH))
