"""The default recipe learns where damage is, repeats itself, and exports to what it computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")
fabric_module = pytest.importorskip("lightning_fabric", reason="training needs the train extra")

from engines.bundles.bundle import Geometry, Normalisation  # noqa: E402
from engines.export.to_onnx import agreement, export_onnx, reference_answers  # noqa: E402
from engines.networks.latent_maps import WHOLE, Window  # noqa: E402
from engines.recipes.damage import Palette, damage  # noqa: E402
from engines.recipes.default import RECIPE, MapLearner, _part  # noqa: E402
from engines.recipes.map_scorer import MapScorer, map_distances  # noqa: E402

GEOMETRY = Geometry(32, 32, 1, 8, "GRAY")


def parts(count: int, seed: int = 0) -> Any:
    """Gray frames [N, 32, 32, 1], uint8: a bright bar on a dark ground, a little off its place, and noise."""
    rng = np.random.default_rng(seed)
    frames = rng.normal(60, 6, (count, 32, 32, 1))
    for frame in frames:
        left = int(rng.integers(10, 13))
        frame[6:26, left : left + 8] += 120
    return frames.clip(0, 255).astype(np.uint8)


def normalised(frames: Any) -> Any:
    return torch.from_numpy(frames).float().permute(0, 3, 1, 2) / 127.5 - 1


def learner(seed: int = 0) -> MapLearner:
    fabric = fabric_module.Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    fabric.seed_everything(seed, verbose=False)
    made = RECIPE.learner(RECIPE.networks(GEOMETRY), GEOMETRY)
    made.setup(fabric)
    return made


@pytest.fixture(scope="module")
def trained() -> MapLearner:
    made = learner()
    frames = normalised(parts(128))
    for step in range(160):
        made.step(frames[torch.randint(0, 128, (24,))], progress=step / 160)
    return made


def test_damage_stands_out_on_frames_that_were_never_seen(trained: MapLearner) -> None:
    rng = np.random.default_rng(5)
    good = normalised(parts(65, seed=9)).permute(0, 2, 3, 1).numpy()
    palette = Palette(-1.0, 1.0, float(good.std()))
    damaged, where = zip(*(damage(rng, good[i], good[i + 1], palette) for i in range(64)), strict=True)
    with torch.no_grad():
        latents = trained.networks.eval()(torch.from_numpy(np.stack(damaged)).permute(0, 3, 1, 2))
    distance = map_distances(latents)[0]
    hit = torch.nn.functional.max_pool2d(torch.from_numpy(np.stack(where)).float()[:, None], 4)[:, 0] > 0
    assert float(distance[hit].mean()) > 1.5 * float(distance[~hit].mean())


def test_decoder_gives_back_a_frame_more_like_the_clean_one(trained: MapLearner) -> None:
    good = normalised(parts(32, seed=11))
    damaged = good.clone()
    damaged[:, :, 12:20, 12:20] = -1.0
    with torch.no_grad():
        reconstruction = trained.networks.eval()(damaged).reconstruction
    target, broken = trained.networks.standardise(good), trained.networks.standardise(damaged)
    there = (slice(None), slice(None), slice(12, 20), slice(12, 20))
    assert float((reconstruction - target)[there].abs().mean()) < 0.7 * float((broken - target)[there].abs().mean())


def test_export_agrees_in_both_precisions(trained: MapLearner) -> None:
    scorer = RECIPE.scorer(trained.networks, Normalisation(low=0.0, high=255.0)).eval()
    RECIPE.settle(scorer, [normalised(parts(64))], [normalised(parts(16, seed=5))])
    reference = reference_answers(scorer, parts(6, seed=3))
    assert agreement(export_onnx(scorer, GEOMETRY), reference) < 1e-4
    assert agreement(export_onnx(scorer, GEOMETRY, half=True), reference) < 1e-2


def test_settled_scorer_survives_its_state(trained: MapLearner) -> None:
    """The PyTorch engine builds the scorer anew and fills it from the bundle's weights."""
    normalisation = Normalisation(low=0.0, high=255.0)
    scorer = RECIPE.scorer(trained.networks, normalisation).eval()
    RECIPE.settle(scorer, [normalised(parts(64))], [normalised(parts(16, seed=5))])
    again = RECIPE.scorer(RECIPE.networks(GEOMETRY), normalisation).eval()
    assert isinstance(again, MapScorer)
    again.load_state_dict(scorer.state_dict())
    first, second = reference_answers(scorer, parts(4)), reference_answers(again, parts(4))
    np.testing.assert_allclose(first.score, second.score, rtol=1e-5)
    np.testing.assert_allclose(first.heatmap, second.heatmap, rtol=1e-5)


