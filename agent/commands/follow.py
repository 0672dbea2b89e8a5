"""Following a recalibration from outside: start it, show its progress, bring back what it found."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.commands.socket_client import ask
from agent.core.errors import Permanent
from agent.core.progress import Progress

LOOK_SECONDS = 0.2


def follow_recalibration(
    socket: Path,
    camera: str | None,
    *,
    cancel: bool,
    request: dict[str, Any],
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any] | None:
    """Have the agent recalibrate and wait for the preview; None where it was cancelled.

    The agent is asked for a dry run, so that nothing takes effect before somebody has seen the preview. Ctrl-C here
    cancels the recalibration there.

    Raises:
        Temporary, Permanent: nobody answers; or the agent refused the command or the window, its reason.
    """
    if cancel:
        ask(socket, "recalibrate", camera, cancel=True)
        return None
    name = _name(socket, camera)
    ask(socket, "recalibrate", name, dry_run=True, **request)
    try:
        while True:
            result = ask(socket, "status", name)
            found = result["recalibrations"].get(name)
            if found is not None:
                return dict(found)
            _show(result["cameras"][name], progress)
            sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        ask(socket, "recalibrate", name, cancel=True)
        return None


def _name(socket: Path, camera: str | None) -> str:
    cameras = list(ask(socket, "status", camera)["cameras"])
    if len(cameras) != 1:
        raise Permanent(f"which camera? wanted one of {', '.join(cameras)}")
    return str(cameras[0])


def _show(state: dict[str, Any], progress: Progress) -> None:
    filled = state["progress"]
    if filled is None:
        return
    progress(filled["frames"] / filled["wanted"], f"{filled['frames']} of {filled['wanted']} good frames")
