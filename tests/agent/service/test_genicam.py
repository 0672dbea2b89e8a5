"""A whole agent with a GigE Vision camera: each announced part gets the frame that was taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.commands import ask
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.agents import agent_processes, await_state, socket_path, stop
from tests.support.broker import wait_until
from tests.support.genicam_cameras import alone_on_the_port, arv_camera, viky_producer, viva_camera

TRIGGERED = """
[cameras.line1.parts]
trigger = true
result_timeout_seconds = 20.0
"""


def settings(tmp_path: Path, bundle: Bundle, source: str, parts: str = TRIGGERED) -> Path:
    config = tmp_path / "inspectd.toml"
    calibration = "frames = 60\nmax_frames = 60"
    config.write_text(settings_text(bundle.path, source, calibration=calibration) + parts)
    return config


def test_announced_parts_get_their_own_frames_and_an_armed_camera_keeps_its_light(
    tmp_path: Path, tiny_bundle: Bundle
) -> None:
    """Each `inspect` triggers the camera once, and its frame decides; no frame comes without."""
    source = """kind = "genicam"\ncamera = "127.0.0.1"\ntrigger = "software"\nread_timeout_seconds = 20.0
exposure_microseconds = "auto"
"""
    with alone_on_the_port():
        camera = viva_camera(width=64, height=64)
        with camera, agent_processes(settings(tmp_path, tiny_bundle, source)) as start:
            process, socket = start(), socket_path(tmp_path)
            assert process.stderr is not None
            assert any("camera 127.0.0.1 is open: vitavision.dev" in line for line in process.stderr)
            await_state(socket, lambda state: state["ready"] is False)
            parts = 0
            state = {"phase": "starting"}
            while state["phase"] != "armed":
                parts += 1
                assert parts < 200, state
                ask(socket, "inspect", "line1", part=f"SN{parts}", timeout_seconds=30.0)
                state = await_state(socket, lambda state, parts=parts: _answered(state) == parts)  # type: ignore[misc]
                if state["phase"] == "refused":
                    # The model knows other parts than the pattern of this camera.
                    ask(socket, "calibration/review", "line1", confirm_good=True, timeout_seconds=30.0)
                    state = await_state(socket, lambda state: state["phase"] == "armed")
            assert state["frames"] == camera.software_triggers() == parts
            wait_until((tmp_path / "state/cameras/line1/light.json").exists)
            ask(socket, "inspect", "line1", part="after", timeout_seconds=30.0)
            state = await_state(socket, lambda state: _answered(state) == parts + 1)
            assert state["frames"] == camera.software_triggers() == parts + 1
            assert (state["dropped"], state["damaged"]) == (0, 0)
            assert set(state["transport"]) == {"frames_lost", "packets_resent", "packets_missing"}
            code, log = stop(process)
            assert code == 0, log
            assert camera.controller() is None, "it was given back"


def test_part_whose_frame_is_lost_is_not_judged(tmp_path: Path, tiny_bundle: Bundle) -> None:
    """The camera loses every packet: the announced part has a result in time, and the camera counts as lost."""
    source = 'kind = "genicam"\ncamera = "127.0.0.1"\ntrigger = "software"\nread_timeout_seconds = 1.0'
    parts = TRIGGERED.replace("20.0", "3.0")
    with arv_camera("-r", "1000"), agent_processes(settings(tmp_path, tiny_bundle, source, parts)) as start:
        process, socket = start(), socket_path(tmp_path)
        assert process.stderr is not None
        assert any("camera 127.0.0.1 is open" in line for line in process.stderr)
        ask(socket, "inspect", "line1", part="SN1", timeout_seconds=30.0)
        state = await_state(socket, lambda state: _answered(state) == 1)
        assert state["parts"]["not_judged"] == 1


def test_camera_without_power_raises_its_alarm_and_is_judged_again_afterwards(
    tmp_path: Path, tiny_bundle: Bundle
) -> None:
    source = 'kind = "genicam"\ncamera = "127.0.0.1"\nframes_per_second = 20.0\nopen_timeout_seconds = 20.0'
    with arv_camera() as camera, agent_processes(settings(tmp_path, tiny_bundle, source, "")) as start:
        start()
        socket = socket_path(tmp_path)
        await_state(socket, lambda state: state["frames"] > 5)
        camera.kill()
        lost = await_state(socket, lambda state: state["phase"] == "camera_lost")
        assert "camera 127.0.0.1" in lost["reason"]
        camera.start()
        await_state(socket, lambda state: state["phase"] != "camera_lost" and state["frames"] > lost["frames"] + 5)


def test_camera_of_a_producer_is_judged_and_its_alarm_cleared_when_it_gives_frames_again(
    tmp_path: Path, tiny_bundle: Bundle
) -> None:
    """A camera that is slower than its timeout at first, as after a loose cable."""
    source = f'''kind = "genicam"\nproducer = "{viky_producer()}"\ncamera = "1"\npixel_format = "Mono8"
frames_per_second = 1.0\nread_timeout_seconds = 0.5'''
    config = settings(tmp_path, tiny_bundle, source, "")
    with agent_processes(config) as start:
        start()
        socket = socket_path(tmp_path)
        lost = await_state(socket, lambda state: state["phase"] == "camera_lost")
        assert lost["reason"] == "camera 1 gave no frame for 0.5 s"
        config.write_text(config.read_text().replace("frames_per_second = 1.0", "frames_per_second = 20.0"))
        ask(socket, "reload", timeout_seconds=30.0)
        state = await_state(socket, lambda state: state["phase"] != "camera_lost" and state["frames"] > 20)
        assert state["damaged"] == 0


def _answered(state: dict[str, dict[str, int]]) -> int:
    return sum(state["parts"][verdict] for verdict in ("ok", "nok", "not_judged"))


@pytest.mark.parametrize("parts", ["", "[cameras.line1.parts]\nframes_per_part = 1\n"])
def test_software_trigger_without_announced_parts_is_rejected(tmp_path: Path, tiny_bundle: Bundle, parts: str) -> None:
    source = 'kind = "genicam"\ncamera = "127.0.0.1"\ntrigger = "software"'
    with agent_processes(settings(tmp_path, tiny_bundle, source, parts)) as start:
        process = start()
        _, log = process.communicate(timeout=150)
    assert process.returncode == 1, log
    assert 'source.trigger: got "software"; wanted parts = { trigger = true } for it' in log
