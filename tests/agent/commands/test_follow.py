"""A recalibration followed from another process: progress, preview, Ctrl-C."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.commands import ask, follow_recalibration
from agent.core.errors import Permanent
from agent.service import Service


def test_progress_grows_and_the_preview_is_returned(service: Service) -> None:
    fractions: list[float] = []
    preview = follow_recalibration(
        service.settings.socket_path,
        None,
        cancel=False,
        request={"frames": 80, "fresh": True},
        progress=lambda fraction, text: fractions.append(fraction),
    )
    assert preview is not None
    assert preview["dry_run"] is True
    assert fractions == sorted(fractions)
    line = service.lines["line1"]
    assert line.station.calibration is not None
    assert line.station.calibration.id != preview["calibration"], "a dry run changes nothing"


def test_interrupt_cancels_the_recalibration_in_the_agent(service: Service) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    socket = service.settings.socket_path
    request = {"frames": 100_000}
    assert (
        follow_recalibration(
            socket, None, cancel=False, request=request, progress=lambda fraction, text: None, sleep=interrupt
        )
        is None
    )
    assert ask(socket, "status")["cameras"]["line1"]["progress"] is None


def test_rejected_window_is_an_error_with_its_reason(service: Service) -> None:
    """Images that raise an alarm are kept out of the window; a threshold of 0 keeps out all of them."""
    line = service.lines["line1"]
    calibration = line.station.calibration
    assert calibration is not None
    strict = replace(calibration, id="", threshold=replace(calibration.threshold, value=0.0))
    line.station.store.save(strict)
    line.call(lambda: line.station.activate(strict, "test"))
    with pytest.raises(Permanent, match=r"the window was not accepted: .*--fresh"):
        follow_recalibration(
            service.settings.socket_path,
            None,
            cancel=False,
            request={"frames": 80},
            progress=lambda fraction, text: None,
        )


def test_unknown_camera_is_rejected(service: Service) -> None:
    with pytest.raises(Permanent, match="unknown camera 'line9'"):
        follow_recalibration(
            service.settings.socket_path, "line9", cancel=False, request={}, progress=lambda fraction, text: None
        )
