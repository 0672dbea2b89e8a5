"""Training of the published GANomaly: both updates, and the discriminator that is initialised again."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")
fabric_module = pytest.importorskip("lightning_fabric", reason="training needs the train extra")

from engines.bundles.bundle import Geometry  # noqa: E402
from engines.recipes.reference import ReferenceLearner, ReferenceRecipe  # noqa: E402

GEOMETRY = Geometry(32, 32, 1, 8, "GRAY")


def new_learner(seed: int = 0) -> ReferenceLearner:
    fabric = fabric_module.Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    fabric.seed_everything(seed, verbose=False)
    recipe = ReferenceRecipe()
    learner = recipe.learner(recipe.networks(GEOMETRY, filters=8, latent=16), GEOMETRY)
    learner.setup(fabric)
    return learner


def frames(count: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_step_updates_generator_and_discriminator() -> None:
    learner = new_learner()
    modules = learner.networks, learner.discriminator
    before = [[weights.detach().clone() for weights in module.parameters()] for module in modules]
    losses = learner.step(frames(), progress=0.0)
    assert set(losses) == {"adversarial", "contextual", "encoder", "discriminator"}
    for module, old in zip(modules, before, strict=True):
        assert not any(torch.equal(new, weights) for new, weights in zip(module.parameters(), old, strict=True))


def test_contextual_loss_falls() -> None:
    learner = new_learner()
    bar = torch.full((16, 1, 32, 32), -0.8)
    bar[..., 10:20] = 0.8
    losses = [learner.step(bar + 0.05 * frames(16), progress=0.0)["contextual"] for _ in range(40)]
    assert losses[-1] < 0.9 * losses[0]


def test_discriminator_is_initialised_again_once_its_loss_is_almost_zero() -> None:
    """It learns to classify rows and columns; its last layer is then enlarged to save two thousand more updates."""
    learner = new_learner()
    stripes = torch.full((4, 1, 32, 32), -0.8)
    stripes[:, :, ::4], stripes[:, :, 1::4] = 0.8, 0.8
    real, generated = stripes + 0.05 * frames(4), stripes.transpose(2, 3) + 0.05 * frames(4, seed=1)
    losses = [learner._update_discriminator(real, generated) for _ in range(200)]
    assert losses[-1] < 0.01
    assert learner.restarts == 0
    last = learner.discriminator.classifier[0].weight
    with torch.no_grad():
        last.mul_(4.0)
    assert learner._update_discriminator(real, generated) < 1e-5
    assert learner.restarts == 1
    assert float(last.detach().std()) == pytest.approx(0.02, rel=0.3)
    assert learner._update_discriminator(real, generated) > 0.1


def test_held_out_loss_repeats_and_changes_no_weight() -> None:
    learner = new_learner()
    learner.step(frames(), progress=0.0)
    before = {name: value.clone() for name, value in learner.networks.state_dict().items()}
    assert learner.held_out(frames(seed=2)).loss == learner.held_out(frames(seed=2)).loss
    for name, value in learner.networks.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
