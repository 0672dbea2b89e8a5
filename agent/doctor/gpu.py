"""Checks of the GPU: its device files, and whether the program that runs the model may open them.

A service runs as a user of its own in a unit that opens no device until a drop-in says so; what root, who asks, may
open says nothing of it. Groups and modes are those of JetPack's and of the driver's own udev rules.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from grp import getgrgid
from pathlib import Path
from pwd import getpwnam

from agent.doctor.finding import CheckResult, ok, warning
from agent.doctor.rights import Rights, add_to_unit, install_drop_in, rights_of, shown
from agent.settings import SERVICE_SETTINGS, Settings

# Of a Jetson; its memory allocator, nvmap, is in no other machine. From JetPack 7 on the others are named as in a PC.
JETSON = ("nvmap", "nvhost-*", "nvgpu/*/*", "dri/renderD*")
CARD = ("nvidiactl", "nvidia[0-9]*", "nvidia-uvm")

# For debuggers and schedulers; JetPack gives them to the group debug or to root alone, and CUDA does without.
NOT_NEEDED = ("*dbg*", "*prof*", "*ctxsw*", "*sched*", "*power*")


@dataclass(frozen=True, slots=True)
class Device:
    """A device file."""

    path: str
    driver: str | None
    """As /proc/devices has it, by which systemd's DeviceAllow=char-… knows it; None where it is not listed."""
    group: str | None
    """Whose members may read and write it; None: everybody."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """The GPU of this machine; several cards of one driver are one."""

    drop_in: str
    """What opens it to a service."""
    devices: tuple[Device, ...]


def check_gpu(settings: Settings, config: Path, find: Callable[[], Gpu | None] | None = None) -> Iterator[CheckResult]:
    """Where there is a GPU, the service may open it; where the settings are no service's, whoever asks."""
    gpu = (find or find_gpu)()
    if gpu is None:
        yield ok("gpu", "none here; the model runs on the CPU")
    elif config.absolute().parent != SERVICE_SETTINGS:
        yield _for_this_user(gpu)
    elif properties := shown(unit := f"inspectd@{config.stem}.service"):
        yield _for_service(gpu, unit, rights_of(properties))


def find_gpu(directory: Path = Path("/dev"), drivers: Path = Path("/proc/devices")) -> Gpu | None:
    """The one whose device files are here: a Jetson's own, or the cards of a PC, which count as one."""
    known = _character_drivers(drivers)
    name, patterns = ("jetson", (*JETSON, *CARD)) if (directory / "nvmap").exists() else ("nvidia", CARD)
    devices = tuple(_device(path, known) for path in _needed(directory, patterns))
    return Gpu(name, devices) if devices else None


def _needed(directory: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        for path in sorted(directory.glob(pattern)):
            if not any(fnmatch(path.name, name) for name in NOT_NEEDED):
                yield path


def _device(path: Path, known: Mapping[int, str]) -> Device:
    status = path.stat()
    everybody = stat.S_IROTH | stat.S_IWOTH
    group = None if status.st_mode & everybody == everybody else _group_name(status.st_gid)
    return Device(str(path), known.get(os.major(status.st_rdev)), group)


def _group_name(number: int) -> str:
    try:
        return getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _character_drivers(file: Path) -> Mapping[int, str]:
    """/proc/devices: the drivers of character devices, which come first, by their major numbers."""
    try:
        lines = file.read_text().partition("Block devices:")[0].splitlines()
    except OSError:
        return {}
    return {int(words[0]): words[1] for words in map(str.split, lines) if len(words) == 2 and words[0].isdigit()}


def _for_this_user(gpu: Gpu) -> CheckResult:
    closed = [device for device in gpu.devices if not os.access(device.path, os.R_OK | os.W_OK)]
    if closed:
        return warning("gpu", f"this user may not open {_named(closed)}", "sudo usermod -aG video,render $USER")
    return ok("gpu", f"this user may open {_named(gpu.devices)}")


def _for_service(gpu: Gpu, unit: str, rights: Rights) -> CheckResult:
    """First what the unit keeps from the service, then what the files' own rights do."""
    kept = [device for device in gpu.devices if not rights.may_open(device.driver, device.path)]
    if kept:
        text = f"the unit does not let the service open {_named(kept)}; the model runs on the CPU"
        return warning("gpu", text, install_drop_in(gpu.drop_in, unit))
    groups = {*rights.groups, *_groups_of(rights.user)}
    closed = [device for device in gpu.devices if device.group is not None and device.group not in groups]
    if closed:
        wanted = " ".join(sorted({str(device.group) for device in closed}))
        text = f"the service is not in the group of {_named(closed)}: {wanted}; the model runs on the CPU"
        return warning("gpu", text, add_to_unit(f"SupplementaryGroups={wanted}", "gpu", unit))
    return ok("gpu", f"the service may open {_named(gpu.devices)}")


def _groups_of(user: str) -> Sequence[str]:
    """Of a user that stays; a dynamic one has no others than its unit's."""
    try:
        found = getpwnam(user)
    except KeyError:
        return ()
    return [_group_name(number) for number in os.getgrouplist(user, found.pw_gid)]


def _named(devices: Sequence[Device]) -> str:
    """The first of them, and how many more."""
    more = f" and {len(devices) - 1} more" if len(devices) > 1 else ""
    return f"{devices[0].path}{more}"
