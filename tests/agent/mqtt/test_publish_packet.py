"""Reading PUBLISH: as paho packs it, and without an unexpected error whatever arrives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.mqtt.publish_packet import Malformed, read_publish

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def counted(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


@given(
    topic=TEXT,
    payload=st.binary(max_size=100),
    qos=st.sampled_from([0, 1]),
    retain=st.booleans(),
    response=st.none() | TEXT,
    data=st.none() | st.binary(max_size=20),
    expiry=st.none() | st.integers(0, 2**32 - 1),
    more=st.lists(st.tuples(TEXT, TEXT), max_size=3),
)
def test_publish_is_read_as_paho_packs_it(
    topic: str,
    payload: bytes,
    qos: int,
    retain: bool,
    response: str | None,
    data: bytes | None,
    expiry: int | None,
    more: list[tuple[str, str]],
) -> None:
    properties: Any = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "\ufeff"  # paho packs it, and does not read it
    for name, value in (("ResponseTopic", response), ("CorrelationData", data), ("MessageExpiryInterval", expiry)):
        if value is not None:
            setattr(properties, name, value)
    for pair in more:
        properties.UserProperty = pair
    mid = (7).to_bytes(2, "big") if qos else b""
    packet = counted(topic.encode()) + mid + properties.pack() + payload
    read = read_publish(0x30 | qos << 1 | retain, packet, properties=True)
    message = read.message
    assert message is not None
    assert (read.mid, message.qos, message.retained) == (7 if qos else 0, qos, retain)
    assert (message.topic, message.payload) == (topic, payload)
    assert (message.response_topic, message.correlation_data, message.expiry_seconds) == (response, data, expiry)


def test_publish_of_mqtt_3_1_1_has_no_properties() -> None:
    read = read_publish(0x32, counted(b"a/b") + b"\0\5" + b"\x03payload", properties=False)
    assert read.mid == 5
    assert read.message is not None
    assert (read.message.topic, read.message.payload) == ("a/b", b"\x03payload")


@given(command=st.integers(0x30, 0x3F), packet=st.binary(max_size=60), properties=st.booleans())
def test_any_bytes_are_read_or_malformed(command: int, packet: bytes, properties: bool) -> None:
    try:
        read = read_publish(command, packet, properties=properties)
    except Malformed:
        return
    assert 0 <= read.mid <= 0xFFFF


@pytest.mark.parametrize(
    "properties",
    [
        b"",
        b"\x05",
        b"\x02\x01",
        b"\x03\x08\0\1",
        b"\x05\x03\0\x09ab",
        b"\x01\x7f",
        b"\xff\xff\xff\xff",
        b"\x03\x03\0\1aX",
    ],
)
def test_message_with_properties_that_cannot_be_read_can_be_acknowledged(properties: bytes) -> None:
    """Otherwise the broker would send it again with every connection."""
    read = read_publish(0x32, counted(b"t") + b"\0\x09" + properties, properties=True)
    assert read == (9, None)
