"""Checks the OPC UA server: its extra, its certificate, its key, the certificates that it trusts, and its port."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path

from agent.core.errors import InspectdError
from agent.doctor.check_result import CheckResult, ok, problem, warning
from agent.settings import CREDENTIAL_STORE, Settings

# Clients have to be given a new certificate in time.
SOON = timedelta(days=60)


def check_opcua(settings: Settings, config: Path) -> Iterator[CheckResult]:
    """One or more results where the settings have the section [opcua]."""
    section, subject = settings.opcua, "opcua"
    key = section.kept_key(config)
    if section.certificate_file is None or key is None or section.trusted_directory is None:
        return
    missing = [name for name in ("asyncua", "argon2") if find_spec(name) is None]
    if missing:
        yield problem(subject, f"it needs {missing[0]}", "pip install 'inspectd[opcua]'")
        return
    yield _check_certificate(subject, section.certificate_file, key)
    yield _check_trust(subject, section.trusted_directory, section.rejected(settings.state_directory))
    yield _check_port(subject, section.listen, section.port)


def _check_certificate(subject: str, certificate: Path, key: Path) -> CheckResult:
    from agent.opcua.server import out_of_date, read_certificate, read_key

    if not certificate.exists():
        return problem(subject, f"{certificate} does not exist", "inspectd opcua certificate --config …")
    try:
        found = read_certificate(certificate)
        # Only root sees the credentials of services.
        if os.access(key.parent, os.X_OK) or key.parent != CREDENTIAL_STORE:
            read_key(key, found, certificate)
    except InspectdError as error:
        return problem(subject, str(error), f"ls -l {certificate} {key}")
    fix = "move it away, make another one, and give it to every client"
    invalid = out_of_date(found)
    if invalid is not None:
        return problem(subject, f"{certificate} {invalid}", fix)
    if found.not_valid_after_utc - datetime.now(timezone.utc) < SOON:
        return warning(subject, f"{certificate} is valid until {found.not_valid_after_utc:%Y-%m-%d}", fix)
    return ok(subject, f"{certificate} is valid until {found.not_valid_after_utc:%Y-%m-%d}")


def _check_trust(subject: str, directory: Path, rejected: Path) -> CheckResult:
    from agent.opcua.trust_list import CERTIFICATES, TrustList

    try:
        TrustList(directory, rejected).load()
        count = sum(path.suffix in CERTIFICATES for path in directory.iterdir())
    except InspectdError as error:
        return problem(subject, str(error), f"mkdir -p {directory}; ls -l {directory}")
    if count == 0:
        fix = f"let the client connect once, then copy its certificate from {rejected} to {directory}"
        return warning(subject, f"{directory} has no certificate: no client may connect", fix)
    return ok(subject, f"{directory} has {count} certificate(s) of clients or CAs")


def _check_port(subject: str, host: str, port: int) -> CheckResult:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                fix = f"sudo ss -ltnp sport = :{port}; fine where it is inspectd opcua"
                return warning(subject, f"{host} port {port} is in use", fix)
            return problem(subject, f"{host} port {port}: {os.strerror(error.errno or 0)}", "ip -brief address")
    return ok(subject, f"{host} port {port} is free")
