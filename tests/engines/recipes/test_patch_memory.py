"""A patch memory measures the distance to the nearest good patch, of patches that cover all the others."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from torch import Tensor  # noqa: E402

from engines.recipes.patch_memory import PatchMemory, random_patches  # noqa: E402


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(candidates: Tensor) -> PatchMemory:
    memory = PatchMemory(candidates.shape[1])
    memory.fit(candidates)
    return memory


def test_distance_is_that_to_the_nearest_patch() -> None:
    """Worked out again with `cdist`, in the units of the candidates' deviations."""
    candidates = torch.randn(200, 8, generator=seeded()) * torch.arange(1.0, 9.0)
    memory = fitted(candidates)
    maps = 3.0 * torch.randn(2, 8, 5, 7, generator=seeded(1))
    spread, mean = torch.std_mean(candidates, 0)
    points = (maps.permute(0, 2, 3, 1) - mean) / (spread * 8**0.5)
    nearest = torch.cdist(points.reshape(-1, 8), memory.patches.float()).amin(1).reshape(2, 1, 5, 7)
    torch.testing.assert_close(memory(maps), (nearest.square() + 1e-3).sqrt(), rtol=1e-3, atol=1e-3)


def test_good_patches_are_near_and_others_far() -> None:
    memory = fitted(torch.randn(5000, 16, generator=seeded()))
    good = memory(torch.randn(1, 16, 20, 20, generator=seeded(1)))
    strange = memory(torch.randn(1, 16, 20, 20, generator=seeded(2)) + 4.0)
    assert good.max() < strange.min()


def test_rare_good_patches_are_remembered() -> None:
    """Three of ten thousand candidates are unlike the others; of 1,000 random ones most would be left out."""
    common, rare = torch.randn(10_000, 4, generator=seeded()), torch.full((3, 4), 40.0)
    memory = fitted(torch.cat([common, rare]))
    assert len(memory.patches) == 1000
    assert float(memory(torch.full((1, 4, 1, 1), 40.0))) < 0.04


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    candidates = torch.randn(50, 3, generator=seeded())
    candidates[:, 1] = 2.0
    assert torch.isfinite(fitted(candidates)(candidates[:4].reshape(1, 4, 1, 3).permute(0, 3, 1, 2))).all()


def test_memory_of_any_size_is_restored_from_its_state_dict() -> None:
    memory, restored = fitted(torch.randn(30, 6, generator=seeded())), PatchMemory(6)
    restored.load_state_dict(memory.state_dict())
    maps = torch.randn(1, 6, 2, 2, generator=seeded(3))
    torch.testing.assert_close(restored(maps), memory(maps))


@pytest.mark.parametrize(("frames", "places"), [(80_000, 1), (20_000, 2), (10, 16)])
def test_patches_are_drawn_evenly_from_all_frames(frames: int, places: int) -> None:
    """About 40,000 in all, and never more than there are."""
    maps = torch.arange(2 * 3 * 16.0).reshape(2, 3, 4, 4)
    drawn = random_patches(maps, frames, seeded())
    assert drawn.shape == (2 * places, 3)
    whole = maps.flatten(2).transpose(1, 2).reshape(-1, 3)
    assert all(any(torch.equal(patch, other) for other in whole) for patch in drawn)


def test_memory_is_the_same_whatever_the_order_of_the_candidates() -> None:
    """No draw decides what is remembered: the same candidates give the same patches."""
    candidates = torch.randn(3000, 12, generator=seeded())
    first, second = fitted(candidates), fitted(candidates[torch.randperm(3000, generator=seeded(1))])
    torch.testing.assert_close(first.patches.sort(0).values, second.patches.sort(0).values, rtol=1e-2, atol=2e-3)
