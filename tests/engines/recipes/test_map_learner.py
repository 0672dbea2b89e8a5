"""Training of the default recipe: it learns to find anomalies, is reproducible, and takes every kind of frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")
fabric_module = pytest.importorskip("lightning_fabric", reason="training needs the train extra")

from engines.bundles.bundle import Geometry, Normalisation  # noqa: E402
from engines.networks.latent_maps import FULL_FRAME, MapGenerator  # noqa: E402
from engines.recipes.map_learner import MapLearner  # noqa: E402
from engines.recipes.map_scorer import latent_distances  # noqa: E402
from engines.recipes.synthetic_anomalies import IntensityRange, add_anomalies  # noqa: E402

GEOMETRY = Geometry(32, 32, 1, 8, "GRAY")
STEPS = 250


def parts(count: int, seed: int = 0) -> Any:
    """Normalised gray frames [N, 1, 32, 32]: a bright bar on a dark ground, slightly shifted, with noise."""
    rng = np.random.default_rng(seed)
    frames = rng.normal(60, 6, (count, 32, 32, 1))
    for frame in frames:
        left = int(rng.integers(10, 13))
        frame[6:26, left : left + 8] += 120
    return torch.from_numpy(frames.clip(0, 255).astype(np.uint8)).float().permute(0, 3, 1, 2) / 127.5 - 1


def new_learner(geometry: Geometry = GEOMETRY, seed: int = 0) -> MapLearner:
    fabric = fabric_module.Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    fabric.seed_everything(seed, verbose=False)
    learner = MapLearner(MapGenerator(geometry.channels), geometry)
    learner.setup(fabric)
    return learner


@pytest.fixture(scope="module")
def trained() -> MapLearner:
    learner = new_learner()
    frames = parts(128)
    for step in range(STEPS):
        learner.step(frames[torch.randint(0, 128, (24,))], progress=step / STEPS)
    return learner


def test_anomalies_have_larger_distances_on_unseen_frames(trained: MapLearner) -> None:
    rng = np.random.default_rng(5)
    good = parts(65, seed=9).permute(0, 2, 3, 1).numpy()
    intensities = IntensityRange(-1.0, 1.0, float(good.std()))
    anomalous, masks = zip(*(add_anomalies(rng, good[i], good[i + 1], intensities) for i in range(64)), strict=True)
    with torch.no_grad():
        latents = trained.networks.eval()(torch.from_numpy(np.stack(anomalous)).permute(0, 3, 1, 2))
    distance = latent_distances(latents)[0]
    hit = torch.nn.functional.max_pool2d(torch.from_numpy(np.stack(masks)).float()[:, None], 4)[:, 0] > 0
    assert float(distance[hit].mean()) > 1.5 * float(distance[~hit].mean())


def test_decoder_restores_the_clean_frame(trained: MapLearner) -> None:
    good = parts(32, seed=11)
    anomalous = good.clone()
    anomalous[:, :, 12:20, 12:20] = -1.0
    with torch.no_grad():
        reconstruction = trained.networks.eval()(anomalous).reconstruction[0]
    target, given = trained.networks.standardise(good), trained.networks.standardise(anomalous)
    there = (slice(None), slice(None), slice(12, 20), slice(12, 20))
    assert float((reconstruction - target)[there].abs().mean()) < 0.7 * float((given - target)[there].abs().mean())


def test_held_out_loss_is_the_same_every_time_and_changes_nothing(trained: MapLearner) -> None:
    frames = parts(16, seed=2)
    before = {name: value.clone() for name, value in trained.networks.state_dict().items()}
    assert trained.held_out(frames).loss == trained.held_out(frames).loss
    for name, value in trained.networks.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_same_seed_gives_the_same_weights() -> None:
    frames = parts(8)
    states = []
    for _ in range(2):
        learner = new_learner(seed=3)
        losses = [learner.step(frames, progress=0.0) for _ in range(3)]
        states.append((losses, learner.networks.state_dict()))
    assert states[0][0] == states[1][0]
    for name, value in states[0][1].items():
        torch.testing.assert_close(value, states[1][1][name], rtol=0, atol=0)


def test_views_do_not_change_the_running_statistics() -> None:
    """Views train the identity embedding; batch normalisation gets its statistics from ordinary frames alone."""
    learner = new_learner()
    frames = parts(8)
    learner.step(frames, progress=0.0)
    before = {name: value.clone() for name, value in learner._trained.state_dict().items() if "running" in name}
    learner._identity_losses(frames, FULL_FRAME)
    learner._view_losses(frames, FULL_FRAME)
    after = learner._trained.state_dict()
    assert before
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0)


def test_colour_and_16_bit_frames_train() -> None:
    learner = new_learner(Geometry(48, 32, 3, 16, "BGR"))
    losses = learner.step(torch.rand(4, 3, 48, 32) * 2 - 1, progress=0.0)
    assert {"anomaly/4", "anomaly/32", "contextual", "identity", "views"} <= set(losses)
    assert all(np.isfinite(value) for value in losses.values())


def test_padding_is_not_learned() -> None:
    """No place of it counts as good, and a step with it is finite."""
    frames = parts(16)
    frames[:, :, :8] = 96 / 127.5 - 1
    lengths = []
    for padded in (False, True):
        learner = new_learner()
        if padded:
            learner.leave_out_padding(96, Normalisation(low=0.0, high=255.0))
        assert all(np.isfinite(loss) for loss in learner.step(frames, progress=0.5).values())
        lengths.append(len(learner.held_out(frames).normal))
    # The finest map has 8×8 places a frame, two rows of which are padding.
    assert lengths[1] <= 16 * 48
    assert lengths[0] - lengths[1] > 16 * 8
