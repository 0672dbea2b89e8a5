"""Packets, both ways: whole whatever the pieces they come in, and nothing but `Malformed` for what is none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mqtt import incoming, outgoing
from agent.mqtt.fields import MAX_VARIABLE_LENGTH, Malformed, text
from agent.mqtt.incoming import Inbox, Kind
from agent.packets import Outgoing

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
messages = st.builds(
    Outgoing,
    topic=texts,
    payload=st.binary(max_size=400),
    qos=st.sampled_from([0, 1]),
    retain=st.booleans(),
    media_type=st.sampled_from([None, "application/json", "image/png"]),
    response_topic=st.none() | texts,
    correlation_data=st.none() | st.binary(max_size=300),
    user_properties=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
)


def packet(message: Outgoing, *, five: bool) -> bytes:
    return outgoing.publish_head(message, 7, five=five) + message.payload


@given(messages, st.booleans())
def test_published_message_reads_back_the_same(message: Outgoing, five: bool) -> None:
    inbox = Inbox()
    inbox.put(packet(message, five=five))
    ((first, body),) = inbox.packets()
    assert first >> 4 == Kind.PUBLISH
    read, packet_id = incoming.read_publish(first & 0x0F, body, five=five)
    assert (read.topic, read.payload, read.qos, read.retained) == (
        message.topic,
        message.payload,
        message.qos,
        message.retain,
    )
    assert packet_id == (7 if message.qos else 0)
    if five:
        assert (read.response_topic, read.correlation_data) == (message.response_topic, message.correlation_data)


@given(st.lists(messages, max_size=4), st.integers(1, 60))
def test_packets_are_whole_in_whatever_pieces_they_come(sent: list[Outgoing], piece: int) -> None:
    stream = b"".join(packet(message, five=True) for message in sent)
    inbox, found = Inbox(), []
    for begin in range(0, len(stream), piece):
        inbox.put(stream[begin : begin + piece])
        found += [incoming.read_publish(first & 0x0F, body, five=True)[0] for first, body in inbox.packets()]
    assert [read.payload for read in found] == [message.payload for message in sent]


@pytest.mark.parametrize(
    "read",
    [
        incoming.read_connack,
        incoming.read_puback,
        incoming.read_disconnect,
        lambda body: incoming.read_suback(body, five=True),
        lambda body: incoming.read_publish(2, body, five=True),
        lambda body: incoming.read_publish(0, body, five=False),
    ],
)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_a_packet_or_malformed(read: Callable[[bytes], Any], body: bytes) -> None:
    with suppress(Malformed):
        read(body)


@given(st.binary(max_size=60))
def test_any_stream_is_packets_or_malformed(stream: bytes) -> None:
    inbox = Inbox()
    inbox.put(stream)
    with suppress(Malformed):
        list(inbox.packets())


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_length_of_a_packet_is_counted_right(size: int) -> None:
    """One byte up to 127, two up to 16,383, three up to 2,097,151; a packet less one byte is none yet."""
    body = bytes(size - 3) if size > 3 else b""
    whole = packet(Outgoing("t", body, qos=0), five=False)
    inbox = Inbox()
    inbox.put(whole[:-1])
    assert list(inbox.packets()) == []
    inbox.put(whole[-1:])
    assert len(list(inbox.packets())) == 1


def test_message_longer_than_mqtt_allows_is_refused_here() -> None:
    class Endless(bytes):
        def __len__(self) -> int:
            return MAX_VARIABLE_LENGTH

    with pytest.raises(ValueError, match="268435455"):
        outgoing.publish_head(Outgoing("t", Endless()), 1, five=True)


@pytest.mark.parametrize("broken", [b"\xff\xfe", b"\xed\xa0\x80"])
def test_texts_that_are_none_cost_the_sender_his_answer_and_us_nothing(broken: bytes) -> None:
    """A broker that does not check what it passes on must not be a way to end our connection."""
    properties = b"\x08" + len(broken).to_bytes(2, "big") + broken
    body = text("t")[:1] + bytes((len(broken),)) + broken + bytes((len(properties),)) + properties + b"{}"
    message, _ = incoming.read_publish(0, body, five=True)
    assert "�" in message.topic
    assert message.response_topic is None
    assert message.payload == b"{}"


@pytest.mark.parametrize(
    ("code", "reason"), [(0x97, "Quota exceeded"), (0x10, "No matching subscribers"), (0, "Success")]
)
def test_puback_tells_its_reason(code: int, reason: str) -> None:
    read = incoming.read_puback(b"\x00\x05" + (bytes((code,)) if code else b""))
    assert (read.mid, read.code, read.reason) == (5, code, reason)


@pytest.mark.parametrize(("code", "told"), [(1, 0x84), (5, 0x87), (4, 0x86), (0x87, 0x87), (0, 0), (99, 0x80)])
def test_connack_of_either_version_is_told_in_the_codes_of_the_newer(code: int, told: int) -> None:
    assert incoming.read_connack(bytes((0, code))).code == told
