"""Messages that the broker rejects: images are given up after a while, alarms never."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.messages.alarm import OmittedPayload
from agent.messages.base import parse
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import QUICK, accept, delivering, noise_png, sequences

StartBroker = Callable[..., Mosquitto]


def write_rights(directory: Path, *lines: str) -> Path:
    """An access control file for Mosquitto."""
    acl = directory / "acl"
    acl.write_text("".join(f"{line}\n" for line in lines))
    acl.chmod(0o600)
    return acl


def test_image_that_the_broker_calls_too_large_is_left_out(mosquitto: StartBroker, tmp_path: Path) -> None:
    """A limit that the broker does not announce, and answers with reason code 0x95."""
    broker = mosquitto(lines=["message_size_limit 3000"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        accept(outbox, "big", images={"frame": noise_png(64), "heatmap": noise_png(16)})
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: subscriber.on("/omitted") and subscriber.on("/heatmap"))
    assert parse(OmittedPayload, subscriber.on("/omitted")[0].payload).picture == "frame"


def test_rejected_image_becomes_a_dead_letter_and_rejected_alarm_waits(
    mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """PUBACK 0x87, which paho counts as published. Another camera is not held up."""
    rights = write_rights(
        tmp_path,
        "topic readwrite inspectd/plant/status",
        "topic readwrite inspectd/plant/good/#",
        "topic readwrite inspectd/plant/noimages/alarm",
        "topic read #",
    )
    broker = mosquitto(lines=[f"acl_file {rights}"])
    subscriber = Subscriber(broker, "inspectd/#")
    with caplog.at_level(logging.DEBUG), delivering(broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        accept(outbox, "a1", camera="noimages", images={"heatmap": noise_png(16)})
        accept(outbox, "a2", camera="nothing")
        accept(outbox, "a3", camera="good", images={"heatmap": noise_png(16)})
        wait_until(lambda: outbox.waiting() == 1)
        wait_until(lambda: subscriber.on("good/alarm/a3/heatmap") and subscriber.on("noimages/alarm"))
        wait_until(lambda: any("rejects" in problem for problem in publisher.report().problems))
        wait_until(lambda: "rejects inspectd/plant/nothing/alarm: Not authorized (attempt 10)" in caplog.text)
        counts = outbox.counts()
        assert [row.alarm for row in outbox.next_alarms(10)] == ["a2"]
    assert not subscriber.on("nothing/alarm")
    assert counts.dead_letters == 1


def test_alarm_that_is_rejected_for_a_while_keeps_its_place(mosquitto: StartBroker, tmp_path: Path) -> None:
    """The rights on the broker are fixed: the alarms of the camera arrive in order, none has overtaken another."""
    rights = write_rights(tmp_path, "topic readwrite inspectd/plant/status", "topic read #")
    broker = mosquitto(lines=[f"acl_file {rights}"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        for number in range(5):
            accept(outbox, f"a{number}")
        wait_until(lambda: any("rejects" in problem for problem in publisher.report().problems))
        assert outbox.waiting() == 5
        rights.write_text("topic readwrite #\n")
        broker.reload()
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: len(subscriber.on("/alarm")) == 5)
    assert sequences(subscriber.on("/alarm")) == [1, 2, 3, 4, 5]
