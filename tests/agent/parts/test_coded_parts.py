"""Codes on parts, with a running agent: the result of each part has the id that its code says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from engines.bundles import Bundle
from tests.support.agents import agent_processes, configure
from tests.support.broker import Mosquitto, Subscriber, wait_until

pytest.importorskip("zxingcpp", reason="codes need the codes extra (zxing-cpp)")

from tests.agent.parts.test_codes import drawn, image_with

CODES = {
    "a": drawn("SN-00123", "DataMatrix", scale=3),
    "b": drawn("https://plant/SN-2", "QRCode", scale=3),
    "c": drawn("4006381333931", "EAN13", scale=1),
    "d": drawn("SN-4", "Code128", scale=1),
}

_CODE = """
[cameras.line1.parts.code]
region = { x = 40, y = 20, width = 240, height = 160 }
formats = ["DataMatrix", "QRCode", "EAN13", "Code128"]
"""


def test_every_kind_of_code_names_its_part_and_none_is_no_fault(
    tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, code in CODES.items():
        assert cv2.imwrite(str(folder / f"{name}.png"), image_with(code))
    assert cv2.imwrite(str(folder / "e.png"), image_with())
    config = configure(tmp_path, tiny_bundle, f'kind = "folder"\nfollow = true\npath = "{folder}"', broker.url)
    config.write_text(config.read_text() + _CODE)
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    with agent_processes(config) as start:
        start()
        wait_until(lambda: len(results(subscriber)) == len(CODES) + 1)
    found = [(each["part"], each["origin"], each["code"]["problem"]) for each in results(subscriber)]
    assert found == [
        ("SN-00123", "a.png", None),
        ("https://plant/SN-2", "b.png", None),
        ("4006381333931", "c.png", None),
        ("SN-4", "d.png", None),
        ("e.png", "e.png", "no readable code"),
    ]


def results(subscriber: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in subscriber.on("/result")]
