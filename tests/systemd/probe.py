"""Runs in the service's sandbox and tries various operations; prints a JSON object with the result of each.

It needs Python's standard library only, since it is copied into the booted machine, with
`agent/core/clock/time_service.py`.
"""

from __future__ import annotations

import json
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path

DONE = "done"


def attempt(operation: Callable[[], object]) -> str:
    """Try one operation: `done`, or the error."""
    try:
        operation()
    except OSError as error:
        return error.strerror or str(error)
    return DONE


def reach(address: str) -> str:
    return attempt(lambda: socket.create_connection((address, 8099), timeout=2).close())


def open_socket(family: int, kind: int, protocol: int = 0) -> str:
    return attempt(lambda: socket.socket(family, kind, protocol).close())


def listing(directory: str) -> str:
    return attempt(lambda: list(Path(directory).iterdir()))


def clock_state() -> str:
    """What systemd-timedated says of the clock, by the agent's own question; the container does not count here."""
    from time_service import ask_timedated  # type: ignore[import-not-found]  # copied to the side of this file

    return str(ask_timedated(Path("/no-container")))


def limit_memory() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (2**33, before[1]))
        resource.setrlimit(resource.RLIMIT_DATA, before)
    except ValueError as error:  # Python's for EPERM
        raise OSError(str(error)) from error


def own(directory: str) -> str:
    """Write to a directory that systemd made for the service."""
    return attempt((Path(os.environ[directory]) / "probe").touch)


def main() -> None:
    found = {
        "user": os.getuid(),
        "clock": clock_state(),
        "own state": own("STATE_DIRECTORY"),
        "own runtime": own("RUNTIME_DIRECTORY"),
        "own log": own("LOGS_DIRECTORY"),
        "limit its memory": attempt(limit_memory),
        "own tmp": attempt(Path("/tmp/probe").touch),
        "write etc": attempt(Path("/etc/inspectd/probe").touch),
        "write opt": attempt(Path("/opt/inspectd/probe").touch),
        "write usr": attempt(Path("/usr/probe").touch),
        "write var": attempt(Path("/var/lib/probe").touch),
        "another line's state": listing("/var/lib/inspectd/line1"),
        "home": attempt(Path("/home/anna/letter").read_text),
        "root's home": listing("/root"),
        "shadow": attempt(Path("/etc/shadow").read_text),
        "another line's secret": attempt(Path("/etc/credstore/inspectd.line2.mqtt-password").read_text),
        "raw socket": open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "packet socket": open_socket(socket.AF_PACKET, socket.SOCK_RAW),
        "netlink socket": open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "gpu": attempt(lambda: Path("/dev/nvmap").open("r+b", 0).close()),
        "loopback": reach("127.0.0.1"),
        "plant network": reach("192.0.2.1"),
        "signal to init": attempt(lambda: os.kill(1, 0)),
        "become root": attempt(lambda: os.setuid(0)),
    }
    print("PROBE " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
