"""A folder that files keep arriving in, and an agent that is stopped and killed: each file counts once."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundles.bundle import Bundle
from tests.support.agents import (
    Starter,
    agent_processes,
    await_state,
    configure,
    inspectd,
    is_armed,
    socket_path,
    stop,
    write_good_and_bad_parts,
)
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.parts import write_parts

GOOD, BAD = 90, 4
FILES = GOOD + 2 * BAD


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder with enough good parts for a window, and a few bad ones among good ones after them."""
    folder = tmp_path / "inbox"
    write_good_and_bad_parts(folder, good=GOOD, bad=BAD)
    for index in range(BAD):  # clears the alarm of the bad part before it
        shutil.copy(folder / f"{index:03}.png", folder / f"z{index:03}_good.png")
    return folder


@pytest.fixture
def start(tmp_path: Path, inbox: Path, tiny_bundle: Bundle, broker: Mosquitto) -> Iterator[Starter]:
    config = configure(tmp_path, tiny_bundle, f'kind = "folder"\nfollow = true\npath = "{inbox}"', broker.url)
    with agent_processes(config) as start:
        yield start


def raised(subscriber: Subscriber) -> list[tuple[str, str]]:
    """File and id of every alarm that was raised."""
    documents = [json.loads(message.payload) for message in subscriber.on("/alarm")]
    return [(document["origin"], document["id"]) for document in documents if document["event"] == "raised"]


def bad_files(alarms: list[tuple[str, str]]) -> set[str]:
    return {file for file, _ in alarms if file.startswith("z")}


def put(image: Path, file: Path) -> None:
    """Place a copy under its name in one step."""
    shutil.copy(image, file.with_name(f".{file.name}"))
    file.with_name(f".{file.name}").rename(file)


def test_restarted_agent_goes_on_with_the_new_files(
    tmp_path: Path, inbox: Path, start: Starter, broker: Mosquitto
) -> None:
    subscriber = Subscriber(broker, "inspectd/#", client_id="plc")
    process = start()
    wait_until(lambda: "z003.png" in bad_files(raised(subscriber)), what="alarms of the bad parts")
    await_state(socket_path(tmp_path), lambda state: state["frames"] == FILES)
    assert stop(process)[0] == 0
    first = raised(subscriber)
    process = start()
    await_state(socket_path(tmp_path), is_armed_without_frames)
    put(inbox / "z000.png", inbox / "z100.png")
    wait_until(lambda: "z100.png" in bad_files(raised(subscriber)), what="the alarm of the new file")
    state = await_state(socket_path(tmp_path), lambda state: state["frames"] > 0)
    assert state["frames"] == 1, "only the new file was inspected"
    _, log = stop(process)
    assert f"{FILES} of its " in log, "of 98 images, or 99 if the new one was there already"
    assert raised(subscriber)[: len(first)] == first
    assert max(Counter(file for file, _ in raised(subscriber)).values()) == 1


def is_armed_without_frames(state: dict[str, object]) -> bool:
    return state["phase"] == "armed" and state["frames"] == 0


def test_files_that_do_not_fit_are_quarantined_and_the_others_inspected(
    tmp_path: Path, inbox: Path, start: Starter, broker: Mosquitto
) -> None:
    subscriber = Subscriber(broker, "inspectd/#", client_id="plc")
    process = start()
    await_state(socket_path(tmp_path), is_armed)
    good = cv2.imread(str(inbox / "000.png"), cv2.IMREAD_UNCHANGED)
    assert cv2.imwrite(str(inbox / "y0-16-bit.png"), good.astype(np.uint16) * 257)
    (inbox / "y1-broken.png").symlink_to("nowhere.png")
    (inbox / "y2-loop.png").symlink_to("y2-loop.png")
    put(inbox / "z000.png", Path(os.fsdecode(os.fsencode(inbox) + b"/z100-\xe4.png")))
    put(inbox / "000.png", inbox / "z199.png")
    put(inbox / "z000.png", inbox / "z200.png")
    wait_until(lambda: {"z100-\ufffd.png", "z200.png"} <= bad_files(raised(subscriber)), what="alarms of the others")
    lines = (tmp_path / "state/cameras/line1/quarantine/quarantine.jsonl").read_text().splitlines()
    assert {Path(json.loads(line)["file"]).name for line in lines} == {"y0-16-bit.png", "y1-broken.png", "y2-loop.png"}
    code, log = stop(process)
    assert code == 0
    for name in ("y0-16-bit.png", "y1-broken.png", "y2-loop.png"):
        assert sum(f"/{name}: " in line for line in log.splitlines() if "quarantine" in line) == 1
    process = start()
    await_state(socket_path(tmp_path), is_armed_without_frames)
    _, log = stop(process)
    assert "y0-16-bit.png" not in log, "it is in the ledger too"


def test_agent_killed_while_it_calibrates_uses_the_same_files_again(
    tmp_path: Path, inbox: Path, start: Starter
) -> None:
    """The window of a killed agent is lost. Its files must not be, or a slow line would wait for new ones."""
    for file in sorted(inbox.glob("*.png"))[50:]:
        file.unlink()
    process = start()
    await_state(socket_path(tmp_path), lambda state: state["frames"] == 50)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process = start()
    state = await_state(socket_path(tmp_path), lambda state: state["frames"] == 50)
    assert state["phase"] == "calibrating"
    assert state["progress"]["frames"] > 0


@pytest.mark.parametrize("follow", ["true", "false"])
def test_a_window_that_the_folder_cannot_fill_is_explained(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, follow: str
) -> None:
    write_parts(tmp_path / "few", 20)
    configure(tmp_path, tiny_bundle, f'kind = "folder"\nfollow = {follow}\npath = "{tmp_path / "few"}"')
    process = start()
    if follow == "true":
        state = await_state(socket_path(tmp_path), lambda state: state["reason"] is not None and state["frames"] == 20)
        assert state["reason"] == f"20 of 60 good images so far, and folder {tmp_path / 'few'} has no new images"
        assert state["phase"] == "calibrating"
        stop(process)
    else:
        _, log = process.communicate(timeout=150)
        assert process.returncode == 0
        text = f"camera line1: 20 of 60 good images so far, and folder {tmp_path / 'few'} has no more images"
        assert sum(text in line and "WARN" in line for line in log.splitlines()) == 1


@pytest.mark.parametrize("follow", ["true", "false"])
def test_a_folder_without_one_image_that_fits_is_reported(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, follow: str
) -> None:
    """The next file may fit, so a followed folder is followed on; one that has ended is an error."""
    write_parts(tmp_path / "deep", 3, depth=16)
    configure(tmp_path, tiny_bundle, f'kind = "folder"\nfollow = {follow}\npath = "{tmp_path / "deep"}"')
    process = start()
    reason = f"3 are in quarantine, such as {tmp_path / 'deep' / '002.png'}: the image has 16 bits per sample"
    if follow == "true":
        state = await_state(socket_path(tmp_path), lambda state: "3 are in quarantine" in (state["reason"] or ""))
        assert reason in state["reason"]
        assert state["files"]["quarantined"] == 3
        assert "files in quarantine: 3, the latest: " in inspectd("status", "--socket", socket_path(tmp_path)).stdout
        assert stop(process)[0] == 0
    else:
        _, log = process.communicate(timeout=150)
        assert process.returncode == 1
        assert reason in log.splitlines()[-1]
        assert "Traceback" not in log
