"""The same part is found again, in another light, shifted or cut; parts that merely look alike are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.siblings import sibling_groups, siblings_across, thumbnails

SOLAR = Path(__file__).parents[4] / "shared" / "data" / "solar"


def texture(seed: int, size: int = 160) -> np.ndarray:
    """A part like no other, uint8 [size, size, 1]."""
    chance = np.random.default_rng(seed)
    coarse = cv2.resize(chance.normal(size=(20, 20)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return (128 + 35 * coarse + chance.normal(0, 4, (size, size))).clip(0, 255).astype(np.uint8)[:, :, None]


def again(image: np.ndarray, seed: int) -> np.ndarray:
    """The same part once more: other noise, other light, two pixels aside."""
    chance = np.random.default_rng(1000 + seed)
    moved = np.roll(image, (2, -1), (0, 1)) * chance.uniform(0.92, 1.08) + chance.normal(0, 4, image.shape)
    return moved.clip(0, 255).astype(np.uint8)


def test_the_same_part_is_found_in_both_sets() -> None:
    training = [texture(seed) for seed in range(30)]
    other = [again(training[seed], seed) if seed < 5 else texture(100 + seed) for seed in range(20)]
    found = siblings_across(thumbnails(other), thumbnails(training))
    assert [(pair.first, pair.second) for pair in found] == [(seed, seed) for seed in range(5)]


def test_overlapping_crops_of_one_image_are_siblings() -> None:
    whole = [texture(seed, size=240) for seed in range(20)]
    left = [image[:180, :180] for image in whole]
    right = [image[40:220, 50:230] for image in whole[:10]] + [texture(500 + seed) for seed in range(10)]
    found = siblings_across(thumbnails(right), thumbnails(left))
    assert {(pair.first, pair.second) for pair in found} >= {(seed, seed) for seed in range(9)}
    assert all(pair.first == pair.second for pair in found)


def test_parts_in_a_fixture_look_alike_and_are_no_siblings() -> None:
    """All of one shape, in a lamp that drifts: what they have in common says nothing."""
    chance = np.random.default_rng(0)
    shape, parts = texture(0).astype(np.float32), []
    for index in range(60):
        light = 1.0 + 0.1 * np.sin(index / 5.0)
        parts.append((shape * light + chance.normal(0, 4, shape.shape)).clip(0, 255).astype(np.uint8))
    assert len(siblings_across(thumbnails(parts[:30]), thumbnails(parts[30:]))) <= 1
    assert len(np.unique(sibling_groups(thumbnails(parts)))) >= 55


def test_groups_join_all_images_of_a_part() -> None:
    images = [texture(seed) for seed in range(12)] + [again(texture(3), 1), again(texture(3), 2), again(texture(7), 3)]
    groups = sibling_groups(thumbnails(images))
    assert groups[3] == groups[12] == groups[13] != groups[7] == groups[14]
    assert len(np.unique(groups)) == 12


def test_large_sets_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.siblings.pairs._MOST_AT_ONCE", 20)
    images = [texture(seed) for seed in range(30)]
    images[11], images[29] = again(images[10], 0), again(images[28], 1)
    groups = sibling_groups(thumbnails(images))
    assert groups[10] == groups[11] != groups[28] == groups[29]
    assert len(np.unique(groups)) == 28


def test_empty_images_are_nobodys_siblings() -> None:
    blank = [np.full((64, 64, 1), 255, np.uint8)] * 5
    assert siblings_across(thumbnails(blank), thumbnails(blank)) == []
    assert len(siblings_across(thumbnails([texture(0)]), thumbnails([again(texture(0), 1)]))) == 1


@pytest.mark.skipif(not SOLAR.is_dir(), reason="../shared/data/solar is not here")
def test_solar_cells_of_one_ingot_are_found_on_both_sides() -> None:
    """Neighbouring wafers have the same grain: about one test cell in five has one among the training cells."""
    sets = []
    for folder, every in (("train/good", 2), ("test/good", 2)):
        files = sorted((SOLAR / folder).iterdir())[::every]
        sets.append(thumbnails(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)[:, :, None] for file in files))
    found = siblings_across(sets[1], sets[0])
    assert 3 <= len(found) <= 40
