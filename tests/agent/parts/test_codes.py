"""Codes on parts: read inside a region, bounded, and the id of the part."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.core.crop import Crop
from agent.core.errors import Permanent
from agent.core.records import Code, Frame
from agent.inspection import Capture, FrameQueue, PreparedImage
from agent.inspection.groups import part_of
from agent.messages.result import ResultPayload
from agent.parts import ByCount, ByTrigger, CodeReader, Shot
from agent.settings import load_settings
from agent.settings.codes import CODE_FORMATS, CodeSettings
from agent.sources.folder.source import FolderSource
from tests.support.agent_settings import settings_text

zxingcpp = pytest.importorskip("zxingcpp", reason="codes need the codes extra (zxing-cpp)")

REGION = Crop(x=40, y=20, width=160, height=160)


def drawn(text: str | bytes, kind: str = "DataMatrix", *, scale: int = 4) -> np.ndarray:
    """A code with its quiet zone, black on white."""
    made = zxingcpp.create_barcode(text, zxingcpp.barcode_format_from_str(kind))
    modules = np.array(zxingcpp.write_barcode_to_image(made, scale=scale))
    return np.pad(modules, 8, constant_values=255)


def image_with(*codes: np.ndarray, at: tuple[int, int] = (50, 30)) -> np.ndarray:
    """An image [220, 300, 1] of a gray part with codes side by side, the first at (x, y)."""
    image = np.full((220, 300), 140, np.uint8)
    x, y = at
    for code in codes:
        height, width = code.shape
        image[y : y + height, x : x + width] = code
        x += width
    return image[:, :, None]


def reader(*formats: str) -> CodeReader:
    return CodeReader(REGION, formats or CodeSettings(region=REGION).formats)


@pytest.mark.parametrize("kind", ["DataMatrix", "QRCode"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_code_in_the_region_is_read(kind: str, depth: int, channels: int) -> None:
    image = np.repeat(image_with(drawn("SN-00123", kind, scale=3)), channels, axis=2)
    if depth == 16:
        image = (image.astype(np.uint16) * 12) + 300
    assert reader()(image) == Code(text="SN-00123")


def test_a_code_outside_the_region_is_not_looked_for() -> None:
    assert reader()(image_with(drawn("SN1"), at=(210, 30))) == Code(problem="no readable code")


def test_a_kind_that_was_not_asked_for_is_not_read() -> None:
    assert reader("QRCode")(image_with(drawn("SN1"))).text is None


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (image_with(), "no readable code"),
        (np.zeros((220, 300, 1), np.uint8), "no readable code"),
        (np.full((220, 300, 1), 65535, np.uint16), "no readable code"),
        (image_with(drawn("SN1", scale=3), drawn("SN2", scale=3)), "2 codes in the region, wanted one"),
        (image_with(drawn("x" * 129, scale=2)), "the code has 129 characters, wanted 1 to 128"),
        (image_with(drawn("SN\n1", scale=3)), "the code has control characters, wanted printable ones only"),
        (image_with(drawn("\x1b[2J", scale=3)), "the code has control characters, wanted printable ones only"),
        (
            np.zeros((100, 100, 1), np.uint8),
            "code: crop is 160×160 at 40,20, wanted within the image of 100×100",
        ),
    ],
)
def test_what_cannot_be_read_says_why(image: np.ndarray, problem: str) -> None:
    assert reader()(image) == Code(problem=problem)


def test_the_same_code_twice_is_one() -> None:
    assert reader()(image_with(drawn("SN1", scale=3), drawn("SN1", scale=3))).text == "SN1"


def test_noise_and_damage_never_raise() -> None:
    """Whatever the region shows, there is a text or a reason; a damaged code is never read as another one."""
    rng = np.random.default_rng(0)
    whole, found = image_with(drawn("SN-00123")), []
    for _ in range(40):
        image = whole.copy()
        x, y = rng.integers(50, 110, 2)
        image[y : y + 30, x : x + 30] = rng.integers(0, 256, (*image[y : y + 30, x : x + 30].shape[:2], 1))
        found.append(reader()(image))
    assert {code.text for code in found} <= {"SN-00123", None}
    assert all((code.text is None) != (code.problem is None) for code in found)


def test_every_format_of_the_settings_is_known_to_the_library() -> None:
    for name in CODE_FORMATS:
        assert CodeReader(REGION, [name])


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    with pytest.raises(Permanent, match=r"zxing-cpp, which is missing: pip install 'inspectd\[codes\]'"):
        reader()


def shot(index: int, code: Code | None, **more: Any) -> Shot[None]:
    frame = Frame(
        "line1", index, datetime(2026, 1, 1, tzinfo=timezone.utc), float(index), np.zeros((1, 1, 1)), code=code, **more
    )
    return Shot(frame, 1.0, None, True, None)


UNREADABLE = Code(problem="no readable code")


@pytest.mark.parametrize(
    ("codes", "part", "kept"),
    [
        ((Code(text="SN1"), UNREADABLE), "SN1", Code(text="SN1")),
        ((UNREADABLE, Code(text="SN2")), "SN2", Code(text="SN2")),
        ((UNREADABLE, UNREADABLE), "2026-01-01T00:00:00.000Z", UNREADABLE),
        ((None, None), "2026-01-01T00:00:00.000Z", None),
    ],
)
def test_the_first_code_of_its_frames_names_a_part(codes: tuple[Code, ...], part: str, kept: Code | None) -> None:
    """Without one the part is named as before, and the reason stays with it."""
    grouping = ByCount[None](2)
    (group,) = [group for index, code in enumerate(codes) for group in grouping.add(shot(index, code))]
    assert (group.part, group.code) == (part, kept)


def test_a_code_goes_before_the_name_of_a_file_and_after_a_trigger() -> None:
    (group,) = ByCount[None](1).add(shot(0, Code(text="SN1"), origin="0001.png"))
    assert group.part == "SN1"
    (group,) = ByCount[None](1).add(shot(0, UNREADABLE, origin="0001.png"))
    assert group.part == "0001.png"
    triggered = ByTrigger[None](frames_per_part=1, timeout_seconds=2.0, max_waiting=5)
    triggered.trigger("ORDER-7", datetime(2026, 1, 1, tzinfo=timezone.utc), 0.0)
    (group,) = triggered.add(shot(1, Code(text="SN1")))
    assert (group.part, group.code) == ("ORDER-7", Code(text="SN1"))


def test_the_result_of_a_part_has_its_code() -> None:
    """Also where nothing was read, and null where the settings have no code."""
    for code, wanted in (
        (Code(text="SN1"), {"text": "SN1", "problem": None}),
        (UNREADABLE, {"text": None, "problem": "no readable code"}),
        (None, None),
    ):
        (group,) = ByCount[Any](1).add(shot(0, code, origin="0001.png"))
        part = part_of(group, None, "line1", None)
        document = ResultPayload.of(part, identity="x", sequence=1, site="plant", latency_seconds=0.1)
        assert document.model_dump(mode="json")["code"] == wanted
        assert document.part == ("SN1" if code == Code(text="SN1") else "0001.png")


def test_a_capture_reads_the_code_of_each_frame(tmp_path: Path) -> None:
    """The whole way of a folder: source, capture, queue."""
    images = tmp_path / "images"
    images.mkdir()
    for name, image in (("a", image_with(drawn("SN1"))), ("b", image_with())):
        assert cv2.imwrite(str(images / f"{name}.png"), image)
    queue = FrameQueue(depth=4)
    queue.add_camera("line1", newest_only=False)
    source = FolderSource(images, quarantine_directory=tmp_path / "quarantine")
    capture = Capture("line1", source, queue, lambda image: PreparedImage(image, image[:32, :32]))
    capture.read_code = reader()
    capture.start()
    capture.join(60)
    found: list[Code | None] = []
    while batch := queue.take(timeout_seconds=1.0):
        found += [prepared.frame.code for prepared in batch]
    assert found == [Code(text="SN1"), UNREADABLE]


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        ('region = { x = 0, y = 0, width = 9, height = 9 }\nformats = ["Barcode"]', "formats"),
        ("region = { x = 0, y = 0, width = 0, height = 9 }", "width"),
        ('formats = ["QRCode"]', "region"),
        ("region = { x = 0, y = 0, width = 9, height = 9 }\nformats = []", "formats"),
    ],
)
def test_a_wrong_section_is_one_line(section: str, wanted: str, tmp_path: Path) -> None:
    text = settings_text(tmp_path / "x.bundle", 'kind = "folder"\npath = "images"')
    (tmp_path / "inspectd.toml").write_text(f"{text}[cameras.line1.parts.code]\n{section}\n")
    with pytest.raises(Permanent, match=rf"parts\.code.*{wanted}") as caught:
        load_settings(tmp_path / "inspectd.toml")
    assert "\n" not in str(caught.value)


def test_a_code_needs_parts(tmp_path: Path) -> None:
    text = settings_text(tmp_path / "x.bundle", 'kind = "simulator"', calibration="", alarm="")
    section = "[cameras.line1.parts.code]\nregion = { x = 0, y = 0, width = 9, height = 9 }\n"
    (tmp_path / "inspectd.toml").write_text(text + section)
    with pytest.raises(Permanent, match=r"parts.code: got a code, but not which frames show a part"):
        load_settings(tmp_path / "inspectd.toml")
