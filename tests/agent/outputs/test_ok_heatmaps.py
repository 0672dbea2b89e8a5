"""The heatmap of a sampled ok part follows its result, over a real broker, and no other result waits for it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.alarms import Evidence, EvidenceImage
from agent.commands import ask
from agent.core.errors import Permanent
from agent.core.problems import Problems
from agent.core.records import Frame, Part, PartVerdict, Verdict
from agent.messages import ModelPayload
from agent.outputs import OK_HEATMAPS, OkHeatmaps, ResultRecorder
from agent.outputs.mqtt.output import MqttOutput
from agent.outputs.mqtt.settings import MqttSettings
from agent.outputs.ok_heatmaps import MAX_WAITING
from agent.outputs.outbox import Outbox
from agent.settings import load_settings
from engines.bundles.bundle import Bundle
from tests.support.agents import (
    agent_processes,
    await_state,
    configure,
    is_armed,
    socket_path,
    stop,
    write_good_and_bad_parts,
)
from tests.support.broker import Arrived, Mosquitto, Subscriber, wait_until
from tests.support.delivery import AT

MODEL = ModelPayload(name="m", sha256="0" * 64)
PARTS = "[cameras.line1.parts]\nok_heatmap_every = 1"


def configured(tmp_path: Path, bundle: Bundle, url: str, source: str = "") -> Path:
    write_good_and_bad_parts(tmp_path / "inbox", good=90, bad=3)
    lines = f'kind = "folder"\nfollow = true\npath = "{tmp_path / "inbox"}"\nframes_per_second = 60\n{source}'
    return configure(tmp_path, bundle, lines, url, alarm=f"clear_after_seconds = 0\n{PARTS}")


def results(subscriber: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in subscriber.on("/result")]


def heatmaps(subscriber: Subscriber) -> dict[str, Arrived]:
    return {message.topic: message for message in subscriber.messages if "/result/" in message.topic}


def promised(subscriber: Subscriber) -> set[str]:
    return {document["heatmap"] for document in results(subscriber) if document["heatmap"]}


def test_heatmap_follows_the_result_of_an_ok_part(tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto) -> None:
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    path = socket_path(tmp_path)
    with agent_processes(configured(tmp_path, tiny_bundle, broker.url)) as start:
        process = start()
        wait_until(lambda: len(results(subscriber)) == 93, seconds=120, what="the results")
        wait_until(lambda: heatmaps(subscriber).keys() == promised(subscriber), what="the heatmaps")
        listed = {part["id"]: part for part in ask(path, "results/list")["parts"]}
        sampled = [document for document in results(subscriber) if document["heatmap"]]
        assert len(sampled) >= MAX_WAITING, "of some thirty good parts"
        for document in results(subscriber):
            assert document["verdict"] == "ok" or document["heatmap"] is None
            assert listed[document["id"]]["heatmap"] == (document["heatmap"] is not None)
        for document in sampled:
            message = heatmaps(subscriber)[document["heatmap"]]
            assert dict(message.properties.UserProperty) == {
                "result": document["id"],
                "sequence": str(document["sequence"]),
                "part": "heatmap",
            }
            kept = ask(path, "results/image", result=document["id"])
            assert base64.b64decode(kept["base64"]) == message.payload, "the page shows what was sent"
            image = cv2.imdecode(np.frombuffer(message.payload, np.uint8), cv2.IMREAD_COLOR)
            assert image is not None
            assert min(image.shape[:2]) >= 64
            order = [each.topic for each in subscriber.messages]
            (after,) = [i for i, each in enumerate(subscriber.on("/result")) if document["id"].encode() in each.payload]
            assert subscriber.messages.index(subscriber.on("/result")[after]) < order.index(message.topic)
        bad = next(document for document in results(subscriber) if document["verdict"] == "nok")
        with pytest.raises(Permanent, match="has no heatmap: it was not sampled"):
            ask(path, "results/image", result=bad["id"])
        stop(process)


def test_larger_heatmap_than_the_broker_accepts_is_sent_smaller(
    tmp_path: Path, tiny_bundle: Bundle, mosquitto: Callable[..., Mosquitto]
) -> None:
    broker = mosquitto(lines=["max_packet_size 2500"])
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    with agent_processes(configured(tmp_path, tiny_bundle, broker.url)) as start:
        start()
        await_state(socket_path(tmp_path), is_armed)
        wait_until(lambda: len(heatmaps(subscriber)) >= 2, what="heatmaps")
    for message in heatmaps(subscriber).values():
        assert len(message.payload) < 2500
        assert cv2.imdecode(np.frombuffer(message.payload, np.uint8), cv2.IMREAD_COLOR) is not None


class HeldEvidence(Evidence):
    """Draws only once it may: a slow disk."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.may_draw = threading.Event()

    def save_heatmap(self, result_id: str, frame: Frame, heatmap: NDArray[np.float32]) -> EvidenceImage:
        assert self.may_draw.wait(30)
        return super().save_heatmap(result_id, frame, heatmap)


