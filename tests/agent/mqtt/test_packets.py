"""Our own packing of properties is equal to paho's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.mqtt.packets import Outgoing

# Strings that MQTT allows: no NUL, no half of a surrogate pair.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)


def by_paho(message: Outgoing) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if message.media_type is not None:
        properties.PayloadFormatIndicator = int(message.media_type == "application/json")
        properties.ContentType = message.media_type
    if message.response_topic is not None:
        properties.ResponseTopic = message.response_topic
    if message.correlation_data is not None:
        properties.CorrelationData = message.correlation_data
    if message.user_properties:
        properties.UserProperty = list(message.user_properties)
    return properties


@given(
    media_type=st.sampled_from([None, "application/json", "image/png"]),
    response_topic=st.none() | texts,
    correlation=st.none() | st.binary(max_size=300),
    more=st.lists(st.tuples(texts, texts), max_size=3),
)
def test_packed_properties_are_read_by_paho(
    media_type: str | None, response_topic: str | None, correlation: bytes | None, more: list[tuple[str, str]]
) -> None:
    message = Outgoing(
        "t",
        b"",
        media_type=media_type,
        response_topic=response_topic,
        correlation_data=correlation,
        user_properties=tuple(more),
    )
    packed = message.pack_properties()
    read = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    read.unpack(packed)
    assert read.json() == by_paho(message).json()
    assert len(packed) == len(by_paho(message).pack())


@pytest.mark.parametrize("size", [0, 121, 122, 16_000, 16_377, 16_378, 60_000])
def test_length_of_properties_is_encoded_right(size: int) -> None:
    """In one byte up to 127, in two up to 16,383, then in three."""
    packed = Outgoing("t", b"", correlation_data=bytes(size)).pack_properties()
    read = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    _, consumed = read.unpack(packed)
    assert consumed == len(packed)
    assert read.CorrelationData == bytes(size)
