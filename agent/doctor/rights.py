"""Checks of what the unit lets the service do: reach its broker and its cameras, open its devices.

Whoever runs the doctor may do more than the service: a broker that answers here can still be closed to the service,
whose unit allows no address but this machine's and no device until a drop-in says otherwise.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from grp import getgrnam
from pathlib import Path
from urllib.parse import urlsplit

from agent.doctor.finding import CheckResult, ok, problem
from agent.doctor.machine import output
from agent.settings import SERVICE_SETTINGS, Settings
from agent.sources.settings import CameraSourceSettings

DROP_INS = Path("/usr/share/doc/inspectd/drop-ins")
RESOLV_CONF = Path("/etc/resolv.conf")

PROPERTIES = (
    *("LoadState", "NeedDaemonReload", "IPAddressAllow", "IPAddressDeny"),
    *("PrivateDevices", "DevicePolicy", "DeviceAllow", "User", "SupplementaryGroups"),
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Rights:
    """What a unit allows, as `systemctl show` tells it."""

    allow: str
    """IPAddressAllow=: networks, separated by blanks."""
    deny: str
    """IPAddressDeny=."""
    devices: str
    """DeviceAllow=."""
    private_devices: bool
    """PrivateDevices=: /dev has no device of the machine."""
    device_policy: str = "closed"
    """DevicePolicy=: closed, strict or auto; with the last, no DeviceAllow= is none that is kept from the service."""
    user: str = ""
    """User=; one of systemd's dynamic users is nobody while the service does not run."""
    groups: tuple[str, ...] = ()
    """SupplementaryGroups=."""

    def may_reach(self, address: Address) -> bool:
        """As systemd decides: what is allowed is open, else what is denied is closed.

        >>> rights = Rights("127.0.0.0/8 ::1/128 192.0.2.0/24", "0.0.0.0/0 ::/0", "", True)
        >>> [rights.may_reach(ipaddress.ip_address(text)) for text in ("127.0.0.1", "192.0.2.9", "198.51.100.1")]
        [True, True, False]
        """
        return _inside(address, self.allow) or not _inside(address, self.deny)

    def may_open(self, driver: str | None, path: str) -> bool:
        """A device by its file, or by its driver's name in /proc/devices, such as video4linux; None: it has none.

        >>> rights = Rights("", "", "/dev/nvmap rw char-nvhost* rw", False)
        >>> devices = (None, "/dev/nvmap"), ("nvhost-gpu", "/dev/nvhost-gpu"), ("drm", "/dev/dri/renderD128")
        >>> [rights.may_open(driver, path) for driver, path in devices]
        [True, True, False]
        """
        if self.private_devices:
            return False
        allowed = self.devices.split()
        if not allowed:
            return self.device_policy == "auto"
        return path in allowed or (driver is not None and any(fnmatch(f"char-{driver}", entry) for entry in allowed))


def check_rights(settings: Settings, config: Path) -> Iterator[CheckResult]:
    """The unit with its drop-ins opens the addresses and devices that the settings name."""
    if config.absolute().parent != SERVICE_SETTINGS:
        return
    unit = f"inspectd@{config.stem}.service"
    found = shown(unit)
    if not found:
        return  # told of by check_unit
    if found.get("NeedDaemonReload") == "yes":
        mend = f"sudo systemctl daemon-reload && sudo systemctl restart {unit}"
        yield problem("rights", "the unit or a drop-in was changed, and systemd has not read it yet", mend)
        return
    rights = rights_of(found)
    closed = [*_closed_hosts(settings, unit, rights), *_closed_devices(settings, unit, rights)]
    closed += _missing_groups(rights)
    yield from closed or [ok("rights", "the unit lets the service reach what its settings name")]


def shown(unit: str) -> Mapping[str, str]:
    """What systemd says of a unit; nothing where it does not answer, or does not know the unit."""
    found = parse(output("systemctl", "show", unit, f"--property={','.join(PROPERTIES)}") or "")
    return found if found.get("LoadState") == "loaded" else {}


