"""Checks the outputs besides [mqtt]: their extra is installed, and the port that one listens on is free."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from agent.commands import ask
from agent.core.errors import InspectdError
from agent.core.section import Host
from agent.doctor.check_result import CheckResult, Level, ok, problem
from agent.outputs import OutputSection
from agent.outputs.settings import KINDS, load_class, missing_packages
from agent.settings import Settings

CONNECT_SECONDS = 5.0


def check_outputs(settings: Settings) -> Iterator[CheckResult]:
    """One or more results for each section [outputs.NAME]."""
    for name, section in settings.outputs.items():
        subject = f"output {name}"
        missing = missing_packages(section.kind)
        if missing is not None:
            text, _, fix = missing.partition(": ")
            yield problem(subject, text, fix)
            continue
        yield from (_check_device(subject, Path(device)) for device in section.devices())
        for host in section.listens():
            yield _check_port(subject, host, settings)
        if section.kind != "mqtt":
            yield from _check_hosts(name, section)


def _check_hosts(name: str, section: OutputSection) -> Iterator[CheckResult]:
    """Each host answers; then, that the destination would take messages."""
    subject = f"output {name}"
    found = [_check_host(subject, host, section) for host in section.hosts()]
    yield from found
    examine = KINDS[section.kind].examine
    if examine is not None and all(result.level is Level.OK for result in found):
        wrong = load_class(examine)(name, section)
        if wrong is not None:
            yield problem(subject, wrong, f"check the section [outputs.{name}] and its credentials")


def _check_host(subject: str, host: Host, section: OutputSection) -> CheckResult:
    """A host answers, and proves with its certificate that it is the one."""
    place = f"{host.name}:{host.port}"
    try:
        context = section.tls_context()
        with socket.create_connection(host, CONNECT_SECONDS) as connection:
            if context is not None:
                context.wrap_socket(connection, server_hostname=host.name).close()
    except InspectdError as error:
        return problem(subject, str(error), "ls -l the files that the settings name")
    except ssl.SSLCertVerificationError as error:
        fix = f"set ca_file; openssl s_client -connect {place} </dev/null shows its certificate"
        return problem(subject, f"the certificate of {place} is rejected: {error.verify_message}", fix)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        fix = f"ping -c 3 {host.name}; nc -vz {host.name} {host.port}"
        return problem(subject, f"{place} does not answer: {reason}", fix)
    return ok(subject, f"{place} answers" + ("" if context is None else " and has a certificate that is trusted"))


def _check_device(subject: str, device: Path) -> CheckResult:
    """This user may open it; the rights of the service are another check."""
    if not device.exists():
        return problem(subject, f"{device} does not exist", "gpiodetect, which lists the chips of this machine")
    if not os.access(device, os.R_OK | os.W_OK):
        return problem(subject, f"{device}: no rights for this user", f"ls -l {device}")
    return ok(subject, f"{device} can be opened")


def _check_port(subject: str, host: Host, settings: Settings) -> CheckResult:
    place = f"{host.name} port {host.port}"
    try:
        _bind(host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _taken(subject, place, host, settings)
        if error.errno == errno.EADDRNOTAVAIL:
            return problem(subject, f"{host.name} is not an address of this machine", "ip -brief address")
        if error.errno in (errno.EACCES, errno.EPERM):
            text = f"{place} needs rights: ports below 1024 are reserved"
            return problem(subject, text, "set a port from 1024 on, or install the drop-in modbus-502.conf")
        return problem(subject, f"{place} cannot be opened: {os.strerror(error.errno or 0)}", "ip -brief address")
    return ok(subject, f"{place} is free")


def _bind(host: Host) -> None:
    family = socket.AF_INET6 if ":" in host.name else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host.name, host.port))
        probe.listen(1)


def _taken(subject: str, place: str, host: Host, settings: Settings) -> CheckResult:
    """The port is in use: by the agent with these settings, or by another program."""
    try:
        ask(settings.socket_path, "status", timeout_seconds=2.0)
    except InspectdError:
        fix = f"sudo ss -ltnp sport = :{host.port}; then set another port, or stop that program"
        return problem(subject, f"{place} is used by another program", fix)
    return ok(subject, f"{place} is open: the agent is running")
