"""The default networks: shapes at every size, few weights, independence of the batch, and positions."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="networks need the train extra")

from engines.networks.latent_maps import IDENTITY, WIDTHS, FrameCrop, MapGenerator  # noqa: E402


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 32), (112, 112), (96, 160), (256, 256)])
def test_latent_maps_have_strides_4_to_32(height: int, width: int) -> None:
    networks = MapGenerator(1).eval()
    with torch.no_grad():
        latents = networks(torch.zeros(2, 1, height, width))
    for level, (frame, reconstruction) in enumerate(zip(latents.of_frame, latents.of_reconstruction, strict=True)):
        stride = 4 << level
        assert frame.shape == reconstruction.shape == (2, WIDTHS[level], -(-height // stride), -(-width // stride))
    assert latents.reconstruction[0].shape == (2, 1, height, width)
    assert latents.identity.shape == latents.reconstruction_identity.shape == (2, IDENTITY)


def test_identity_embeddings_are_unit_vectors() -> None:
    networks = MapGenerator(3).eval()
    with torch.no_grad():
        identity = networks.embed_identity(torch.randn(4, 3, 64, 64))
    torch.testing.assert_close(identity.norm(dim=1), torch.ones(4), atol=1e-3, rtol=0)


def test_weights_fit_a_bundle_of_5_mb() -> None:
    """FP32 graph, FP16 graph and the PyTorch weights: ten bytes a weight."""
    assert sum(weight.numel() for weight in MapGenerator(1).parameters()) <= 700_000


def test_latents_are_the_same_alone_and_in_a_batch() -> None:
    torch.manual_seed(0)
    networks, frames = MapGenerator(1).eval(), torch.randn(3, 1, 48, 48)
    with torch.no_grad():
        together, alone = networks(frames), networks(frames[1:2])
    torch.testing.assert_close(together.of_frame[0][1:2], alone.of_frame[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        together.reconstruction_identity[1:2], alone.reconstruction_identity, atol=1e-5, rtol=1e-4
    )


def test_standardise_uses_the_scale_of_good_frames() -> None:
    networks = MapGenerator(1)
    networks.centre.fill_(0.5)
    networks.spread.fill_(0.25)
    torch.testing.assert_close(networks.standardise(torch.full((1, 1, 16, 16), 1.0)), torch.full((1, 1, 16, 16), 2.0))


def test_decoder_sees_the_bottlenecks_only() -> None:
    """Fine features must not reach the reconstruction directly, or anomalies would be copied into it."""
    torch.manual_seed(0)
    networks = MapGenerator(1).eval()
    with torch.no_grad():
        features = networks.encoder1.features(torch.randn(1, 1, 64, 64))
        before = networks.decoder(features)
        changed = [torch.randn_like(features[0]), torch.randn_like(features[1]), *features[2:]]
        torch.testing.assert_close(networks.decoder(changed), before)
        changed = [*features[:2], torch.randn_like(features[2]), features[3]]
        assert not torch.allclose(networks.decoder(changed), before)


def test_latents_depend_on_the_position_in_the_frame() -> None:
    """The same surroundings in two places give different latents; only so can a missing hole be found."""
    torch.manual_seed(0)
    networks = MapGenerator(1).eval()
    with torch.no_grad():
        finest = networks.encode(torch.zeros(1, 1, 256, 256))[0]
    assert float((finest[..., 20, 20] - finest[..., 40, 44]).abs().max()) > 1e-3


def test_half_keeps_stem_and_identity_embeddings_in_float32() -> None:
    torch.manual_seed(0)
    networks = MapGenerator(1).eval()
    networks.centre.fill_(0.1234567)
    half = copy.deepcopy(networks).half()
    assert half.encoder1.stages[1][0][0].weight.dtype == torch.float16
    with torch.no_grad():
        wanted, got = (
            each(torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))) for each in (networks, half)
        )
    assert got.stem.dtype == got.identity.dtype == torch.float32
    assert got.of_frame[0].dtype == torch.float16
    torch.testing.assert_close(got.stem, wanted.stem, rtol=0, atol=0)
    torch.testing.assert_close(got.of_frame[0].float(), wanted.of_frame[0], rtol=0.02, atol=0.02)


def test_positions_are_the_same_in_the_full_frame_and_in_a_crop() -> None:
    torch.manual_seed(0)
    encoding = MapGenerator(1).eval().encoder1.positions[0]
    crop = FrameCrop(top=0.25, left=0.5, height=0.5, width=0.5)
    with torch.no_grad():
        full = encoding(torch.zeros(1, 16, 128, 128))
        part = encoding(torch.zeros(1, 16, 64, 64), crop)
    torch.testing.assert_close(part, full[:, :, 32:96, 64:], atol=1e-5, rtol=0)
