"""Commands that give a service more rights: they install a drop-in for its unit, or add a line to one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# Installed by the Debian package.
DROP_INS = Path("/usr/share/doc/inspectd/drop-ins")


def install_drop_in(name: str, unit: str) -> str:
    """The command that installs one of the drop-ins that come with inspectd."""
    return f"sudo install -D -m 644 -t {_folder(unit)} {DROP_INS}/{name}.conf && sudo systemctl daemon-reload"


def add_to_unit(lines: Sequence[str], name: str, unit: str) -> str:
    """The command that adds lines to the section [Service] of a unit, in its drop-in of this name.

    >>> for command in add_to_unit(["SupplementaryGroups=video"], "gpu", "inspectd@l1.service").split(" && "):
    ...     print(command)
    sudo mkdir -p /etc/systemd/system/inspectd@l1.service.d
    printf '[Service]\\nSupplementaryGroups=video\\n' | sudo tee -a /etc/systemd/system/inspectd@l1.service.d/gpu.conf
    sudo systemctl daemon-reload
    """
    folder = _folder(unit)
    text = "".join(f"{line}\\n" for line in ("[Service]", *lines))
    return (
        f"sudo mkdir -p {folder} && printf '{text}' | sudo tee -a {folder}/{name}.conf && sudo systemctl daemon-reload"
    )


def _folder(unit: str) -> str:
    return f"/etc/systemd/system/{unit}.d"