def test_held_out_loss_asks_the_same_question_and_changes_nothing(trained: MapLearner) -> None:
    frames = normalised(parts(16, seed=2))
    before = {name: value.clone() for name, value in trained.networks.state_dict().items()}
    assert trained.held_out_loss(frames) == trained.held_out_loss(frames)
    for name, value in trained.networks.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_same_seed_gives_the_same_weights() -> None:
    frames = normalised(parts(8))
    states = []
    for _ in range(2):
        made = learner(seed=3)
        losses = [made.step(frames, progress=0.0) for _ in range(3)]
        states.append((losses, made.networks.state_dict()))
    assert states[0][0] == states[1][0]
    for name, value in states[0][1].items():
        torch.testing.assert_close(value, states[1][1][name], rtol=0, atol=0)


def test_views_leave_the_running_statistics_alone() -> None:
    """Strongly altered frames teach identities; what a usual frame looks like is learned from usual frames alone."""
    made = learner()
    frames = normalised(parts(8))
    made.step(frames, progress=0.0)
    before = {name: value.clone() for name, value in made._trained.state_dict().items() if "running" in name}
    made._identity_losses(frames, WHOLE)
    made._view_losses(frames, WHOLE)
    after = made._trained.state_dict()
    assert before
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0)


@pytest.mark.parametrize(("side", "frames"), [(32, 64), (112, 41), (256, 8), (512, 8)])
def test_batch_fits_the_size_of_the_frames(side: int, frames: int) -> None:
    assert RECIPE.batch_size(Geometry(side, side, 1, 8, "GRAY")) == frames


def test_large_frames_are_small_at_first() -> None:
    """Work a step stays the same, or the plan made of minutes would not hold."""
    rng = np.random.default_rng(0)
    large, small = torch.rand(2, 1, 256, 192), torch.rand(2, 1, 112, 112)
    halved, window = _part(large, 0.2, rng)
    assert halved.shape == (8, 1, 128, 96)
    assert window == WHOLE
    torch.testing.assert_close(halved[:2], halved[6:])
    torch.testing.assert_close(_part(large, 0.6, rng)[0], large)
    torch.testing.assert_close(_part(small, 0.0, rng)[0], small)


@pytest.mark.parametrize("progress", [0.2, 0.6])
def test_frames_larger_than_a_window_are_learned_from_in_windows(progress: float) -> None:
    rng = np.random.default_rng(0)
    row = torch.arange(640.0)[None, None, :, None].expand(8, 1, 640, 1024)
    found = [_part(row, progress, rng) for _ in range(20)]
    assert {part.shape for part, _ in found} == {(8, 1, 256, 256)}
    assert len({window.top for _, window in found}) > 1
    for part, window in found:
        scale = 640.0 * window.height / 256.0
        assert scale == (2.0 if progress < 0.4 else 1.0)
        assert float(part[0, 0, 0, 0]) == pytest.approx(640.0 * window.top + (scale - 1.0) / 2.0)
        assert 0.0 <= window.left <= 1.0 - window.width


def test_the_same_place_is_the_same_to_the_encoders_seen_whole_or_in_a_window() -> None:
    torch.manual_seed(0)
    networks = RECIPE.networks(Geometry(512, 512, 1, 8, "GRAY")).eval()
    window = Window(top=0.25, left=0.5, height=0.5, width=0.5)
    with torch.no_grad():
        whole = networks.encoder1.positions[0](torch.zeros(1, 16, 128, 128))
        part = networks.encoder1.positions[0](torch.zeros(1, 16, 64, 64), window)
    torch.testing.assert_close(part, whole[:, :, 32:96, 64:], atol=1e-5, rtol=0)


def test_colour_and_16_bit_frames_train() -> None:
    geometry = Geometry(48, 32, 3, 16, "BGR")
    fabric = fabric_module.Fabric(accelerator="cpu", devices=1)
    made = RECIPE.learner(RECIPE.networks(geometry), geometry)
    made.setup(fabric)
    losses = made.step(torch.rand(4, 3, 48, 32) * 2 - 1, progress=0.0)
    assert {"damage/4", "damage/32", "contextual", "identity", "views"} <= set(losses)
    assert all(np.isfinite(value) for value in losses.values())
