"""What every output owes the agent, whatever it delivers to; and what it takes to add one.

Runs over every kind in `agent.outputs.KINDS` and over a toy that is added from a temporary file, as a user would add
an output of his own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from agent.alarms import EvidenceImage
from agent.core.problems import Problems
from agent.core.records import AlarmEvent, Part, PartVerdict, Phase
from agent.messages import EventPayload, ModelPayload, RulePayload, ScorePayload, StatePayload
from agent.outputs import KINDS, AlarmContext, Output, RecordedAlarm, build_outputs
from agent.outputs.outbox import Entry, Message, Outbox
from agent.service.service import Service
from agent.settings.load import load_settings
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import alarm_record, noise_png
from tests.support.output_peers import PEERS, Delivered, Peer

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
MODEL = ModelPayload(name="m", sha256="0" * 64)
CONTEXT = AlarmContext(rule=None, calibration=None, model=MODEL, engine="e")

Build = Callable[[], Output]


ALL = sorted({*KINDS, "toy"})

# Outputs that send messages. The others show a state, and have no messages in the outbox.
SENDERS = [kind for kind in ALL if PEERS[kind].takes_messages]

every_kind = pytest.mark.parametrize("peer", ALL, indirect=True)


@pytest.fixture(params=SENDERS)
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Peer]:
    """A destination of each kind that takes messages, with `every_kind` of every kind; not started yet."""
    for package in KINDS[request.param].packages if request.param in KINDS else ():
        pytest.importorskip(package, reason=f"the kind {request.param} needs an extra")
    made = PEERS[request.param](tmp_path)
    yield made
    made.end()


@pytest.fixture
def build(peer: Peer, outbox: Outbox) -> Iterator[Build]:
    """Builds and starts the output, as the service does; everything is stopped in the end."""
    running: list[Output] = []

    def started() -> Output:
        for output in running:
            output.stop(1.0)
        (output,) = build_outputs({"here": peer.section()}, site="plant", outbox=outbox, problems=Problems())
        running.append(output)
        output.start()
        return output

    yield started
    for output in running:
        output.stop(1.0)


def record(
    outbox: Outbox,
    output: Output,
    identity: str,
    camera: str = "cam",
    event: AlarmEvent = AlarmEvent.RAISED,
    images: tuple[EvidenceImage, ...] = (),
) -> list[Message]:
    """Have an alarm recorded as the recorder does; its messages."""
    messages: list[Message] = []

    def make(sequence: int) -> list[Message]:
        recorded = RecordedAlarm(alarm_record(identity, camera, event), sequence, "plant", CONTEXT, (), images)
        messages[:] = output.messages_for(recorded)
        return messages

    outbox.accept_together([Entry(camera, make, captured_monotonic=time.monotonic())])
    return messages


def documents(delivered: list[Delivered], camera: str | None = None) -> list[Delivered]:
    return [one for one in delivered if one.sequence is not None and camera in (None, one.camera)]


def await_all(peer: Peer, outbox: Outbox, *, documents_at_least: int = 0) -> list[Delivered]:
    """What was delivered once nothing waits; a broker acknowledges a message before its subscribers have it."""
    wait_until(lambda: outbox.waiting("here") == 0, what="an empty outbox")
    wait_until(lambda: len(documents(peer.delivered())) >= documents_at_least, what=f"{documents_at_least} documents")
    return peer.delivered()


def test_every_kind_has_a_peer() -> None:
    """Without one, a new kind of output would not be tested."""
    assert set(KINDS) <= set(PEERS)


def test_messages_name_their_output(peer: Peer, build: Build) -> None:
    images = (EvidenceImage("heatmap", noise_png(8), "image/png"),)
    recorded = RecordedAlarm(alarm_record("a"), 1, "plant", CONTEXT, (), images)
    messages = build().messages_for(recorded)
    assert all(message.output == "here" and message.alarm == "a" for message in messages)
    assert [message.is_image for message in messages] == sorted(message.is_image for message in messages)


def test_an_alarm_arrives_unchanged_with_its_number(peer: Peer, build: Build, outbox: Outbox) -> None:
    peer.start()
    output = build()
    image = EvidenceImage("heatmap", noise_png(8), "image/png")
    sent = record(outbox, output, "a", images=(image,))
    await_all(peer, outbox)
    wait_until(lambda: len(peer.delivered()) >= len(sent), what="all of it at the destination")
    delivered = peer.delivered()
    assert sorted(one.payload for one in delivered) == sorted(message.payload for message in sent)
    assert [(one.alarm, one.part, one.sequence) for one in documents(delivered)] == [("a", "raised", 1)]


def test_alarms_keep_their_order_per_camera(peer: Peer, build: Build, outbox: Outbox) -> None:
    peer.start()
    output = build()
    for number in range(20):
        camera, event = f"cam{number % 2}", AlarmEvent.CLEARED if number % 4 > 1 else AlarmEvent.RAISED
        record(outbox, output, f"a{number}", camera, event)
    await_all(peer, outbox)
    wait_until(lambda: len(documents(peer.delivered())) >= 20, what="all at the destination")
    delivered = documents(peer.delivered())
    for camera in ("cam0", "cam1"):
        numbers = [one.sequence for one in delivered if one.camera == camera]
        assert numbers == sorted(numbers, key=lambda number: number or 0)
    assert sorted(one.sequence or 0 for one in delivered) == list(range(1, 21))


def test_alarms_wait_while_the_destination_is_away(peer: Peer, build: Build, outbox: Outbox) -> None:
    output = build()
    for number in range(5):
        record(outbox, output, f"a{number}")
    assert outbox.alarms_waiting("here") == 5
    peer.start()
    assert [one.sequence for one in documents(await_all(peer, outbox, documents_at_least=5))] == [1, 2, 3, 4, 5]


def test_nothing_is_lost_when_the_destination_goes_and_comes_back(peer: Peer, build: Build, outbox: Outbox) -> None:
    """At least once: a message may come twice, and then it is the same."""
    peer.start()
    output = build()
    record(outbox, output, "before")
    await_all(peer, outbox)
    peer.stop()
    for number in range(5):
        record(outbox, output, f"a{number}")
    peer.start()
    wait_until(lambda: outbox.waiting("here") == 0, what="an empty outbox")
    wait_until(lambda: len({one.sequence for one in documents(peer.delivered())}) == 6, what="every alarm")
    assert list(dict.fromkeys(one.sequence for one in documents(peer.delivered()))) == [1, 2, 3, 4, 5, 6]


def test_a_restart_delivers_what_waits_and_nothing_again(peer: Peer, build: Build, outbox: Outbox) -> None:
    output = build()
    record(outbox, output, "a")
    peer.start()
    await_all(peer, outbox)
    output = build()
    record(outbox, output, "b")
    assert [one.alarm for one in documents(await_all(peer, outbox, documents_at_least=2))] == ["a", "b"]


def test_rows_of_other_outputs_are_left_alone(peer: Peer, build: Build, outbox: Outbox) -> None:
    peer.start()
    output = build()
    outbox.accept("cam", lambda sequence: [Message("t", b"theirs", "x", "raised", output="another")])
    record(outbox, output, "a")
    assert [one.alarm for one in documents(await_all(peer, outbox, documents_at_least=1))] == ["a"]
    assert outbox.waiting("another") == 1


def test_stop_returns_in_time_and_keeps_what_waits(peer: Peer, build: Build, outbox: Outbox) -> None:
    output = build()
    record(outbox, output, "a")
    begun = time.monotonic()
    output.stop(0.5)
    # Five times the deadline: what matters is that it does not wait for a destination that is away.
    assert time.monotonic() - begun < 2.5
    assert outbox.waiting("here") == 1


@every_kind
def test_an_output_stops_in_time_without_its_destination(peer: Peer, build: Build) -> None:
    output = build()
    begun = time.monotonic()
    output.stop(0.5)
    assert time.monotonic() - begun < 2.5


@every_kind
def test_messages_are_those_of_an_output_that_sends_some(peer: Peer, build: Build) -> None:
    """Rows that nobody delivers would wait for ever."""
    recorded = RecordedAlarm(alarm_record("a"), 1, "plant", CONTEXT, (), ())
    assert bool(build().messages_for(recorded)) is peer.takes_messages


@every_kind
def test_nothing_waits_for_a_destination_that_is_away(peer: Peer, build: Build) -> None:
    """States, events, scores, images and cameras are taken at once, and raise nothing."""
    output = build()
    state = StatePayload(
        site="plant",
        camera="cam",
        at=NOW,
        phase=Phase.ARMED,
        rule=RulePayload(k=1, n=1),
        model=MODEL,
        engine="e",
        frames=1,
        dropped=0,
        frames_per_second=1.0,
    )
    event = EventPayload(id="e", event="drift", site="plant", camera="cam", at=NOW, shift=1.0, text="drifted")
    score = ScorePayload(camera="cam", captured_at=NOW, frame=1, score=1.0, statistic=1.0, threshold=None)
    part = Part("SN1", "cam", PartVerdict.OK, None, 1.0, 2.0, "c", 1, 0, NOW, time.monotonic())
    begun = time.monotonic()
    output.announce({"cam": "model"})
    for _ in range(50):
        output.publish_state(state)
        output.publish_event(event)
        output.publish_score("cam", time.monotonic(), lambda: score)
        output.publish_images("cam", [EvidenceImage("frame", b"jpeg", "image/jpeg")])
        output.show_result(part)
    # A single attempt to connect, waited for, would take longer than all of them.
    assert time.monotonic() - begun < 2.0


def test_the_report_says_whether_it_is_connected_and_what_waits(peer: Peer, build: Build, outbox: Outbox) -> None:
    output = build()
    record(outbox, output, "a")
    report = output.report()
    assert not report.connected
    assert report.outbox.waiting == 1
    peer.start()
    await_all(peer, outbox)
    wait_until(lambda: output.report().connected, what="connected")
    assert output.report().outbox.waiting == 0


@every_kind
def test_doctor_can_ask_what_an_output_needs(peer: Peer) -> None:
    """Hosts, devices and addresses come from the section itself."""
    section = peer.section()
    assert section.hosts() or section.devices() or section.listens()
    assert all(host.name and 0 < host.port < 65536 for host in [*section.hosts(), *section.listens()])


def test_a_new_output_works_from_the_settings(
    tmp_path: Path, tiny_bundle: Bundle, mosquitto: Callable[..., Mosquitto]
) -> None:
    """The whole agent, with MQTT and the toy: one alarm, one number, two destinations."""
    toy, broker = PEERS["toy"](tmp_path), mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/line1/alarm")
    destination = tmp_path / "destination" / "alarms.jsonl"
    source = 'kind = "simulator"\nframes_per_second = 200.0\ngood_frames = 60\ndefect_rate = 0.2'
    sections = f'[outputs.line]\nkind = "toy"\npath = "{destination}"'
    config = tmp_path / "inspectd.toml"
    config.write_text(settings_text(tiny_bundle.path, source, url=broker.url, sections=sections))
    try:
        toy.start()
        service = Service(load_settings(config))
        service.start()
        try:
            wait_until(lambda: len(documents(toy.delivered())) >= 2, what="two alarms at the toy")
            wait_until(lambda: len(subscriber.messages) >= 2, what="the same at the broker")
            status = json.loads(service.control.execute("status", None, b"", by="test").to_bytes())["result"]
        finally:
            service.shut_down()
    finally:
        toy.end()
    assert [one.sequence for one in documents(toy.delivered())][:2] == [1, 2]
    heard = [json.loads(message.payload) for message in subscriber.messages[:2]]
    subscriber.close()
    assert [(one["id"], one["sequence"]) for one in heard] == [
        (one.alarm, one.sequence) for one in documents(toy.delivered())[:2]
    ]
    assert status["outputs"]["line"] == {"destination": str(destination), "connected": True}
    assert set(status["outputs"]) == {"mqtt", "line"}
