"""The agent is killed while it fills its first window, at any moment, again and again."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.bundles import Bundle
from tests.support.agents import Starter, await_state, configure, is_armed, socket_path
from tests.support.broker import wait_until

SIMULATOR = 'kind = "simulator"\nframes_per_second = 50.0\ngood_frames = 100000\ndefect_rate = 0.0'


def header_of(path: Path) -> dict[str, Any]:
    """What the file of a window holds. It is whole or the last one."""
    with np.load(path, allow_pickle=False) as stored:
        header: dict[str, Any] = json.loads(stored["header"].tobytes())
        assert stored["window.scores"].size == header["images"]
        return header


def images_in(path: Path) -> int:
    """Images of the window on the disk; 0 where there is none."""
    return int(header_of(path)["images"]) if path.exists() else 0


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=[pytest.mark.faults, pytest.mark.timeout(1200)])])
def test_a_window_is_filled_over_kills_and_arms_once(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, kills: int
) -> None:
    wanted = 250 * kills
    calibration = f'frames = {wanted}\nmax_frames = {wanted}\nfalse_alarms = "1 per 100 frames"'
    configure(tmp_path, tiny_bundle, SIMULATOR, calibration=calibration)
    path, kept = tmp_path / "state" / "cameras" / "line1" / "window.npz", 0
    rng = np.random.default_rng(kills)
    for _ in range(kills):
        process = start()
        state = await_state(socket_path(tmp_path), lambda found: found["progress"] is not None)
        assert state["progress"]["frames"] >= kept
        wait_until(lambda kept=kept: images_in(path) > kept, what="a window on the disk")
        # Also while the next state of the window is written.
        time.sleep(float(rng.uniform(0.0, 0.5)) if rng.random() < 0.5 else float(rng.uniform(1.9, 2.4)))
        process.kill()
        process.communicate()
        kept = images_in(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    start()
    state = await_state(socket_path(tmp_path), lambda found: found["progress"] is not None or is_armed(found))
    assert is_armed(state) or kept <= state["progress"]["frames"] <= wanted
    armed = await_state(socket_path(tmp_path), is_armed)
    assert len(list((path.parent / "calibrations").glob("*.json"))) == 1
    # The window is kept until a person has looked at it.
    wait_until(lambda: header_of(path)["calibration"] == armed["calibration"], what="the finished window on the disk")
