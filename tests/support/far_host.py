"""Another host at the end of a cable that can be pulled: a network namespace. Needs root and iproute2."""

from __future__ import annotations

import os
import subprocess

# TEST-NET-2 (RFC 5737): reserved for documentation.
HERE, THERE = "198.51.100.1", "198.51.100.2"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


class FarHost:
    """Another host, as far as the network is concerned: a namespace at the other end of a virtual cable."""

    def __init__(self) -> None:
        self.name = f"inspectd-{os.getpid()}"
        self._cable = f"isp{os.getpid() % 100_000}"

    def create(self) -> bool:
        """False if that is not permitted."""
        steps = (
            ("ip", "netns", "add", self.name),
            ("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "far", "netns", self.name),
            ("ip", "addr", "add", f"{HERE}/30", "dev", self._cable),
            ("ip", "link", "set", self._cable, "up"),
            ("ip", "-n", self.name, "link", "set", "lo", "up"),
            ("ip", "-n", self.name, "link", "set", "far", "up"),
        )
        return all(run(*step).returncode == 0 for step in steps) and self.restore()

    def restore(self) -> bool:
        """Give the host its address back."""
        return run("ip", "-n", self.name, "addr", "add", f"{THERE}/30", "dev", "far").returncode == 0

    def cut(self) -> None:
        """Every packet is dropped silently: the address is gone, the link is up, connections stay open."""
        assert run("ip", "-n", self.name, "addr", "del", f"{THERE}/30", "dev", "far").returncode == 0

    def reset(self, port: int) -> None:
        """As a faulty firewall would: both ends of each connection are reset."""
        run("ip", "netns", "exec", self.name, "ss", "-K", "sport", "=", f":{port}")

    def unplug(self) -> None:
        """Pull the cable: the link is down on both sides."""
        assert run("ip", "link", "set", self._cable, "down").returncode == 0

    def plug(self) -> None:
        """Put it in again."""
        assert run("ip", "link", "set", self._cable, "up").returncode == 0

    @property
    def inside(self) -> tuple[str, ...]:
        """Before a command, to run it there."""
        return ("ip", "netns", "exec", self.name)

    def remove(self) -> None:
        run("ip", "link", "del", self._cable)
        run("ip", "netns", "del", self.name)
