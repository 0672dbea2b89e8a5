"""The commands `view` and `view/draw`: what is inspected, and what a person wants inspected."""

from __future__ import annotations

import base64
import getpass
import json
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.commands import ask
from agent.core.errors import Permanent
from agent.service import Service
from engines.images import MaskChoice, parse_region

TRIANGLE = [[10, 10], [60, 10], [60, 80]]


@pytest.fixture
def size(service: Service) -> dict[str, int]:
    """Of the camera's images."""
    found = ask(service.settings.socket_path, "view")
    return {"width": found["width"], "height": found["height"]}


def kept(service: Service) -> Path:
    return service.settings.state_directory / "cameras" / "line1"


def test_view_shows_the_whole_source_image(service: Service) -> None:
    found = ask(service.settings.socket_path, "view", side=320)
    image = cv2.imdecode(np.frombuffer(base64.b64decode(found["image"]), np.uint8), cv2.IMREAD_COLOR)
    assert max(image.shape[:2]) == 320
    assert image.shape[1] / image.shape[0] == pytest.approx(found["width"] / found["height"], rel=0.01)
    assert (found["crop"], found["mask"], found["code"], found["drawn"]) == (None, None, None, None)


def test_drawn_view_is_kept_as_train_reads_it(service: Service, size: dict[str, int]) -> None:
    socket, crop = service.settings.socket_path, {"x": 4, "y": 8, "width": 100, "height": 90}
    done = ask(socket, "view/draw", **size, crop=crop, exclude=[TRIANGLE])
    mask = kept(service) / "drawn-mask.json"
    assert done["options"] == f"--crop 4,8,100,90 --mask {mask}"
    excluded = ~MaskChoice(mask).for_size(size["height"], size["width"]).inspected()
    assert excluded[20, 40]
    assert not excluded[70, 20]
    shown = ask(socket, "view")["drawn"]
    assert (shown["crop"], shown["exclude"], shown["by"]) == (crop, [TRIANGLE], getpass.getuser())
    entry = ask(socket, "audit/list", limit=1)["entries"][0]
    assert (entry["action"], entry["request"]["crop"]) == ("view/draw", crop)
    assert ask(socket, "view/draw", **size) == {"drawn": None, "options": ""}
    assert not mask.exists()


def test_drawn_regions_are_kept_with_their_factors(service: Service, size: dict[str, int]) -> None:
    socket, region = service.settings.socket_path, {"factor": 2.5, "polygon": TRIANGLE}
    done = ask(socket, "view/draw", **size, sensitivity=[region])
    assert done["options"] == '--sensitivity "2.5: 10,10 60,10 60,80"'
    (text,) = shlex.split(done["options"])[1:]
    assert parse_region(text).factor == 2.5, "as train reads it"
    found = ask(socket, "view")
    assert (found["drawn"]["sensitivity"], found["sensitivity"]) == ([region], [])
    assert ask(socket, "view/draw", **size)["drawn"] is None


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"sensitivity": [{"factor": 20, "polygon": TRIANGLE}]}, "factor"),
        ({"sensitivity": [{"factor": 1, "polygon": TRIANGLE}]}, "no region with another factor than 1"),
        ({"sensitivity": [{"factor": 2, "polygon": [[-50, -50], [-10, -50], [-10, -10]]}]}, "outside the image"),
        (
            {"crop": {"x": 90, "y": 90, "width": 9, "height": 9}, "sensitivity": [{"factor": 2, "polygon": TRIANGLE}]},
            "is in what is inspected",
        ),
        ({"crop": {"x": 0, "y": 0, "width": 9999, "height": 10}}, "wanted within the image"),
        ({"exclude": [[[0, 0], [9999, 0], [9999, 9999], [0, 9999]]]}, "excludes the whole image"),
        ({"exclude": [[[-50, -50], [-10, -50], [-10, -10]]]}, "outside the image"),
        ({"exclude": [[[0, 0], [1, 1]]]}, "exclude"),
        (
            {"crop": {"x": 20, "y": 20, "width": 10, "height": 10}, "exclude": [[[0, 0], [99, 0], [99, 99], [0, 99]]]},
            "excludes all of the crop",
        ),
    ],
)
def test_view_that_cannot_be_is_rejected_with_the_reason(
    service: Service, size: dict[str, int], given: dict[str, object], wanted: str
) -> None:
    with pytest.raises(Permanent, match=wanted):
        ask(service.settings.socket_path, "view/draw", **size, **given)
    assert not (kept(service) / "drawn-view.json").exists()


def test_view_drawn_on_an_image_of_another_size_is_rejected(service: Service, size: dict[str, int]) -> None:
    with pytest.raises(Permanent, match="the camera's images are"):
        ask(service.settings.socket_path, "view/draw", width=size["width"] + 1, height=size["height"])


def test_damaged_file_is_reported_and_drawn_again(service: Service, size: dict[str, int]) -> None:
    kept(service).mkdir(parents=True, exist_ok=True)
    (kept(service) / "drawn-view.json").write_text(json.dumps({"schema": "inspectd.drawn-view/1"}))
    with pytest.raises(Permanent, match="damaged; draw the view again"):
        ask(service.settings.socket_path, "view")
    assert ask(service.settings.socket_path, "view/draw", **size)["drawn"] is None
    assert ask(service.settings.socket_path, "view")["drawn"] is None
