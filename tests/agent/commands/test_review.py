"""A model of other parts is not armed; a technician looks at the images on the command line, and decides."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.commands import ask
from agent.core.errors import Permanent
from agent.service import Service
from engines.bundles.bundle import Bundle
from tests.support.agents import GOOD_PARTS, Starter, await_state, configure, inspectd, is_armed, socket_path


def write_chequers(folder: Path, count: int) -> None:
    """Images that are no parts: a chequered pattern under noise."""
    folder.mkdir()
    chance = np.random.default_rng(5)
    pattern = 255.0 * ((np.indices((64, 64)) // 4).sum(axis=0) % 2)
    for number in range(count):
        image = np.clip(pattern + chance.normal(0.0, 20.0, pattern.shape), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"{number:03}.png"), image)


def test_a_model_of_other_parts_waits_for_a_person_who_confirms_it(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter
) -> None:
    write_chequers(tmp_path / "inbox", 100)
    configure(tmp_path, tiny_bundle, f'kind = "folder"\npath = "{tmp_path / "inbox"}"\nfollow = true')
    start()
    socket = socket_path(tmp_path)
    state = await_state(socket, lambda state: state["phase"] == "refused")
    assert "the model does not fit this camera" in state["reason"]
    assert state["threshold"] is None
    shown = inspectd("calibration", "review", "line1", "--out", tmp_path / "look", "--socket", socket)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[0] in state["reason"]
    assert "inspectd calibration review line1 --confirm-good" in shown.stdout
    images = sorted((tmp_path / "look").iterdir())
    assert len(images) == 24
    assert cv2.imread(str(images[0])).shape == (64, 64, 3)
    for words, fault in (
        (["--only", "1"], "--throw-out"),
        (["--throw-out", "--only", "one"], "1,4,7"),
        (["--throw-out", "--only", "99"], "wanted numbers of suspects, 1 to 24"),
    ):
        wrong = inspectd("calibration", "review", "line1", *words, "--socket", socket)
        assert wrong.returncode != 0
        assert fault in wrong.stderr
    done = inspectd("calibration", "review", "line1", "--confirm-good", "--json", "--socket", socket)
    assert done.returncode == 0, done.stderr
    armed = await_state(socket, is_armed)
    assert armed["calibration"] == json.loads(done.stdout)["calibration"]


def test_bad_parts_are_thrown_out_of_the_window_in_force(tmp_path: Path, tiny_bundle: Bundle, start: Starter) -> None:
    """The model held out four images, so that a few bad parts stop no window: the agent asks for a look at it."""
    configure(tmp_path, tiny_bundle, GOOD_PARTS)
    start()
    socket = socket_path(tmp_path)
    armed = await_state(socket, is_armed)
    assert "the model held out only 4 good images; see `inspectd calibration review line1`" in armed["reason"]
    shown = inspectd("calibration", "review", "line1", "--out", tmp_path / "look", "--socket", socket)
    assert shown.returncode == 0, shown.stderr
    assert len(list((tmp_path / "look").iterdir())) == 24
    assert "some show bad parts:                     inspectd calibration review line1 --throw-out" in shown.stdout
    wrong = inspectd("calibration", "review", "line1", "--throw-out", "--socket", socket)
    assert wrong.returncode == 1
    assert "got no numbers, wanted those of the bad parts" in wrong.stderr
    done = inspectd("calibration", "review", "line1", "--throw-out", "--only", "1,2", "--json", "--socket", socket)
    assert done.returncode == 0, done.stderr
    calibration = json.loads(done.stdout)
    now = await_state(socket, lambda state: state["calibration"] == calibration["calibration"])
    assert now["threshold"] == calibration["threshold"] < armed["threshold"]
    assert "held out only" not in (now["reason"] or "")
    again = inspectd("calibration", "review", "line1", "--socket", socket)
    assert (again.returncode, again.stderr) == (1, "inspectd: camera line1 has no window to review\n")


def test_two_decisions_at_once_are_rejected(service: Service) -> None:
    with pytest.raises(Permanent, match="wanted one of them"):
        ask(service.settings.socket_path, "calibration/review", confirm_good=True, throw_out=True)
