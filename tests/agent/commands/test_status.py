"""The status of a running agent."""

from __future__ import annotations

import pytest

from agent.commands import ask
from agent.core.errors import Permanent
from agent.messages import DeliveryPayload, StatePayload
from agent.service import Service


def test_status_has_cameras_delivery_and_outputs(service: Service) -> None:
    result = ask(service.settings.socket_path, "status")
    assert result["site"] == "plant"
    state = StatePayload.model_validate(result["cameras"]["line1"])
    assert state.phase.value == "armed"
    assert DeliveryPayload.model_validate(result["delivery"]).connected is False
    assert result["outputs"] == {"mqtt": {"destination": result["broker"], "connected": False}}
    assert ask(service.settings.socket_path, "status", "line1")["cameras"].keys() == {"line1"}


def test_status_of_an_unknown_camera_is_rejected(service: Service) -> None:
    with pytest.raises(Permanent, match="unknown camera 'line2'; wanted one of line1"):
        ask(service.settings.socket_path, "status", "line2")
