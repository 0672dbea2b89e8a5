"""Checks of what the unit lets the service do: reach its broker and its cameras, open its devices.

Whoever runs the doctor may do more than the service: a broker that answers here can still be closed to the service,
whose unit allows no address but this machine's and no device until a drop-in says otherwise.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agent.doctor.finding import Finding, ok, problem
from agent.doctor.machine import output
from agent.places import SERVICE_SETTINGS
from agent.settings import CameraSourceSettings, Settings

DROP_INS = Path("/usr/share/doc/inspectd/drop-ins")
RESOLV_CONF = Path("/etc/resolv.conf")

PROPERTIES = ("LoadState", "NeedDaemonReload", "IPAddressAllow", "IPAddressDeny", "DeviceAllow", "PrivateDevices")

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

    def may_reach(self, address: Address) -> bool:
        """As systemd decides: what is allowed is open, else what is denied is closed.

        >>> rights = Rights("127.0.0.0/8 ::1/128 192.0.2.0/24", "0.0.0.0/0 ::/0", "", True)
        >>> [rights.may_reach(ipaddress.ip_address(text)) for text in ("127.0.0.1", "192.0.2.9", "198.51.100.1")]
        [True, True, False]
        """
        return _inside(address, self.allow) or not _inside(address, self.deny)

    def may_open(self, kind: str, device: str) -> bool:
        """A device of a kind of /proc/devices, such as video4linux."""
        return not self.private_devices and (f"char-{kind}" in self.devices or device in self.devices)


def check_rights(settings: Settings, config: Path) -> Iterator[Finding]:
    """The unit with its drop-ins opens the addresses and devices that the settings name."""
    if config.absolute().parent != SERVICE_SETTINGS:
        return
    unit = f"inspectd@{config.stem}.service"
    shown = output("systemctl", "show", unit, f"--property={','.join(PROPERTIES)}")
    if shown is None:
        return  # told of by check_unit, as is a unit that is not installed
    found = parse(shown)
    if found.get("LoadState") != "loaded":
        return
    if found.get("NeedDaemonReload") == "yes":
        mend = f"sudo systemctl daemon-reload && sudo systemctl restart {unit}"
        yield problem("rights", "the unit or a drop-in was changed, and systemd has not read it yet", mend)
        return
    rights = rights_of(found)
    closed = [*_closed_hosts(settings, unit, rights), *_closed_devices(settings, unit, rights)]
    yield from closed or [ok("rights", "the unit lets the service reach what its settings name")]


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
    )


def _closed_hosts(settings: Settings, unit: str, rights: Rights) -> Iterator[Finding]:
    """A host is closed where none of its addresses is open: the service tries one after the other."""
    hosts = {"broker": str(urlsplit(settings.mqtt.url).hostname)}
    for name, camera in settings.cameras.items():
        if isinstance(camera.source, CameraSourceSettings) and camera.source.url is not None:
            hosts[f"camera {name}"] = str(urlsplit(camera.source.url).hostname)
    for what, host in hosts.items():
        known = addresses(host)
        if known and not any(rights.may_reach(address) for address in known):
            text = f"the unit does not let the service reach {host} ({what})"
            yield problem("rights", text, _open_address(known[0], unit))
    named = [host for host in hosts.values() if not _is_address(host) and host != "localhost"]
    servers = name_servers()
    if named and servers and not any(rights.may_reach(server) for server in servers):
        text = f"the unit does not let the service reach a name server, and {named[0]} is a name"
        yield problem("rights", text, _open_address(servers[0], unit))


def _closed_devices(settings: Settings, unit: str, rights: Rights) -> Iterator[Finding]:
    for name, camera in settings.cameras.items():
        if isinstance(camera.source, CameraSourceSettings) and camera.source.device is not None:
            device = camera.source.device
            path = f"/dev/video{device}" if isinstance(device, int) else device
            if not rights.may_open("video4linux", path):
                folder = f"/etc/systemd/system/{unit}.d"
                mend = f"sudo install -D -m 644 -t {folder} {DROP_INS}/camera.conf && sudo systemctl daemon-reload"
                yield problem("rights", f"the unit does not let the service open {path} (camera {name})", mend)


def _open_address(address: Address, unit: str) -> str:
    folder = f"/etc/systemd/system/{unit}.d"
    line = f"printf '[Service]\\nIPAddressAllow={address}\\n' | sudo tee -a {folder}/network.conf"
    return f"sudo mkdir -p {folder} && {line} && sudo systemctl daemon-reload"


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
