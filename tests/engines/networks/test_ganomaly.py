"""The published networks: names, shapes, initialisation, statistics."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="networks need the train extra")

from engines.errors import TrainingError  # noqa: E402
from engines.networks.ganomaly import Discriminator, Generator, recompute_batch_norm  # noqa: E402

# Shapes of the authors' generator at 32 pixels, 3 channels (their options' defaults), read from their code.
PUBLISHED_ENCODER = {
    "initial-conv-3-64.weight": (64, 3, 4, 4),
    "pyramid-64-128-conv.weight": (128, 64, 4, 4),
    "pyramid-128-batchnorm.weight": (128,),
    "pyramid-128-batchnorm.bias": (128,),
    "pyramid-128-batchnorm.running_mean": (128,),
    "pyramid-128-batchnorm.running_var": (128,),
    "pyramid-128-batchnorm.num_batches_tracked": (),
    "pyramid-128-256-conv.weight": (256, 128, 4, 4),
    "pyramid-256-batchnorm.weight": (256,),
    "pyramid-256-batchnorm.bias": (256,),
    "pyramid-256-batchnorm.running_mean": (256,),
    "pyramid-256-batchnorm.running_var": (256,),
    "pyramid-256-batchnorm.num_batches_tracked": (),
    "final-256-1-conv.weight": (100, 256, 4, 4),
}
PUBLISHED_DECODER_WEIGHTS = {
    "initial-100-256-convt.weight": (100, 256, 4, 4),
    "initial-256-batchnorm.weight": (256,),
    "pyramid-256-128-convt.weight": (256, 128, 4, 4),
    "pyramid-128-batchnorm.weight": (128,),
    "pyramid-128-64-convt.weight": (128, 64, 4, 4),
    "pyramid-64-batchnorm.weight": (64,),
    "final-64-3-convt.weight": (64, 3, 4, 4),
}


def shapes(state: dict, prefix: str) -> dict[str, tuple[int, ...]]:
    return {name[len(prefix) :]: tuple(value.shape) for name, value in state.items() if name.startswith(prefix)}


def test_generator_has_the_published_names_and_shapes() -> None:
    state = Generator(32, 32, 3).state_dict()
    assert shapes(state, "encoder1.main.") == PUBLISHED_ENCODER
    assert shapes(state, "encoder2.main.") == PUBLISHED_ENCODER
    decoder = {name: shape for name, shape in shapes(state, "decoder.main.").items() if name.endswith(".weight")}
    assert decoder == PUBLISHED_DECODER_WEIGHTS


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(16, 16, 1), (32, 32, 3), (48, 80, 1), (64, 96, 3), (112, 112, 1), (144, 16, 1)]
)
def test_generator_keeps_the_size_of_frames(height: int, width: int, channels: int) -> None:
    generator = Generator(height, width, channels, latent=10, filters=4)
    frames = torch.rand(2, channels, height, width) * 2 - 1
    reconstruction, latent, reconstruction_latent = generator(frames)
    assert reconstruction.shape == frames.shape
    assert latent.shape == reconstruction_latent.shape == (2, 10, 1, 1)
    assert reconstruction.abs().max() <= 1
    probability, features = Discriminator(height, width, channels, filters=4)(frames)
    assert probability.shape == (2,)
    assert ((probability > 0) & (probability < 1)).all()
    assert features.ndim == 4


@pytest.mark.parametrize("size", [(8, 8), (40, 32), (0, 16), (32, 100)])
def test_size_that_is_no_multiple_of_16_is_rejected(size: tuple[int, int]) -> None:
    with pytest.raises(TrainingError, match="wanted multiples of 16, at least 16"):
        Generator(*size, 1)


def test_weights_are_initialised_as_in_the_paper() -> None:
    torch.manual_seed(0)
    generator = Generator(32, 32, 3)
    convolution = generator.encoder1.main.get_submodule("pyramid-128-256-conv").weight
    normalisation = generator.encoder1.main.get_submodule("pyramid-256-batchnorm")
    assert convolution.mean().item() == pytest.approx(0, abs=2e-4)
    assert convolution.std().item() == pytest.approx(0.02, rel=0.02)
    assert normalisation.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert normalisation.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert (normalisation.bias == 0).all()


def test_recomputed_statistics_are_those_of_the_frames() -> None:
    """In eval mode the network then computes the same as in training mode on the same batch."""
    torch.manual_seed(0)
    generator = Generator(16, 16, 1, latent=8, filters=8)
    frames = torch.rand(64, 1, 16, 16) * 2 - 1
    recompute_batch_norm(generator, [frames])
    assert not generator.training
    with torch.no_grad():
        in_eval = generator(frames)[0]
        in_training = generator.train()(frames)[0]
    assert torch.allclose(in_eval, in_training, atol=0.02)
    assert all(module.momentum == 0.1 for module in generator.modules() if isinstance(module, torch.nn.BatchNorm2d))
