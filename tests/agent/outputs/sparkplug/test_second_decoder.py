"""What a real node publishes, read by `sparkplug-payload`: the decoder of Cirrus Link, who designed Sparkplug."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.messages import PartCountsPayload
from tests.agent.outputs.sparkplug.conftest import AT, PART, Start, born, on, state
from tests.support.broker import Subscriber, wait_until

# `make node-opcua` puts it there.
MODULES = Path(__file__).parents[4] / "build" / "node-opcua"


def decoded(payloads: list[bytes]) -> list[dict[str, Any]]:
    """The payloads as the decoder reads them; skips where it is not there."""
    node = shutil.which("node")
    if node is None or not (MODULES / "node_modules" / "sparkplug-payload").is_dir():
        pytest.skip("no sparkplug-payload; make node-opcua fetches it")
    run = subprocess.run(
        [node, Path(__file__).with_name("decode.mjs")],
        input="".join(base64.b64encode(payload).decode() + "\n" for payload in payloads),
        env={**os.environ, "NODE_MODULES_OF": str(MODULES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_another_decoder_reads_births_data_and_death(host: Subscriber, start: Start) -> None:
    output = start()
    born(host)
    output.publish_state(state(parts=PartCountsPayload(ok=5, nok=1, not_judged=0), threshold=0.5))
    output.show_result(PART)
    wait_until(lambda: len(on(host, "DDATA", "top")) == 2, what="state and result")
    output.stop(5.0)
    wait_until(lambda: len(on(host, "NDEATH")) == 1, what="the death")
    kinds = [message.topic.split("/")[2] for message in host.messages]
    found = dict(zip(kinds, decoded([message.payload for message in host.messages]), strict=True))
    assert kinds == ["NBIRTH", "DBIRTH", "DBIRTH", "DDATA", "DDATA", "NDEATH"]
    node = {metric["name"]: metric for metric in found["NBIRTH"]["metrics"]}
    assert (node["bdSeq"]["type"], node["bdSeq"]["value"]) == ("Int64", 0)
    assert (node["Node Control/Rebirth"]["type"], node["Node Control/Rebirth"]["value"]) == ("Boolean", False)
    assert [found[kind].get("seq") for kind in ("NBIRTH", "DBIRTH", "DDATA", "NDEATH")] == [0, 2, 4, None]
    names = {metric["alias"]: metric["name"] for metric in first_birth(host)["metrics"] if metric.get("alias")}
    result = {names[metric["alias"]]: metric["value"] for metric in found["DDATA"]["metrics"]}
    assert (result["Result/Part"], result["Result/Verdict"], result["Result/Score"]) == ("SN1", "nok", 0.9)
    assert result["Result/Captured"] == int(AT.timestamp() * 1000)
    assert result["Result/Reason"] is None
    assert [metric["name"] for metric in found["NDEATH"]["metrics"]] == ["bdSeq"]


def first_birth(host: Subscriber) -> dict[str, Any]:
    """The birth of the device `top`."""
    (payload,) = [message.payload for message in host.messages if message.topic.endswith("DBIRTH/plant/top")]
    return decoded([payload])[0]
