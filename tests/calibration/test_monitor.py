"""The part or the camera: what each symptom looks like, and what only looks like one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from calibration import CameraMonitor, CameraReference, Finding, Symptom, glance
from calibration.camera_history import CameraHistory

BITS = (8, 16)


def scene(seed: int, bits: int = 8, *, size: int = 128, part: bool = True, jitter: float = 0.6) -> np.ndarray:
    """A square part with holes and lettering on a belt, a little off its place, with a sensor's noise."""
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


def levels(picture: np.ndarray) -> np.ndarray:
    return np.asarray(picture[:, :, 0] / np.iinfo(picture.dtype).max)


def look(monitor: CameraMonitor, picture: np.ndarray) -> Finding | None:
    return monitor.look(glance(picture))


def reference(pictures: Callable[[int], np.ndarray], count: int = 80) -> CameraReference:
    history = CameraHistory()
    for seed in range(count):
        history.add(pictures(seed))
    return history.reference()


@pytest.fixture(scope="module", params=BITS)
def bits(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def usual(bits: int) -> CameraReference:
    return reference(lambda seed: scene(seed, bits))


SPOILT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "black": lambda level: 0.0 * level + 0.02,
    "saturated": lambda level: 9.0 * level + 0.35,
    "dark": lambda level: 0.4 * level,
    "bright": lambda level: 1.8 * level,
    "defocused": lambda level: gaussian_filter(level, 2.0),
    "shifted": lambda level: shift(level, (0, 9), order=1, mode="nearest"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_symptom_is_found_on_every_picture(usual: CameraReference, bits: int, kind: str) -> None:
    monitor, chance = CameraMonitor(usual), np.random.default_rng(1)
    found = []
    for seed in range(1000, 1030):
        picture = expose(SPOILT[kind](levels(scene(seed, bits))), chance, bits)
        found.append(look(monitor, picture))
    assert {finding.symptom if finding else None for finding in found} == {Symptom(kind)}
    assert all(finding and finding.reason.startswith(f"{kind}: ") for finding in found)


def test_good_pictures_have_no_symptom(usual: CameraReference, bits: int) -> None:
    monitor = CameraMonitor(usual)
    assert [look(monitor, scene(seed, bits)) for seed in range(2000, 2300)] == [None] * 300


STRANGE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
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


@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_part_is_no_symptom(usual: CameraReference, bits: int, kind: str) -> None:
    monitor, chance = CameraMonitor(usual), np.random.default_rng(1)
    pictures = [expose(STRANGE[kind](levels(scene(seed, bits))), chance, bits) for seed in range(30)]
    assert [look(monitor, picture) for picture in pictures] == [None] * 30


def test_a_repeated_picture_is_frozen_and_the_next_one_is_not(usual: CameraReference, bits: int) -> None:
    monitor, picture = CameraMonitor(usual), scene(1, bits)
    found = [look(monitor, picture) for _ in range(3)] + [look(monitor, scene(2, bits))]
    assert [finding and finding.symptom for finding in found] == [None, Symptom.FROZEN, Symptom.FROZEN, None]


def test_a_clock_in_a_frozen_picture_does_not_hide_it(usual: CameraReference, bits: int) -> None:
    monitor, picture = CameraMonitor(usual), scene(1, bits)
    assert look(monitor, picture) is None
    picture = picture.copy()
    picture[0, 0] ^= 1
    finding = look(monitor, picture)
    assert finding is not None
    assert finding.symptom is Symptom.FROZEN


def test_a_camera_that_repeats_pictures_by_nature_is_frozen_later() -> None:
    """Read at three times its rate: every picture comes three times."""
    monitor = CameraMonitor(reference(lambda seed: scene(seed // 3)))
    found = [look(monitor, scene(5000 + index // 3)) for index in range(30)]
    assert found == [None] * 30
    still = [look(monitor, scene(9000)) for _ in range(7)]
    assert [finding and finding.symptom for finding in still] == [None] * 5 + [Symptom.FROZEN] * 2


def test_a_scene_that_is_never_the_same_has_no_place_to_leave() -> None:
    """Loose parts anywhere: neither a shift nor a change of light can be told, a blur can."""

    def loose(seed: int) -> np.ndarray:
        return np.roll(scene(seed), np.random.default_rng(seed).integers(0, 128, 2), axis=(0, 1))

    monitor = CameraMonitor(reference(loose))
    assert [look(monitor, loose(seed)) for seed in range(3000, 3100)] == [None] * 100
    chance = np.random.default_rng(1)
    finding = look(monitor, expose(gaussian_filter(levels(loose(4000)), 3.0), chance, 8))
    assert finding is not None
    assert finding.symptom is Symptom.DEFOCUSED


def test_a_blurred_texture_is_found_where_there_are_no_edges() -> None:
    def cloth(seed: int) -> np.ndarray:
        return 0.4 + 0.4 * gaussian_filter(np.random.default_rng(seed).standard_normal((256, 256)), 1.2)

    monitor = CameraMonitor(reference(lambda seed: expose(cloth(seed), np.random.default_rng(seed), 8)))
    chance = np.random.default_rng(1)
    assert [look(monitor, expose(cloth(seed), chance, 8)) for seed in range(500, 550)] == [None] * 50
    finding = look(monitor, expose(gaussian_filter(cloth(600), 4.0), chance, 8))
    assert finding is not None
    assert finding.symptom is Symptom.DEFOCUSED


def test_air_that_saturates_in_good_pictures_is_not_taken_for_a_fault() -> None:
    def bright_air(seed: int) -> np.ndarray:
        picture = scene(seed, 16)
        picture[:, :40] = 65_535
        return picture

    monitor = CameraMonitor(reference(bright_air))
    assert [look(monitor, bright_air(seed)) for seed in range(500, 550)] == [None] * 50
    finding = look(monitor, np.full_like(bright_air(0), 65_535))
    assert finding is not None
    assert finding.symptom is Symptom.SATURATED


def test_a_reference_of_the_first_version_still_finds_blank_and_frozen_pictures(
    usual: CameraReference, bits: int
) -> None:
    monitor, chance = CameraMonitor(dataclasses.replace(usual, view=None)), np.random.default_rng(1)
    blurred = expose(gaussian_filter(levels(scene(1, bits)), 3.0), chance, bits)
    assert look(monitor, blurred) is None
    black = look(monitor, np.zeros_like(blurred))
    assert black is not None
    assert black.symptom is Symptom.BLACK
    assert look(monitor, blurred) is None
    again = look(monitor, blurred)
    assert again is not None
    assert again.symptom is Symptom.FROZEN


@pytest.mark.parametrize(("shape", "channels"), [((8, 8), 1), ((33, 20), 3), ((300, 500), 1), ((1, 7), 1)])
def test_pictures_of_any_size_are_looked_at(shape: tuple[int, int], channels: int) -> None:
    def noise(seed: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(60, 200, (*shape, channels)).astype(np.uint8)

    monitor = CameraMonitor(reference(noise, 20))
    assert [look(monitor, noise(seed)) for seed in range(100, 120)] == [None] * 20
    black = look(monitor, np.zeros((*shape, channels), np.uint8))
    assert black is not None
    assert black.symptom is Symptom.BLACK


def test_a_picture_of_another_size_is_nothing_to_compare(usual: CameraReference, bits: int) -> None:
    monitor = CameraMonitor(usual)
    look(monitor, scene(1, bits))
    assert look(monitor, scene(1, bits, size=64)) is None
