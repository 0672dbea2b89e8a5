"""An agent on the simulated line, whose parts lie anyhow: every part is found, and what is not is never judged."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np

from agent.commands import ask
from agent.service import Service
from agent.settings import load_settings
from agent.sources.simulator import SimulatedLine
from engines.bundles import Alignment, Bundle, CropBox
from engines.images import AlignmentChoice
from tests.support.agents import await_state, configure, running_service, socket_path
from tests.support.loose_parts import aligned_copy

REGION = CropBox(x=66, y=94, width=380, height=324)
LOOSE = 'kind = "simulator"\nframes_per_second = 30.0\nframes_per_part = 1\ngood_frames = 100000\nloose = true'


def taught_simulator(directory: Path) -> Alignment:
    image = SimulatedLine("camera", seed=5, defect_rate=0.0).image(0)
    assert cv2.imwrite(str(directory / "taught.png"), image)
    return AlignmentChoice(directory / "taught.png", REGION).for_size(512, 512)


def test_loose_parts_of_the_simulator_are_found(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = aligned_copy(tiny_bundle, tmp_path, taught_simulator(tmp_path), REGION)
    config = configure(tmp_path, bundle, LOOSE)
    with running_service(config):
        state = await_state(socket_path(tmp_path), lambda state: state["phase"] == "armed")
        assert state["frames"] >= 60
        assert state["without_part"] == 0
        shown = ask(socket_path(tmp_path), "snapshot", "line1", inline=True)["pictures"]
        assert set(shown) == {"heatmap", "overlay", "frame"}


def test_a_view_is_drawn_on_the_part_as_it_was_taught(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """Crop, mask and regions have their places there; the code has its place in the image as the camera sees it."""
    bundle = aligned_copy(tiny_bundle, tmp_path, taught_simulator(tmp_path), REGION)
    with running_service(configure(tmp_path, bundle, LOOSE)):
        await_state(socket_path(tmp_path), lambda state: state["frames"] > 5)
        found = [ask(socket_path(tmp_path), "view", "line1") for _ in range(5)]
    taught = cv2.imread(str(tmp_path / "taught.png"), cv2.IMREAD_GRAYSCALE)
    region = np.s_[REGION.y : REGION.y + REGION.height, REGION.x : REGION.x + REGION.width]

    def match(name: str) -> float:
        """Mean correlation of an image with the taught one, where the part lies in that."""
        images = [cv2.imdecode(np.frombuffer(base64.b64decode(each[name]), np.uint8), 0) for each in found]
        return float(np.mean([np.corrcoef(image[region].ravel(), taught[region].ravel())[0, 1] for image in images]))

    assert match("aligned") > 0.9
    assert match("image") < match("aligned") - 0.05
    done = {"width": 512, "height": 512, "crop": {"x": 70, "y": 100, "width": 300, "height": 300}}
    with running_service(tmp_path / "inspectd.toml"):
        await_state(socket_path(tmp_path), lambda state: state["frames"] > 0)
        drawn = ask(socket_path(tmp_path), "view/draw", "line1", **done)
    assert drawn["drawn"]["crop"] == done["crop"]
    assert drawn["options"] == "", "on the command line, train would need the taught image"


def test_reload_takes_over_limits_and_nothing_is_found_beyond_them(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """With a limit that no part keeps, frames go on, none is judged, and no alarm is raised."""
    bundle = aligned_copy(tiny_bundle, tmp_path, taught_simulator(tmp_path), REGION)
    config = configure(tmp_path, bundle, LOOSE)
    with running_service(config) as service:
        path = socket_path(tmp_path)
        await_state(path, lambda state: state["phase"] == "armed")
        config.write_text(config.read_text() + "[cameras.line1.alignment]\nleast_match = 0.9999\n")
        assert ask(path, "reload")["changed"] == ["cameras.line1.alignment"]
        before = await_state(path, lambda state: state["without_part"] > 0)
        after = await_state(path, lambda state: state["without_part"] >= before["without_part"] + 20)
        assert after["phase"] == "armed"
        assert after["alarm"] is None
        assert raised(service) == []


def raised(service: Service) -> list[str]:
    directory = service.settings.state_directory / "evidence"
    return sorted(path.name for path in directory.glob("line1/*")) if directory.exists() else []


def test_settings_with_an_alignment_are_read(tiny_bundle: Bundle, tmp_path: Path) -> None:
    config = configure(tmp_path, tiny_bundle, LOOSE)
    config.write_text(config.read_text() + "[cameras.line1.alignment]\nmax_angle_degrees = 4.5\n")
    camera = load_settings(config).cameras["line1"]
    assert camera.alignment is not None
    assert json.loads(camera.alignment.model_dump_json(exclude_none=True)) == {"max_angle_degrees": 4.5}
    assert np.isclose(camera.alignment.max_angle_degrees or 0.0, 4.5)
