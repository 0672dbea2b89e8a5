"""What a unit allows its service: which addresses it may reach, and which devices it may open."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch

from agent.doctor.service.systemd import RunCommand, command_output, unit_properties

RIGHTS_PROPERTIES = (
    *("LoadState", "NeedDaemonReload", "IPAddressAllow", "IPAddressDeny"),
    *("PrivateDevices", "DevicePolicy", "DeviceAllow", "User", "SupplementaryGroups"),
    *("AmbientCapabilities", "PrivateUsers", "RestrictAddressFamilies"),
)

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class UnitRights:
    """The rights of a unit, as `systemctl show` reports them."""

    allow: str
    """IPAddressAllow=: networks, separated by spaces."""
    deny: str
    """IPAddressDeny=."""
    devices: str
    """DeviceAllow=."""
    private_devices: bool
    """PrivateDevices=: the service's /dev has none of the machine's devices."""
    device_policy: str = "closed"
    """DevicePolicy=: closed, strict or auto; with `auto`, an empty DeviceAllow= allows every device."""
    user: str = ""
    """User=; a dynamic user exists only while the service runs."""
    groups: tuple[str, ...] = ()
    """SupplementaryGroups=."""
    reload_needed: bool = False
    """NeedDaemonReload=: the unit's files have changed since systemd read them."""
    families: str = ""
    """RestrictAddressFamilies=: those that are allowed, separated by spaces; empty for all."""
    low_ports: bool = False
    """AmbientCapabilities= has CAP_NET_BIND_SERVICE, and PrivateUsers= does not make it void."""

    def may_reach(self, address: IpAddress) -> bool:
        """Decide as systemd does: an allowed address is reachable; otherwise a denied one is not.

        >>> rights = UnitRights("127.0.0.0/8 ::1/128 192.0.2.0/24", "0.0.0.0/0 ::/0", "", True)
        >>> [rights.may_reach(ipaddress.ip_address(text)) for text in ("127.0.0.1", "192.0.2.9", "198.51.100.1")]
        [True, True, False]
        """
        return _inside(address, self.allow) or not _inside(address, self.deny)

    def may_use(self, family: str) -> bool:
        """Whether the service may open sockets of an address family; a list that begins with ~ has those it may not.

        >>> lists = ("", "AF_UNIX AF_INET", "~AF_PACKET", "~AF_NETLINK")
        >>> [UnitRights("", "", "", True, families=each).may_use("AF_NETLINK") for each in lists]
        [True, False, True, False]
        """
        listed = family in self.families.lstrip("~").split()
        return not self.families or listed is not self.families.startswith("~")

    def may_open(self, driver: str | None, path: str) -> bool:
        """Whether the service may open a device file.

        driver: of the device, as /proc/devices has it, such as video4linux; None if it is not known.

        >>> rights = UnitRights("", "", "/dev/nvmap rw char-nvhost* rw", False)
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


def read_unit_rights(unit: str, run: RunCommand = command_output) -> UnitRights | None:
    """The rights of a unit; None if systemd does not answer or does not know the unit."""
    found = unit_properties(unit, RIGHTS_PROPERTIES, run)
    return None if found is None or found.get("LoadState") != "loaded" else _rights(found)


def _rights(found: Mapping[str, str]) -> UnitRights:
    return UnitRights(
        allow=found.get("IPAddressAllow", ""),
        deny=found.get("IPAddressDeny", ""),
        devices=found.get("DeviceAllow", ""),
        private_devices=found.get("PrivateDevices") == "yes",
        device_policy=found.get("DevicePolicy", "closed"),
        user=found.get("User", ""),
        groups=tuple(found.get("SupplementaryGroups", "").split()),
        reload_needed=found.get("NeedDaemonReload") == "yes",
        families=found.get("RestrictAddressFamilies", ""),
        low_ports="cap_net_bind_service" in found.get("AmbientCapabilities", "").lower().split()
        and found.get("PrivateUsers") != "yes",
    )


def _inside(address: IpAddress, networks: str) -> bool:
    """Whether one of the networks has the address; systemctl writes `any` as 0.0.0.0/0 ::/0."""
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks.split())
