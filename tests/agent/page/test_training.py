"""Training from the page: uploads, a process of its own, its progress, the comparison, and the decision."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.commands import ask
from agent.core.training_folder import TrainingFolder
from agent.page.training import MAX_FILE_BYTES
from tests.agent.page.conftest import Line
from tests.support.agents import await_state, inspectd
from tests.support.broker import wait_until
from tests.support.page import Client, running_page

pytest.importorskip("torch", reason="the extra train is not installed")

CAMERA = "line1"
# A small crop, so that the model is small, too.
CROP = {"x": 200, "y": 160, "width": 96, "height": 96}
HOW = {"recipe": "scratch", "steps": 3, "view": "drawn"}
QUICK = {"camera": CAMERA, "kinds": ["sample", "false_alarm"], "uploads": True, **HOW}

# Longer than any test waits.
ENDLESS = {**QUICK, "steps": 100_000}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Images of good parts, as the camera of the agent shows them."""
    folder = tmp_path_factory.mktemp("parts")
    done = inspectd("simulate", folder, "--mode", "camera", "--count", "40", "--seed", "5")
    assert done.returncode == 0, done.stderr
    return [path.read_bytes() for path in sorted((folder / "train" / "good").iterdir())[:24]]


@pytest.fixture
def anna(line: Line) -> Iterator[Client]:
    """An engineer; no training and no uploads before and after."""
    client = line.page.client("anna")
    view = client.get(f"/api/cameras/{CAMERA}/view").document
    size = {"width": view["width"], "height": view["height"]}
    assert client.post(f"/api/cameras/{CAMERA}/view", {**size, "crop": CROP}).status == 200
    yield client
    client.post("/api/training/cancel")
    wait_until(lambda: state(client)["state"] != "running", seconds=200, what="the end of the training")
    client.post("/api/training/drop")
    client.post("/api/training/uploads/clear")
    client.post(f"/api/cameras/{CAMERA}/view", size)


