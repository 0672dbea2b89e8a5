"""Checks the rights of the service: may it reach the hosts and open the devices that the settings name?

The user who runs the doctor may do more than the service: a broker that answers here can still be out of the service's
reach. Its unit allows only this machine's addresses, and no device, until a drop-in allows more.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from grp import getgrnam
from pathlib import Path

from agent.core.errors import InspectdError
from agent.doctor.check_result import CheckResult, ok, problem
from agent.doctor.service.addresses import addresses, is_address, name_servers
from agent.doctor.service.drop_ins import add_to_unit, install_drop_in
from agent.doctor.service.systemd import RunCommand, command_output
from agent.doctor.service.unit_rights import IpAddress, UnitRights, read_unit_rights
from agent.outputs.settings import OutputSection
from agent.settings import Settings
from agent.sources.settings import SourceSection

# Devices by the beginning of their names: driver, and drop-in that allows it.
DRIVERS = ((("/dev/video", "/dev/v4l/"), "video4linux", "camera"), ("/dev/gpiochip", "gpiochip", "gpio"))

UNPRIVILEGED_PORTS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

Resolve = Callable[[str], Sequence[IpAddress]]


def check_rights(
    settings: Settings,
    unit: str,
    *,
    run: RunCommand = command_output,
    resolve: Resolve = addresses,
    servers: Callable[[], Sequence[IpAddress]] = name_servers,
) -> Iterator[CheckResult]:
    """The unit with its drop-ins allows the hosts and devices that the settings name, and its groups exist.

    Yields nothing for a unit that systemd does not know; `check_unit` reports that.
    """
    rights = read_unit_rights(unit, run)
    if rights is None:
        return
    if rights.reload_needed:
        text = "the unit or a drop-in has changed since systemd read it"
        yield problem("rights", text, f"sudo systemctl daemon-reload && sudo systemctl restart {unit}")
        return
    hosts = list(_hosts(settings))
    denied = [*_denied_hosts(hosts, unit, rights, resolve), *_denied_name_servers(hosts, unit, rights, servers)]
    denied += [*_denied_clients(settings, unit, rights), *_denied_ports(settings, unit, rights, first_free_port())]
    denied += [*_denied_devices(settings, unit, rights), *_denied_families(settings, unit, rights)]
    denied += _missing_groups(rights)
    yield from denied or [ok("rights", "the unit lets the service reach everything that its settings name")]


def _hosts(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each host that the settings name, after what it is for: ("camera line1", "192.0.2.20")."""
    for purpose, section in _sections(settings):
        with suppress(InspectdError):  # check_broker reports a URL that cannot be parsed
            yield from ((purpose, host.name) for host in section.hosts())


def _sections(settings: Settings) -> Iterator[tuple[str, OutputSection | SourceSection]]:
    """The sections that may need hosts and devices, each after what it is for."""
    for name, output in settings.output_sections.items():
        yield ("broker" if name == "mqtt" else f"output {name}"), output
    for name, camera in settings.cameras.items():
        yield f"camera {name}", camera.source


def _denied_hosts(
    hosts: Sequence[tuple[str, str]], unit: str, rights: UnitRights, resolve: Resolve
) -> Iterator[CheckResult]:
    """One allowed address of a host is enough: the service tries each of them."""
    for purpose, host in hosts:
        known = resolve(host)
        if known and not any(rights.may_reach(address) for address in known):
            text = f"the unit does not let the service reach {host} ({purpose})"
            yield problem("rights", text, add_to_unit([f"IPAddressAllow={known[0]}"], "network", unit))


def _denied_name_servers(
    hosts: Sequence[tuple[str, str]], unit: str, rights: UnitRights, servers: Callable[[], Sequence[IpAddress]]
) -> Iterator[CheckResult]:
    names = [host for _, host in hosts if not is_address(host) and host != "localhost"]
    known = servers() if names else ()
    if known and not any(rights.may_reach(server) for server in known):
        text = f"the unit does not let the service reach a name server, and {names[0]} is a name"
        yield problem("rights", text, add_to_unit([f"IPAddressAllow={known[0]}"], "network", unit))


def _denied_clients(settings: Settings, unit: str, rights: UnitRights) -> Iterator[CheckResult]:
    """Clients that the settings allow, and the unit does not."""
    for purpose, section in _sections(settings):
        for client in section.clients():
            if not rights.may_reach(ipaddress.ip_network(client).network_address):
                text = f"the unit keeps {client} from reaching the service ({purpose})"
                yield problem("rights", text, add_to_unit([f"IPAddressAllow={client}"], "network", unit))


def _denied_ports(settings: Settings, unit: str, rights: UnitRights, first_free: int) -> Iterator[CheckResult]:
    for purpose, section in _sections(settings):
        for host in section.listens():
            if host.port < first_free and not rights.low_ports:
                text = f"the unit does not let the service open port {host.port} ({purpose})"
                yield problem("rights", text, install_drop_in("modbus-502", unit))


def first_free_port(file: Path = UNPRIVILEGED_PORTS) -> int:
    """The lowest port that every program may open."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 1024


def _denied_devices(settings: Settings, unit: str, rights: UnitRights) -> Iterator[CheckResult]:
    for purpose, section in _sections(settings):
        for path in section.devices():
            driver, drop_in = next((row for start, *row in DRIVERS if path.startswith(start)), (None, None))
            if not rights.may_open(driver, path):
                text = f"the unit does not let the service open {path} ({purpose})"
                allow = ["PrivateDevices=no", f"DeviceAllow={path} rw"]
                fix = add_to_unit(allow, "devices", unit) if drop_in is None else install_drop_in(drop_in, unit)
                yield problem("rights", text, fix)


def _denied_families(settings: Settings, unit: str, rights: UnitRights) -> Iterator[CheckResult]:
    """The drop-in of each kind of source that needs more has the name of the kind."""
    for name, camera in settings.cameras.items():
        for family in camera.source.address_families:
            if not rights.may_use(family):
                text = f"the unit does not let the service use {family} (camera {name})"
                yield problem("rights", text, install_drop_in(camera.source.kind, unit))


def _missing_groups(rights: UnitRights) -> Iterator[CheckResult]:
    """systemd does not start a service whose unit names a group that does not exist (216/GROUP)."""
    for group in rights.groups:
        try:
            getgrnam(group)
        except KeyError:
            text = f"the unit names the group {group}, which does not exist: the service cannot start"
            yield problem("rights", text, f"sudo groupadd --system {group}")
