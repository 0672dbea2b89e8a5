"""Checks the GPU: its device files, and whether the process that runs the model may open them.

A service runs as its own user, in a unit that opens no device until a drop-in allows it; root may open more. Groups and
modes are those of JetPack's and of the driver's own udev rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pwd import getpwnam

from agent.doctor.check_result import CheckResult, ok, warning
from agent.doctor.gpu_files import GpuFile, GpuFiles, find_gpu_files, group_name
from agent.doctor.service import RunCommand, UnitRights, add_to_unit, command_output, install_drop_in, read_unit_rights

Find = Callable[[], GpuFiles | None]

NO_GPU = "no GPU found; the model runs on the CPU"


def check_gpu_for_user(find: Find = find_gpu_files) -> Iterator[CheckResult]:
    """If there is a GPU, the user who runs the doctor may open it."""
    gpu = find()
    if gpu is None:
        yield ok("gpu", NO_GPU)
        return
    closed = [file for file in gpu.files if not os.access(file.path, os.R_OK | os.W_OK)]
    if closed:
        yield warning("gpu", f"this user may not open {_first(closed)}", "sudo usermod -aG video,render $USER")
    else:
        yield ok("gpu", f"this user may open {_first(gpu.files)}")


def check_gpu_for_service(
    unit: str, *, find: Find = find_gpu_files, run: RunCommand = command_output
) -> Iterator[CheckResult]:
    """If there is a GPU, the service may open it: its unit allows it, and so do the rights of the files.

    Yields nothing for a unit that systemd does not know; `check_unit` reports that.
    """
    gpu = find()
    if gpu is None:
        yield ok("gpu", NO_GPU)
        return
    rights = read_unit_rights(unit, run)
    if rights is not None:
        yield _check_service(gpu, unit, rights)


def _check_service(gpu: GpuFiles, unit: str, rights: UnitRights) -> CheckResult:
    denied = [file for file in gpu.files if not rights.may_open(file.driver, file.path)]
    if denied:
        text = f"the unit does not let the service open {_first(denied)}; the model runs on the CPU"
        return warning("gpu", text, install_drop_in(gpu.drop_in, unit))
    groups = {*rights.groups, *_groups_of(rights.user)}
    closed = [file for file in gpu.files if file.group is not None and file.group not in groups]
    if closed:
        wanted = " ".join(sorted({str(file.group) for file in closed}))
        text = f"the service is not in the group of {_first(closed)}: {wanted}; the model runs on the CPU"
        return warning("gpu", text, add_to_unit([f"SupplementaryGroups={wanted}"], "gpu", unit))
    return ok("gpu", f"the service may open {_first(gpu.files)}")


def _groups_of(user: str) -> Sequence[str]:
    """The groups of a static user; a dynamic user has only those of its unit."""
    try:
        found = getpwnam(user)
    except KeyError:
        return ()
    return [group_name(number) for number in os.getgrouplist(user, found.pw_gid)]


def _first(files: Sequence[GpuFile]) -> str:
    """The first file, and how many more there are."""
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0].path}{more}"
