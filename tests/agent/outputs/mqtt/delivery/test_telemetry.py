"""Telemetry: the latest of each topic, at intervals."""

from __future__ import annotations

from agent.outputs.mqtt.delivery.telemetry import TELEMETRY_INTERVAL_SECONDS, Telemetry


def test_latest_of_each_topic_is_sent_at_intervals() -> None:
    now = [0.0]
    telemetry = Telemetry(lambda: now[0])
    for payload in (b"1", b"2"):
        telemetry.put("a", payload)
    telemetry.put("b", b"1")
    assert telemetry.take_due() == {"a": b"2", "b": b"1"}
    telemetry.put("a", b"3")
    assert telemetry.take_due() == {}
    now[0] += TELEMETRY_INTERVAL_SECONDS
    telemetry.put("a", b"4")
    assert telemetry.take_due() == {"a": b"4"}
    assert telemetry.take_due() == {}