def parse(shown: str) -> dict[str, str]:
    """`systemctl show`: a property that has several values comes on several lines."""
    found: dict[str, str] = {}
    for line in shown.splitlines():
        key, separator, value = line.partition("=")
        if separator:
            found[key] = f"{found[key]} {value}" if key in found else value
    return found


def rights_of(found: Mapping[str, str]) -> Rights:
    """From the properties of a unit."""
    return Rights(
        allow=found.get("IPAddressAllow", ""),
        deny=found.get("IPAddressDeny", ""),
        devices=found.get("DeviceAllow", ""),
        private_devices=found.get("PrivateDevices") == "yes",
        device_policy=found.get("DevicePolicy", "closed"),
        user=found.get("User", ""),
        groups=tuple(found.get("SupplementaryGroups", "").split()),
    )


def _closed_hosts(settings: Settings, unit: str, rights: Rights) -> Iterator[CheckResult]:
    """A host is closed where none of its addresses is open: the service tries one after the other."""
    hosts = {"broker": str(urlsplit(settings.mqtt.url).hostname)}
    for name, camera in settings.cameras.items():
        if isinstance(camera.source, CameraSourceSettings) and camera.source.url is not None:
            hosts[f"camera {name}"] = str(urlsplit(camera.source.url).hostname)
    for what, host in hosts.items():
        known = addresses(host)
        if known and not any(rights.may_reach(address) for address in known):
            text = f"the unit does not let the service reach {host} ({what})"
            yield problem("rights", text, add_to_unit(f"IPAddressAllow={known[0]}", "network", unit))
    named = [host for host in hosts.values() if not _is_address(host) and host != "localhost"]
    servers = name_servers()
    if named and servers and not any(rights.may_reach(server) for server in servers):
        text = f"the unit does not let the service reach a name server, and {named[0]} is a name"
        yield problem("rights", text, add_to_unit(f"IPAddressAllow={servers[0]}", "network", unit))


def _closed_devices(settings: Settings, unit: str, rights: Rights) -> Iterator[CheckResult]:
    for name, camera in settings.cameras.items():
        if isinstance(camera.source, CameraSourceSettings) and camera.source.device is not None:
            device = camera.source.device
            path = f"/dev/video{device}" if isinstance(device, int) else device
            if not rights.may_open("video4linux", path):
                text = f"the unit does not let the service open {path} (camera {name})"
                yield problem("rights", text, install_drop_in("camera", unit))


def _missing_groups(rights: Rights) -> Iterator[CheckResult]:
    """systemd starts no service whose unit names a group that is not there (216/GROUP)."""
    for group in rights.groups:
        try:
            getgrnam(group)
        except KeyError:
            text = f"the unit names the group {group}, which is not there: the service does not start"
            yield problem("rights", text, f"sudo groupadd --system {group}")


def install_drop_in(name: str, unit: str) -> str:
    """The command that gives a unit what one of our drop-ins opens."""
    folder = f"/etc/systemd/system/{unit}.d"
    return f"sudo install -D -m 644 -t {folder} {DROP_INS}/{name}.conf && sudo systemctl daemon-reload"


def add_to_unit(line: str, name: str, unit: str) -> str:
    """The command that adds one line of [Service] to a unit, in the drop-in of this name."""
    folder = f"/etc/systemd/system/{unit}.d"
    written = f"printf '[Service]\\n{line}\\n' | sudo tee -a {folder}/{name}.conf"
    return f"sudo mkdir -p {folder} && {written} && sudo systemctl daemon-reload"


def addresses(host: str) -> Sequence[Address]:
    """Of a name or an address; empty where it is not known, which the checks of broker and camera tell."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found)


def name_servers(file: Path = RESOLV_CONF) -> Sequence[Address]:
    """Those of resolv.conf."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return ()
    servers = (line.split()[1].partition("%")[0] for line in lines if line.startswith("nameserver "))
    return tuple(ipaddress.ip_address(server) for server in servers if _is_address(server))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _inside(address: Address, networks: str) -> bool:
    """`any` is said by systemctl as 0.0.0.0/0 and ::/0."""
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks.split())
