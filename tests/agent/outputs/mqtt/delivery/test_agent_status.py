"""When the agent's status is published, and with which contents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.messages.base import parse
from agent.messages.status import StatusPayload
from agent.outputs.mqtt.delivery.agent_status import REFRESH_SECONDS, AgentStatus
from agent.outputs.outbox import Outbox
from tests.support.clocks import FakeClock
from tests.support.delivery import AT, accept


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Outbox(tmp_path / "outbox.sqlite")
    yield opened
    opened.close()


def test_status_is_published_after_a_change_and_at_intervals(outbox: Outbox) -> None:
    clock = FakeClock()
    status = AgentStatus("plant", "1.0", outbox, clock.monotonic)
    assert status.update(AT) is not None
    assert status.update(AT) is None
    accept(outbox, "a1")
    assert status.update(AT) is None, "a waiting alarm is no reason to publish"
    status.problems.set("disk", "the disk is slow")
    changed = status.update(AT)
    assert changed is not None
    assert parse(StatusPayload, changed).problems == ["the disk is slow"]
    assert status.update(AT) is None
    outbox.reject(outbox.next_alarms(1)[0], "topic name invalid")
    assert status.update(AT) is not None, "a loss is"
    assert status.update(AT.replace(hour=13)) is not None, "a new connection is"
    clock.seconds += REFRESH_SECONDS - 1.0
    assert status.update(AT.replace(hour=13)) is None
    clock.seconds += 1.0
    assert status.update(AT.replace(hour=13)) is not None


def test_latency_counts_alarms_of_this_run_only(outbox: Outbox) -> None:
    status = AgentStatus("plant", "1.0", outbox, FakeClock().monotonic)
    accept(outbox, "a1", images={"frame": b"x"})
    (alarm,), (image,) = outbox.next_alarms(1), outbox.next_images(1)
    status.record_delivery(replace(alarm, captured_monotonic=None), 100.0)
    status.record_delivery(replace(image, captured_monotonic=99.0), 100.0)
    assert status.durations.percentiles() is None
    status.record_delivery(replace(alarm, captured_monotonic=99.75), 100.0)
    assert status.durations.percentiles() == (250.0, 250.0, 250.0)


def test_page_of_the_device_is_named_also_after_it_is_lost(outbox: Outbox) -> None:
    status = AgentStatus("plant", "1.0", outbox, FakeClock().monotonic)
    status.page = "https://line1.example:8470/"
    document = status.update(AT)
    assert document is not None
    assert parse(StatusPayload, document).page == "https://line1.example:8470/"
    assert parse(StatusPayload, status.last_will(AT)).page == "https://line1.example:8470/"
