"""Camera faults: each symptom is found, and bad parts are not mistaken for one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from calibration import CameraMonitor, CameraReference, Finding, SizeMonitor, SourceReference, Symptom, glance
from calibration.camera.camera_history import CameraHistory

BITS = (8, 16)


def scene(seed: int, bits: int = 8, *, size: int = 128, part: bool = True, jitter: float = 0.6) -> np.ndarray:
    """Return a square part with holes and lettering on a belt, its position a little off, with sensor noise."""
    chance = np.random.default_rng(seed)
    rows, columns = np.indices((size, size)) / size
    level = 0.10 + 0.02 * np.sin(40 * rows) * np.sin(40 * columns)
    if part:
        inside = (abs(rows - 0.5) < 0.33) & (abs(columns - 0.5) < 0.28)
        level = np.where(inside, 0.55 + 0.1 * columns, level)
        for row, column in [(0.3, 0.35), (0.7, 0.6), (0.45, 0.5)]:
            level = np.where((rows - row) ** 2 + (columns - column) ** 2 < 0.004, 0.05, level)
        level = np.where(inside & (abs(rows - 0.62) < 0.02) & (np.sin(90 * columns) > 0), 0.8, level)
    level = shift(level, chance.normal(0.0, jitter, 2), order=1, mode="nearest")
    return expose(level, chance, bits)


def expose(level: np.ndarray, chance: np.random.Generator, bits: int) -> np.ndarray:
    top = 2**bits - 1
    noisy = level + chance.normal(0.0, 0.008, level.shape)
    return (noisy.clip(0.0, 1.0) * top).astype(np.uint8 if bits == 8 else np.uint16)[:, :, None]


def levels(image: np.ndarray) -> np.ndarray:
    return np.asarray(image[:, :, 0] / np.iinfo(image.dtype).max)


def check(monitor: CameraMonitor, image: np.ndarray) -> Finding | None:
    return monitor.check(glance(image))


def reference(images: Callable[[int], np.ndarray], count: int = 80) -> CameraReference:
    history = CameraHistory()
    for seed in range(count):
        history.add(images(seed))
    return history.reference()


@pytest.fixture(scope="module", params=BITS)
def bits(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def usual(bits: int) -> CameraReference:
    return reference(lambda seed: scene(seed, bits))


FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "black": lambda level: 0.0 * level + 0.02,
    "saturated": lambda level: 9.0 * level + 0.35,
    "dark": lambda level: 0.4 * level,
    "bright": lambda level: 1.8 * level,
    "defocused": lambda level: gaussian_filter(level, 2.0),
    "shifted": lambda level: shift(level, (0, 9), order=1, mode="nearest"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_monitor_finds_each_symptom_on_every_image(usual: CameraReference, bits: int, kind: str) -> None:
    monitor, chance = CameraMonitor(usual), np.random.default_rng(1)
    found = []
    for seed in range(1000, 1030):
        image = expose(FAULTS[kind](levels(scene(seed, bits))), chance, bits)
        found.append(check(monitor, image))
    assert {finding.symptom if finding else None for finding in found} == {Symptom(kind)}
    assert all(finding and finding.reason.startswith(f"{kind}: ") for finding in found)


def test_monitor_finds_nothing_on_good_images(usual: CameraReference, bits: int) -> None:
    monitor = CameraMonitor(usual)
    assert [check(monitor, scene(seed, bits)) for seed in range(2000, 2300)] == [None] * 300


BAD_PARTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "empty": lambda level: levels(scene(0, part=False)),
    "stained": lambda level: np.where(np.indices(level.shape)[0] > level.shape[0] * 0.45, 0.3, level),
    "darker part": lambda level: np.where(level > 0.2, 0.45 * level, level),
    "half dark": lambda level: np.where(np.indices(level.shape)[1] > level.shape[1] * 0.5, 0.02, level),
    "glare": lambda level: np.where(np.indices(level.shape)[1] > level.shape[1] * 0.7, 1.5, level),
    "soft patch": lambda level: np.where(
        np.indices(level.shape)[1] > level.shape[1] * 0.5, gaussian_filter(level, 3.0), level
    ),
    "moved a little": lambda level: shift(level, (2, 2), order=1, mode="nearest"),
}


@pytest.mark.parametrize("kind", BAD_PARTS)
def test_monitor_finds_nothing_on_bad_parts(usual: CameraReference, bits: int, kind: str) -> None:
    monitor, chance = CameraMonitor(usual), np.random.default_rng(1)
    images = [expose(BAD_PARTS[kind](levels(scene(seed, bits))), chance, bits) for seed in range(30)]
    assert [check(monitor, image) for image in images] == [None] * 30


def test_monitor_image_repeated_many_times_is_frozen_and_the_next_one_is_not(usual: CameraReference, bits: int) -> None:
    """A still part in front of a camera without noise repeats its image a few times, and must be judged."""
    monitor, image = CameraMonitor(usual), scene(1, bits)
    found = [check(monitor, image) for _ in range(13)] + [check(monitor, scene(2, bits))]
    assert [finding and finding.symptom for finding in found] == [None] * 11 + [Symptom.FROZEN] * 2 + [None]


def test_monitor_still_part_is_seen_by_the_whole_rule_before_the_camera_is_frozen(usual: CameraReference) -> None:
    monitor = CameraMonitor(usual, rule_frames=20)
    image = scene(1, 8 if usual.high_level.high < 1.0 else 16)
    found = [check(monitor, image) for _ in range(23)]
    assert [finding and finding.symptom for finding in found] == [None] * 21 + [Symptom.FROZEN] * 2


def test_monitor_finds_a_frozen_image_despite_a_clock_in_it(usual: CameraReference, bits: int) -> None:
    monitor, image = CameraMonitor(usual), scene(1, bits)
    for _ in range(11):
        assert check(monitor, image) is None
        image = image.copy()
        image[0, 0] ^= 1
    finding = check(monitor, image)
    assert finding is not None
    assert finding.symptom is Symptom.FROZEN


def test_monitor_camera_that_usually_repeats_images_is_frozen_later() -> None:
    """A camera read at nine times its rate delivers every image nine times."""
    monitor = CameraMonitor(reference(lambda seed: scene(seed // 9), 90))
    found = [check(monitor, scene(5000 + index // 9)) for index in range(36)]
    assert found == [None] * 36
    still = [check(monitor, scene(9000)) for _ in range(19)]
    assert [finding and finding.symptom for finding in still] == [None] * 17 + [Symptom.FROZEN] * 2


def test_monitor_changing_scene_has_no_shift_but_can_be_blurred() -> None:
    """Loose parts anywhere: neither a shift nor a change of light can be detected, a blur can."""

    def loose(seed: int) -> np.ndarray:
        return np.roll(scene(seed), np.random.default_rng(seed).integers(0, 128, 2), axis=(0, 1))

    monitor = CameraMonitor(reference(loose))
    assert [check(monitor, loose(seed)) for seed in range(3000, 3100)] == [None] * 100
    chance = np.random.default_rng(1)
    finding = check(monitor, expose(gaussian_filter(levels(loose(4000)), 3.0), chance, 8))
    assert finding is not None
    assert finding.symptom is Symptom.DEFOCUSED


def test_monitor_finds_blur_of_a_texture_without_edges() -> None:
    def cloth(seed: int) -> np.ndarray:
        return 0.4 + 0.4 * gaussian_filter(np.random.default_rng(seed).standard_normal((256, 256)), 1.2)

    monitor = CameraMonitor(reference(lambda seed: expose(cloth(seed), np.random.default_rng(seed), 8)))
    chance = np.random.default_rng(1)
    assert [check(monitor, expose(cloth(seed), chance, 8)) for seed in range(500, 550)] == [None] * 50
    finding = check(monitor, expose(gaussian_filter(cloth(600), 4.0), chance, 8))
    assert finding is not None
    assert finding.symptom is Symptom.DEFOCUSED


def test_monitor_allows_air_that_saturates_in_good_images() -> None:
    def bright_air(seed: int) -> np.ndarray:
        image = scene(seed, 16)
        image[:, :40] = 65_535
        return image

    monitor = CameraMonitor(reference(bright_air))
    assert [check(monitor, bright_air(seed)) for seed in range(500, 550)] == [None] * 50
    finding = check(monitor, np.full_like(bright_air(0), 65_535))
    assert finding is not None
    assert finding.symptom is Symptom.SATURATED


def test_monitor_with_a_reference_of_the_first_version_finds_blank_and_frozen_images(
    usual: CameraReference, bits: int
) -> None:
    monitor, chance = CameraMonitor(dataclasses.replace(usual, view=None)), np.random.default_rng(1)
    blurred = expose(gaussian_filter(levels(scene(1, bits)), 3.0), chance, bits)
    assert check(monitor, blurred) is None
    black = check(monitor, np.zeros_like(blurred))
    assert black is not None
    assert black.symptom is Symptom.BLACK
    again = [check(monitor, blurred) for _ in range(12)][-1]
    assert again is not None
    assert again.symptom is Symptom.FROZEN


@pytest.mark.parametrize(("shape", "channels"), [((8, 8), 1), ((33, 20), 3), ((300, 500), 1), ((1, 7), 1)])
def test_monitor_works_on_images_of_any_size(shape: tuple[int, int], channels: int) -> None:
    def noise(seed: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(60, 200, (*shape, channels)).astype(np.uint8)

    monitor = CameraMonitor(reference(noise, 20))
    assert [check(monitor, noise(seed)) for seed in range(100, 120)] == [None] * 20
    black = check(monitor, np.zeros((*shape, channels), np.uint8))
    assert black is not None
    assert black.symptom is Symptom.BLACK


def test_monitor_finds_nothing_on_an_image_of_another_size(usual: CameraReference, bits: int) -> None:
    monitor = CameraMonitor(usual)
    assert check(monitor, scene(1, bits)) is None
    assert check(monitor, scene(1, bits, size=64)) is None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("black", r"black: 99% of the pixels are below \d\.\d%, wanted \d\d%"),
        ("saturated", r"saturated: \d+% of the pixels, wanted at most \d+%"),
        ("dark", r"dark: [34]\d% of the light of good images"),
        ("bright", r"bright: 1[67]\d% of the light of good images"),
        ("defocused", r"defocused: \d+% of the fine detail of good images"),
        ("shifted", r"shifted: by \d+% of the image, wanted at most \d+%; was the camera moved\?"),
    ],
)
def test_finding_reason_gives_the_figure_and_the_usual_one(
    usual: CameraReference, bits: int, fault: str, reason: str
) -> None:
    image = expose(FAULTS[fault](levels(scene(1000, bits))), np.random.default_rng(1), bits)
    finding = check(CameraMonitor(usual), image)
    assert finding is not None
    assert re.fullmatch(reason, finding.reason), finding.reason


def test_finding_reason_of_a_frozen_image_does_not_change(usual: CameraReference, bits: int) -> None:
    """An alarm keeps its reason for as long as the image is frozen."""
    monitor, image = CameraMonitor(usual), scene(1, bits)
    found = [check(monitor, image) for _ in range(15)]
    assert {finding.reason for finding in found if finding} == {
        "frozen: the image does not change, wanted at most 10 repeats in a row"
    }


def test_images_of_another_size_are_found_and_the_usual_ones_are_not() -> None:
    monitor = SizeMonitor(SourceReference(height=480, width=640, black=0, white=255))
    assert monitor.check(480, 640) is None
    finding = monitor.check(600, 800)
    assert finding is not None
    assert finding.symptom is Symptom.RESIZED
    assert finding.symptom.blank
    assert "800×600" in finding.reason
    assert "640×480" in finding.reason
    assert monitor.check(480, 640) is None


def test_without_a_known_size_the_first_image_counts() -> None:
    monitor = SizeMonitor(None)
    assert monitor.check(480, 640) is None
    assert monitor.check(480, 641) is not None


def test_a_source_of_images_of_several_sizes_may_deliver_any() -> None:
    monitor = SizeMonitor(SourceReference(height=None, width=None, black=0, white=255))
    assert monitor.check(480, 640) is None
    assert monitor.check(64, 64) is None
