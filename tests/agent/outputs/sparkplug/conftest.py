"""An edge node at a real Mosquitto, and a host application that hears everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from agent.core.problems import Problems
from agent.core.records import Part, PartVerdict, Phase
from agent.messages import ModelPayload, RulePayload, StatePayload
from agent.outputs import Output, build_outputs
from agent.outputs.outbox import Outbox
from agent.outputs.settings import parse_section
from agent.outputs.sparkplug import output as output_module
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.sparkplug import read

AT = datetime(2026, 3, 1, tzinfo=timezone.utc)
NODE = "spBv1.0/hall/{}/plant"

Start = Callable[..., Output]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path / "broker")
    made.start()
    yield made
    made.end()


@pytest.fixture
def host(broker: Mosquitto) -> Iterator[Subscriber]:
    """A host application: it hears everything."""
    made = Subscriber(broker, "spBv1.0/#")
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path, broker: Mosquitto, problems: Problems, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr(output_module, "RETRY_SECONDS", (0.05, 0.2))
    outbox, running = Outbox(tmp_path / "outbox.sqlite"), list[Output]()

    def started(groups: Mapping[str, Sequence[str]] | None = None, **settings: Any) -> Output:
        section = parse_section({"kind": "sparkplug", "url": broker.url, "group_id": "hall", **settings})
        (output,) = build_outputs({"scada": section}, site="plant", outbox=outbox, problems=problems)
        running.append(output)
        output.announce_view_groups(groups or {})
        output.announce({"top": "model A", "side": "model B"})
        output.start()
        return output

    yield started
    for output in running:
        output.stop(5.0)
    outbox.close()


def state(camera: str = "top", phase: Phase = Phase.ARMED, **more: object) -> StatePayload:
    given_values = {"site": "plant", "camera": camera, "at": AT, "phase": phase, "rule": RulePayload(k=1, n=1)}
    model = ModelPayload(name="m", sha256="0" * 64)
    return StatePayload.model_validate({**given_values, "model": model, "engine": "e", **more})


PART = Part("SN1", "top", PartVerdict.NOK, None, 0.9, 0.5, "c", 1, 0, AT, 0.0)


def on(host: Subscriber, kind: str, device: str | None = None) -> list[Any]:
    """Payloads of this kind, in their order."""
    topic = NODE.format(kind) + ("" if device is None else f"/{device}")
    return [read(message.payload) for message in list(host.messages) if message.topic == topic]


def born(host: Subscriber, count: int = 1) -> None:
    wait_until(lambda: len(on(host, "DBIRTH", "side")) >= count, what=f"{count} births")


def names_of(birth: Any) -> dict[int, str]:
    return {metric.alias: metric.name for metric in birth.metrics if metric.alias}
