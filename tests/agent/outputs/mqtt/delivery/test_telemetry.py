"""Telemetry: the latest of each topic, at intervals."""

from __future__ import annotations

from agent.outputs.mqtt.delivery.telemetry import TELEMETRY_INTERVAL_SECONDS, Telemetry


def test_latest_of_each_topic_is_sent_at_intervals() -> None:
    telemetry = Telemetry()
    for payload in (b"1", b"2"):
        telemetry.put("a", payload)
    telemetry.put("b", b"1")
    assert telemetry.take_due(0.0) == {"a": b"2", "b": b"1"}
    telemetry.put("a", b"3")
    assert telemetry.take_due(0.0) == {}
    telemetry.put("a", b"4")
    assert telemetry.take_due(TELEMETRY_INTERVAL_SECONDS) == {"a": b"4"}
    assert telemetry.take_due(10.0) == {}
