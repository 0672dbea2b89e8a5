"""Changed settings of one camera are taken over while the other goes on; broken ones change nothing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from agent.commands import ask
from agent.core.errors import InspectdError
from agent.service import Service
from engines.bundles.bundle import Bundle
from tests.agent.service.cameras.test_product_choice import renamed
from tests.support.agent_settings import settings_text
from tests.support.agents import await_status, inspectd, running_service, socket_path
from tests.support.broker import free_port, wait_until

SOURCE = 'kind = "simulator"\nframes_per_second = 50.0\ngood_frames = 100000'


@pytest.fixture
def bundle(tmp_path: Path, tiny_bundle: Bundle) -> Path:
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "line.bundle"))


@pytest.fixture
def config(tmp_path: Path, bundle: Path) -> Path:
    """An agent with two cameras on one bundle."""
    path = tmp_path / "inspectd.toml"
    text = settings_text(bundle, SOURCE)
    path.write_text(text + text[text.index("[cameras.line1]") :].replace("line1", "line2"))
    return path


def change(config: Path, camera: str, old: str, new: str) -> None:
    """Change the settings of one camera."""
    text = config.read_text()
    begin = text.index(f"[cameras.{camera}]")
    end = text.find("[cameras.line2]", begin + 1) if camera == "line1" else len(text)
    assert old in text[begin:end]
    config.write_text(text[:begin] + text[begin:end].replace(old, new, 1) + text[end:])


def armed(socket: Path, *, beyond: dict[str, int] | None = None) -> dict[str, int]:
    """Wait until both cameras are armed, and have judged more frames; returns how many."""
    beyond = beyond or {}
    found = await_status(
        socket,
        lambda status: all(
            state["phase"] == "armed" and state["frames"] > beyond.get(name, 0)
            for name, state in status["cameras"].items()
        ),
    )
    return {name: state["frames"] for name, state in found["cameras"].items()}


def test_another_bundle_is_taken_over_for_one_camera(
    config: Path, tmp_path: Path, bundle: Path, tiny_bundle: Bundle
) -> None:
    other = renamed(tiny_bundle, tmp_path / "other.bundle")
    socket = socket_path(tmp_path)
    with running_service(config) as service:
        frames = armed(socket)
        untouched, capture = service.lines["line2"].setup, service.lines["line1"].capture
        change(config, "line1", str(bundle), str(other))
        assert ask(socket, "reload") == {
            "changed": ["cameras.line1.bundle"],
            "at_next_calibration": [],
            "needs_restart": [],
        }
        armed(socket, beyond=frames)
        states = ask(socket, "status")["cameras"]
        assert (states["line1"]["model"]["name"], states["line2"]["model"]["name"]) == ("other", "tiny")
        assert service.lines["line1"].capture is capture, "the source stays open"
        assert service.lines["line2"].setup is untouched
        assert len(service.inspections) == 2
        change(config, "line1", str(other), str(bundle))
        ask(socket, "reload")
        assert len(service.inspections) == 1, "the engine that no camera needs is closed"
        armed(socket, beyond=frames)


def test_model_that_is_put_back_is_offered_its_calibration(
    config: Path, tmp_path: Path, bundle: Path, tiny_bundle: Bundle
) -> None:
    """A person decides: by it, the camera is armed at once; without, the window goes on."""
    other = renamed(tiny_bundle, tmp_path / "other.bundle")
    change(config, "line1", "frames = 60\nmax_frames = 60", "frames = 400\nmax_frames = 400")
    socket = socket_path(tmp_path)
    with running_service(config):
        frames = armed(socket)
        first = ask(socket, "status")["cameras"]["line1"]["calibration"]
        change(config, "line1", str(bundle), str(other))
        ask(socket, "reload")
        armed(socket, beyond=frames)
        with pytest.raises(InspectdError, match="has no calibration for this bundle and engine before"):
            ask(socket, "calibration/rollback", "line1")
        change(config, "line1", str(other), str(bundle))
        ask(socket, "reload")
        state = await_status(socket, lambda status: status["cameras"]["line1"]["phase"] == "calibrating")
        reason = state["cameras"]["line1"]["reason"]
        assert reason.startswith(f"this model had calibration {first} until 20")
        (command,) = re.findall("`inspectd (.+)`", reason)
        done = inspectd(*command.split(), "--socket", socket)
        assert done.returncode == 0, done.stderr
        state = ask(socket, "status")["cameras"]["line1"]
        assert (state["phase"], state["calibration"]) == ("armed", first)
        assert "this model had calibration" not in (state["reason"] or "")
        assert state["progress"] is not None, "the new window goes on"
        await_status(socket, lambda status: status["cameras"]["line1"]["calibration"] != first)


def test_a_model_that_was_trained_again_to_the_same_path_is_taken_over(
    config: Path, tmp_path: Path, bundle: Path
) -> None:
    socket = socket_path(tmp_path)
    with running_service(config):
        frames = armed(socket)
        manifest = json.loads((bundle / "manifest.json").read_text())
        (bundle / "manifest.json").write_text(json.dumps({**manifest, "name": "again"}))
        assert ask(socket, "reload")["changed"] == ["cameras.line1.bundle", "cameras.line2.bundle"]
        armed(socket, beyond=frames)
        assert {state["model"]["name"] for state in ask(socket, "status")["cameras"].values()} == {"again"}
        assert ask(socket, "reload")["changed"] == []


def test_another_sensitivity_is_calibrated_anew(config: Path, tmp_path: Path, bundle: Path) -> None:
    """All scores change with it, so no threshold of before may judge them."""
    socket = socket_path(tmp_path)
    corners = [[0, 0], [100, 0], [100, 100]]
    sensitivity = {"width": 512, "height": 512, "regions": [{"factor": 3.0, "polygon": corners}]}
    view = {"lowest_aspect": 1.0, "highest_aspect": 1.0, "sensitivity": sensitivity}
    with running_service(config) as service:
        frames = armed(socket)
        before = calibration_of(service)
        manifest = json.loads((bundle / "manifest.json").read_text())
        (bundle / "manifest.json").write_text(json.dumps({**manifest, "view": view}))
        ask(socket, "reload")
        armed(socket, beyond=frames)
        assert calibration_of(service) != before


def calibration_of(service: Service) -> str:
    calibration = service.lines["line1"].station.calibration
    assert calibration is not None
    return calibration.id


def test_another_source_is_taken_over_and_frames_count_on(config: Path, tmp_path: Path) -> None:
    socket = socket_path(tmp_path)
    with running_service(config) as service:
        frames = armed(socket)
        line = service.lines["line1"]
        before, calibration = line.capture, line.station.calibration
        change(config, "line1", "frames_per_second = 50.0", "frames_per_second = 40.0\nseed = 7")
        changed = ask(socket, "reload")["changed"]
        assert set(changed) == {"cameras.line1.source.frames_per_second", "cameras.line1.source.seed"}
        assert not before.is_alive()
        armed(socket, beyond=frames)
        wait_until(lambda: line.capture.frames_captured > before.frames_captured, what="frames of the new source")
        assert line.station.calibration is not None
        assert calibration is not None
        assert line.station.calibration.id == calibration.id


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("line.bundle", "missing.bundle", r"missing\.bundle"),
        (SOURCE, 'kind = "video"\npath = "none.mp4"', r"none\.mp4"),
        ('rule = "1 of 1"', 'rule = "5 of 3"', "rule"),
    ],
    ids=["bundle", "source", "rule"],
)
def test_broken_settings_change_nothing_and_say_why(
    config: Path, tmp_path: Path, old: str, new: str, reason: str
) -> None:
    socket = socket_path(tmp_path)
    with running_service(config) as service:
        frames = armed(socket)
        lines = {name: (line.setup, line.capture) for name, line in service.lines.items()}
        settings = service.settings
        change(config, "line1", "clear_after_seconds = 0", "clear_after_seconds = 1")
        change(config, "line1", old, new)
        with pytest.raises(InspectdError, match=reason) as caught:
            ask(socket, "reload")
        assert "\n" not in str(caught.value)
        assert service.settings is settings
        assert {name: (line.setup, line.capture) for name, line in service.lines.items()} == lines
        armed(socket, beyond=frames)


def test_a_product_is_added_and_removed(config: Path, tmp_path: Path, bundle: Path, tiny_bundle: Bundle) -> None:
    other = renamed(tiny_bundle, tmp_path / "other.bundle")
    product = '[cameras.line1.products.{}]\nbundle = "{}"\n'
    text = config.read_text()
    config.write_text(text + product.format("A", bundle))
    socket = socket_path(tmp_path)
    with running_service(config):
        frames = armed(socket)
        config.write_text(text + product.format("A", bundle) + product.format("B", other))
        assert ask(socket, "reload")["changed"] == ["cameras.line1.products.B"]
        assert ask(socket, "product", "line1", name="B")["product"] == "B"
        armed(socket, beyond=frames)
        config.write_text(text + product.format("A", bundle))
        ask(socket, "reload")
        state = ask(socket, "status")["cameras"]["line1"]
        assert (state["product"], state["phase"]) == (None, "no_product"), "parts of B are not judged as A"
        assert ask(socket, "product", "line1", name="A")["product"] == "A"


@pytest.mark.parametrize("kind", ["folder", "dicom"])
def test_source_that_waits_for_new_images_is_replaced(config: Path, tmp_path: Path, kind: str) -> None:
    """Its read waits, for hours if no image arrives."""
    if kind == "dicom":
        pytest.importorskip("pynetdicom", reason="the receiver needs the dicom extra")
    (tmp_path / "images").mkdir()
    waiting = f'kind = "folder"\npath = "{tmp_path / "images"}"\nfollow = true'
    if kind == "dicom":
        waiting = f'kind = "dicom"\nport = {free_port()}'
    change(config, "line1", SOURCE, waiting)
    socket = socket_path(tmp_path)
    with running_service(config) as service:
        wait_until(lambda: service.lines["line1"].capture.waiting is not None, what="the source to wait")
        before = service.lines["line1"].capture
        change(config, "line1", waiting, SOURCE)
        ask(socket, "reload")
        assert not before.is_alive()
        armed(socket)
