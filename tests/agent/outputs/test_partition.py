"""Network faults between agent and broker: partitions and resets, with a broker in a network namespace (as root)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.agent.outputs.test_faults import assert_all_arrived_in_order, few_or, raise_alarms
from tests.support.broker import MOSQUITTO, Mosquitto, Subscriber, wait_until
from tests.support.delivery import QUICK, delivering

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

    def remove(self) -> None:
        run("ip", "link", "del", self._cable)
        run("ip", "netns", "del", self.name)


@pytest.fixture
def far_host() -> Iterator[FarHost]:
    """A host whose network can fail."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace needs root and iproute2")
    host = FarHost()
    try:
        if not host.create():
            pytest.skip("a network namespace needs a kernel, and a container, that permits it")
        yield host
    finally:
        host.remove()


@pytest.fixture
def far_broker(far_host: FarHost, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker on that host."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    inside = ("ip", "netns", "exec", far_host.name)
    broker = Mosquitto(tmp_path / "broker", host=THERE, inside=inside)
    yield broker.start()
    broker.stop()


@pytest.mark.parametrize("cycles", few_or(20))
def test_network_that_drops_everything_loses_nothing(
    far_host: FarHost, far_broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture, cycles: int
) -> None:
    """A partition: no packet, no reset, no end of the connection. It is noticed, and everything is delivered later."""
    subscriber = Subscriber(far_broker, "inspectd/#", client_id="plc")
    rng = np.random.default_rng(cycles)
    with delivering(far_broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        for cycle in range(cycles):
            wait_until(lambda: publisher.connected)
            raise_alarms(outbox, 3)
            far_host.cut()
            raise_alarms(outbox, int(rng.integers(1, 10)))
            assert not publisher.wait_until_delivered(float(rng.uniform(0.1, 1.5)))
            if cycle == 0:
                wait_until(lambda: "PUBACK timeout" in caplog.text)
            assert far_host.restore()
        assert_all_arrived_in_order(subscriber, outbox, publisher)


@pytest.mark.parametrize("cycles", few_or(50))
def test_network_that_resets_connections_loses_nothing(
    far_host: FarHost, far_broker: Mosquitto, tmp_path: Path, cycles: int
) -> None:
    """RST from the kernel, to agent and subscriber, at random moments."""
    subscriber = Subscriber(far_broker, "inspectd/#", client_id="plc")
    rng = np.random.default_rng(cycles)
    with delivering(far_broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        for _ in range(cycles):
            wait_until(lambda: publisher.connected)
            raise_alarms(outbox, int(rng.integers(1, 12)))
            far_host.reset(far_broker.port)
        assert_all_arrived_in_order(subscriber, outbox, publisher)