def state(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/training").document
    return found


def upload(client: Client, content: bytes) -> Any:
    headers = {"Content_Type": "application/octet-stream", "X_CSRF_Token": client.csrf or ""}
    return client.send("POST", "/api/training/uploads", content, **headers)


def ended(client: Client) -> dict[str, Any]:
    wait_until(lambda: state(client)["state"] != "running", seconds=800, what="the end of the training")
    return state(client)


def start(client: Client, request: dict[str, Any]) -> None:
    answer = client.post("/api/training/start", request)
    assert answer.status == 200, answer.document


def folder(line: Line) -> TrainingFolder:
    return TrainingFolder.of(line.directory / "state")


def process_of(line: Line) -> int:
    """The training process: the one that holds the lock."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        words = entry.read_bytes().split(b"\0") if entry.exists() else []
        if b"agent.tools.training_job" in words and str(folder(line).path).encode() in words:
            return int(entry.parent.name)
    raise AssertionError("no training process")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_model_is_trained_compared_and_taken_over_and_the_one_before_it_put_back(
    line: Line, anna: Client, parts: list[bytes]
) -> None:
    before = ask(line.socket, "status")["cameras"][CAMERA]["model"]["sha256"]
    for part in parts:
        assert upload(anna, part).status == 200
    start(anna, QUICK)
    found = ended(anna)
    assert found["state"] == "done", found
    assert found["request"]["by"] == "anna (page)"
    assert anna.get("/api/training/report.png").body.startswith(b"\x89PNG")
    compared = found["comparison"]
    assert compared["good"] >= 5
    assert compared["models"]["old"]["highest_good"] > 0
    image = compared["images"][0]["id"]
    assert anna.get(f"/api/training/compared/{image}").headers["content-type"] == "image/jpeg"

    assert anna.post("/api/training/take", {"camera": CAMERA, "sha256": "0" * 64}).status == 409
    taken = anna.post("/api/training/take", {"camera": CAMERA, "sha256": found["sha256"]})
    assert taken.status == 200, taken.document
    assert ask(line.socket, "status")["cameras"][CAMERA]["model"]["sha256"] == found["sha256"]
    entry = next(each for each in ask(line.socket, "audit/list")["entries"] if each["action"] == "bundle/take")
    assert entry["changed"]["model"] == [before, found["sha256"]]
    assert state(anna)["state"] == "none"

    assert anna.post("/api/training/take", {"camera": CAMERA, "previous": True}).status == 200
    await_state(line.socket, lambda each: each["model"]["sha256"] == before)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_training_goes_on_while_the_page_is_restarted_and_is_cancelled(
    line: Line, anna: Client, parts: list[bytes], tmp_path: Path
) -> None:
    for part in parts:
        upload(anna, part)
    start(anna, ENDLESS)
    assert anna.post("/api/training/start", ENDLESS).document["error"] == "a training runs already"
    assert anna.post("/api/training/drop").status == 409
    wait_until(lambda: state(anna).get("step") == "train", seconds=600, what="the training's beginning")
    process = process_of(line)
    assert os.getpriority(os.PRIO_PROCESS, process) == 19
    assert "NoNewPrivs:\t1" in Path(f"/proc/{process}/status").read_text()
    config = tmp_path / "inspectd.toml"
    text = (line.directory / "inspectd.toml").read_text().partition("[page]")[0]
    config.write_text(text.replace('"state"', f'"{line.directory / "state"}"'))
    # An account of its own: a new password would end the session at the first page.
    with running_page(config, people={"ben": "engineer"}) as second:
        again = second.client("ben")
        assert state(again)["step"] == "train"
        assert again.post("/api/training/cancel").status == 200
    assert ended(anna)["state"] == "cancelled"


def test_training_that_is_killed_is_shown_as_failed(line: Line, anna: Client, parts: list[bytes]) -> None:
    upload(anna, parts[0])
    start(anna, ENDLESS)
    os.kill(process_of(line), signal.SIGKILL)
    found = ended(anna)
    assert found["state"] == "failed"
    assert "ended from outside" in found["reason"]


@pytest.mark.slow
def test_training_on_nothing_fails_with_the_reason(anna: Client) -> None:
    start(anna, {**QUICK, "kinds": [], "uploads": True})
    found = ended(anna)
    assert (found["state"], found["reason"]) == ("failed", "no image was chosen; wanted images of good parts")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kinds": ["defect"]},
        {"kinds": "sample"},
        {"recipe": "../x"},
        {"view": "upside down"},
        {"minutes": 1e9},
        {"steps": 0},
        {"steps": True},
        {"camera": ""},
        {"left_out": [1]},
    ],
)
def test_request_that_makes_no_sense_is_rejected(anna: Client, wrong: dict[str, Any]) -> None:
    assert anna.post("/api/training/start", {**QUICK, **wrong}).status == 400


@pytest.mark.parametrize("person", ["vera", "otto"])
def test_training_is_for_engineers(line: Line, person: str) -> None:
    client = line.page.client(person)
    assert client.get("/api/training").status == 403
    assert client.post("/api/training/start", QUICK).status == 403
    assert upload(client, b"\x89PNG\r\n\x1a\n").status == 403


@pytest.mark.parametrize("service", [True, False])
def test_page_of_a_packaged_service_knows_it(line: Line, monkeypatch: pytest.MonkeyPatch, service: bool) -> None:
    """It says that training needs another computer, instead of a package that cannot be installed there."""
    if service:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(line.directory / "credentials"))
    directory = line.directory / f"service-{service}"
    directory.mkdir()
    config = directory / "inspectd.toml"
    config.write_text((line.directory / "inspectd.toml").read_text().partition("[page]")[0])
    with running_page(config) as page:
        assert page.client("anna").get("/api/training").document["service"] is service


def test_upload_is_named_by_its_content_and_served_to_engineers(line: Line, anna: Client, parts: list[bytes]) -> None:
    names = {upload(anna, parts[0]).document["name"] for _ in range(2)}
    assert len(names) == 1
    name = names.pop()
    assert anna.get(f"/api/training/uploads/{name}").body == parts[0]
    assert line.page.client("otto").get(f"/api/training/uploads/{name}").status == 403
    assert anna.get(f"/api/cameras/{CAMERA}/training-images").document["uploads"] == [name]


def test_file_that_is_no_image_or_too_long_is_rejected(anna: Client, line: Line) -> None:
    assert "no image" in upload(anna, b"#!/bin/sh\n").document["error"]
    headers = {"Content_Type": "application/octet-stream", "X_CSRF_Token": anna.csrf or ""}
    long = str(MAX_FILE_BYTES + 1)
    assert anna.send("POST", "/api/training/uploads", b"x", Content_Length=long, **headers).status == 413
    assert list(folder(line).uploads.glob("*")) == []


@pytest.mark.parametrize("name", ["..%2frun%2frequest.json", "lock", "%2e%2e", "0" * 32 + ".exe"])
def test_no_name_leads_out_of_the_uploads(anna: Client, name: str) -> None:
    assert anna.get(f"/api/training/uploads/{name}").status == 404
    assert anna.get(f"/api/training/compared/{name}").status == 404


def test_uploads_at_once_are_limited(anna: Client, parts: list[bytes]) -> None:
    """Four may run; each of them waits here for the rest of its body."""
    held = []
    head = (
        f"POST /api/training/uploads HTTP/1.1\r\nHost: localhost\r\nCookie: {anna.cookie}\r\n"
        f"X-CSRF-Token: {anna.csrf}\r\nContent-Length: 1000\r\n\r\n"
    ).encode()
    try:
        for _ in range(4):
            raw = socket.create_connection(("127.0.0.1", anna.port), 10)
            raw.sendall(head + parts[0][:100])
            held.append(raw)
        answers: list[int] = []
        wait_until(lambda: answers.append(upload(anna, parts[0]).status) or answers[-1] == 413, what="the limit")
    finally:
        for raw in held:
            raw.close()
    wait_until(lambda: upload(anna, parts[0]).status == 200, what="room for uploads")
