"""A whole agent with a triggered and a free-running camera, and the OPC UA server beside it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.commands import ask
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import EVERY_FRAME, QUICK_CALIBRATION, settings_text
from tests.support.agents import await_status, running_service
from tests.support.opcua import OpcuaServer, running_opcua

TRIGGERED = 'kind = "simulator"\nframes_per_second = 30.0\ngood_frames = 100000'

# A free-running camera with a tenth of bad parts: results and alarms come by themselves.
MORE = """\
[cameras.line1.parts]
trigger = true
[cameras.line1.products.front]
bundle = "{bundle}"
[cameras.line1.products.front.calibration]
{calibration}
[cameras.line1.products.back]
bundle = "{bundle}"
[cameras.line2]
bundle = "{bundle}"
[cameras.line2.source]
kind = "simulator"
frames_per_second = 10.0
good_frames = 100
defect_rate = 0.1
[cameras.line2.calibration]
{calibration}
[cameras.line2.alarm]
{alarm}
[cameras.line2.parts]
frames_per_part = 1
"""


@dataclass(frozen=True)
class Line:
    """A running agent and its OPC UA server."""

    opcua: OpcuaServer
    socket: Path


@pytest.fixture(scope="package")
def line(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Line]:
    """Both cameras are armed. Tests leave them as they find them."""
    pytest.importorskip("asyncua", reason="the extra opcua is not installed")
    directory = tmp_path_factory.mktemp("opcua")
    config = directory / "inspectd.toml"
    more = MORE.format(bundle=tiny_bundle.path, calibration=QUICK_CALIBRATION, alarm=EVERY_FRAME)
    config.write_text(settings_text(tiny_bundle.path, TRIGGERED) + more)
    with running_opcua(config) as opcua, running_service(config) as service:
        socket = service.settings.socket_path
        numbers = itertools.count()

        def armed(found: dict[str, Any]) -> bool:
            """Calibrates the triggered camera with one part after the other."""
            if found["cameras"]["line1"]["phase"] != "armed":
                ask(socket, "inspect", "line1", part=f"calibration-{next(numbers)}")
            return all(camera["phase"] == "armed" for camera in found["cameras"].values())

        await_status(socket, armed)
        yield Line(opcua, socket)