def part(name: str, verdict: PartVerdict) -> Part:
    return Part(name, "cam", verdict, None, 1.0, 2.0, "c", 1, 0, AT, 0.0)


def put(recorder: ResultRecorder, names: Sequence[str], verdict: PartVerdict = PartVerdict.OK) -> None:
    frame = Frame("cam", 0, AT, 0.0, np.zeros((32, 32, 1), np.uint8))
    for name in names:
        judged = Verdict(frame, 1.0, 1.0, 2.0, np.ones((8, 8), np.float32))
        recorder.put(part(name, verdict), MODEL, "onnxruntime", f"id-{name}", judged, 1)


def test_bad_part_does_not_wait_for_heatmaps_that_are_being_drawn(tmp_path: Path) -> None:
    outbox, evidence = Outbox(tmp_path / "results.sqlite"), HeldEvidence(tmp_path / OK_HEATMAPS)
    output = MqttOutput("mqtt", MqttSettings(), site="plant", outbox=outbox, problems=Problems())
    drawing = OkHeatmaps([output], outbox, evidence)
    recorder = ResultRecorder("plant", [output], outbox, heatmaps=drawing)
    drawing.start()
    recorder.start()
    good = [f"good{number}" for number in range(MAX_WAITING + 2)]
    put(recorder, good)
    put(recorder, ["bad"], PartVerdict.NOK)
    wait_until(lambda: outbox.alarms_waiting() == MAX_WAITING + 3, what="all results, while the first is being drawn")
    assert outbox.next_images(1) == []
    found: list[dict[str, Any]] = []
    while rows := outbox.next_alarms(1):
        found += [json.loads(row.payload) for row in rows]
        outbox.acknowledge([row.id for row in rows])
    assert [document["heatmap"] is not None for document in found] == [True] * MAX_WAITING + [False] * 3
    evidence.may_draw.set()
    assert recorder.finish(30)
    drawing.finish(30)
    images = outbox.next_images(100)
    assert [row.topic for row in reversed(images)] == [each["heatmap"] for each in found if each["heatmap"]]
    assert sorted(row.sequence for row in images) == list(range(1, MAX_WAITING + 1)), "the numbers of their results"
    assert len(list((tmp_path / OK_HEATMAPS).glob("cam/*/heatmap.png"))) == MAX_WAITING
    outbox.close()


def test_heatmap_without_room_is_dropped_and_no_result_is(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "results.sqlite", max_bytes=20_000)
    output = MqttOutput("mqtt", MqttSettings(), site="plant", outbox=outbox, problems=Problems())
    drawing = OkHeatmaps([output], outbox, Evidence(tmp_path / OK_HEATMAPS))
    recorder = ResultRecorder("plant", [output], outbox, heatmaps=drawing)
    put(recorder, [f"good{number}" for number in range(MAX_WAITING)])
    put(recorder, [f"bad{number}" for number in range(8)], PartVerdict.NOK)
    recorder.start()
    assert recorder.finish(30)
    before = outbox.counts().waiting
    drawing.start()
    drawing.finish(30)
    counts = outbox.counts()
    assert counts.waiting_bytes <= 20_000
    assert (counts.dropped_alarms, outbox.alarms_waiting()) == (0, before)
    assert counts.dropped_pictures + len(outbox.next_images(100)) == MAX_WAITING
    assert counts.dropped_pictures > 0
    outbox.close()


def test_setting_needs_parts(tmp_path: Path, tiny_bundle: Bundle) -> None:
    config = configure(tmp_path, tiny_bundle, 'kind = "simulator"', alarm=f'rule = "1 of 1"\n{PARTS}')
    with pytest.raises(
        Permanent, match=r"parts\.ok_heatmap_every: got 1, but it is not known which frames show a part"
    ):
        load_settings(config)
