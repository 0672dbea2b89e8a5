"""Recalibrate a running agent from another process: start, show the progress, return the preview."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.core.errors import Permanent
from agent.core.progress import Progress
from agent.core.sockets.control_client import ask

POLL_SECONDS = 0.2

# A window is full and its preview, which reads a day of scores, takes no longer than this: 20 s.
PREVIEW_POLLS = 100


def follow_recalibration(
    socket: Path,
    camera: str | None,
    *,
    cancel: bool,
    request: dict[str, Any],
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any] | None:
    """Recalibrate and wait for the preview (see `agent.inspection.preview_calibration`); None where it was cancelled.

    The request is a dry run, so that nothing takes effect before a person has seen the preview. Ctrl-C cancels the
    recalibration in the agent.

    Args:
        socket: the agent's control socket.
        camera: its name; None for an agent with one camera.
        cancel: only cancel the recalibration in progress.
        request: further fields of the command `recalibrate`.
        progress: called with the fraction of the window that is filled.
        sleep: between two requests for the status.

    Raises:
        Temporary: no agent answers.
        Permanent: the agent rejected the command; the text is its reason.
    """
    if cancel:
        ask(socket, "recalibrate", camera, cancel=True)
        return None
    name = _resolve_camera(socket, camera)
    ask(socket, "recalibrate", name, dry_run=True, **request)
    try:
        return _await_preview(socket, name, progress, sleep)
    except KeyboardInterrupt:
        ask(socket, "recalibrate", name, cancel=True)
        return None


def _await_preview(socket: Path, camera: str, progress: Progress, sleep: Callable[[float], None]) -> dict[str, Any]:
    """Until the preview is there. Raises Permanent where the agent has rejected the window: then none ever comes."""
    polls_without_window = 0
    while True:
        result = ask(socket, "status", camera)
        preview = result["recalibrations"].get(camera)
        if preview is not None:
            return dict(preview)
        state = result["cameras"][camera]
        polls_without_window = 0 if state["progress"] is not None else polls_without_window + 1
        if polls_without_window > PREVIEW_POLLS:
            raise Permanent(f"camera {camera}: the window was not accepted: {state['reason'] or 'see the log'}")
        _show_progress(state, progress)
        sleep(POLL_SECONDS)


def _resolve_camera(socket: Path, camera: str | None) -> str:
    cameras = list(ask(socket, "status", camera)["cameras"])
    if len(cameras) != 1:
        raise Permanent(f"the agent has {len(cameras)} cameras; wanted one of {', '.join(cameras)}")
    return str(cameras[0])


def _show_progress(state: dict[str, Any], progress: Progress) -> None:
    window = state["progress"]
    if window is not None:
        progress(window["frames"] / window["wanted"], f"{window['frames']} of {window['wanted']} good frames")
