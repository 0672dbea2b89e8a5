"""Network faults between agent and broker: partitions and resets, with a broker in a network namespace (as root)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.agent.outputs.test_faults import assert_all_arrived_in_order, few_or, raise_alarms
from tests.support.broker import MOSQUITTO, Mosquitto, Subscriber, wait_until
from tests.support.delivery import QUICK, delivering
from tests.support.far_host import THERE, FarHost


@pytest.fixture
def far_broker(far_host: FarHost, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker on that host."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    broker = Mosquitto(tmp_path / "broker", host=THERE, inside=far_host.inside)
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
