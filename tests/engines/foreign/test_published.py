"""Weights of the authors' code: loaded without running any of it, and a bundle with their scores."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="published weights need the train extra")

from engines.errors import EngineError  # noqa: E402
from engines.foreign.published import bundle_published, load_published  # noqa: E402
from engines.networks.ganomaly import Generator, recompute_batch_norm  # noqa: E402
from engines.runtime.opening import open_engine  # noqa: E402


def authors_generator(channels: int = 1, side: int = 32) -> Generator:
    """A generator with statistics of its own, as a trained one has."""
    torch.manual_seed(1)
    generator = Generator(side, side, channels, latent=20, filters=8)
    recompute_batch_norm(generator, [torch.rand(16, channels, side, side) * 2 - 1])
    return generator.eval()


def saved(folder: Path, state: object, epoch: int = 7) -> Path:
    path = folder / "netG.pth"
    torch.save({"epoch": epoch, "state_dict": state}, path)
    return path


def images(folder: Path, channels: int, count: int = 12) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        image = rng.integers(0, 256, (32, 32, channels)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index:02d}.png"), image)
    return folder


def authors_scores(generator: Generator, frames: np.ndarray) -> np.ndarray:
    """As in the authors' test: RGB in -1 … 1, mean squared difference of the latent vectors."""
    rgb = torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    with torch.inference_mode():
        _, latent, reconstruction_latent = generator(rgb)
    return (latent - reconstruction_latent).square().flatten(1).mean(1).numpy()


def test_bundle_of_published_weights_gives_their_scores(tmp_path: Path) -> None:
    """In colour, where the order of the channels matters."""
    weights = saved(tmp_path, authors_generator(channels=3).state_dict())
    bundle = bundle_published(weights, images(tmp_path / "good", 3), tmp_path / "x.bundle", lambda *_: None)
    assert bundle.manifest.training.epochs == 7
    assert "nothing was trained" in bundle.manifest.training.warnings[0]
    frames = bundle.reference().frames
    with open_engine(bundle, "onnxruntime") as engine:
        got = engine.score(frames).score
    np.testing.assert_allclose(got, authors_scores(authors_generator(channels=3), frames), rtol=5e-3)


def test_size_and_filters_follow_from_the_weights(tmp_path: Path) -> None:
    """Saved from a data-parallel wrapper, every name starts with `module.`."""
    state = {f"module.{name}": value for name, value in authors_generator(side=64).state_dict().items()}
    generator, epoch = load_published(saved(tmp_path, state, epoch=3))
    frames = torch.rand(3, 1, 64, 64)
    assert epoch == 3
    for got, wanted in zip(generator(frames), authors_generator(side=64)(frames), strict=True):
        assert torch.equal(got, wanted)


def test_weights_without_a_layer_are_rejected_in_one_line(tmp_path: Path) -> None:
    state = authors_generator().state_dict()
    del state["decoder.main.final-8-1-convt.weight"]
    with pytest.raises(EngineError, match=r"not a netG\.pth of GANomaly") as caught:
        load_published(saved(tmp_path, state))
    assert "\n" not in str(caught.value)


def test_network_with_extra_layers_is_rejected(tmp_path: Path) -> None:
    state = {**authors_generator().state_dict(), "encoder1.main.extra-layers-0-8-conv.weight": torch.zeros(8, 8, 3, 3)}
    with pytest.raises(EngineError, match="extra layers"):
        load_published(saved(tmp_path, state))


def test_colour_images_for_a_gray_network_are_rejected(tmp_path: Path) -> None:
    weights = saved(tmp_path, authors_generator(channels=1).state_dict())
    with pytest.raises(EngineError, match=r"the images are 32×32 BGR, 8 bit; netG.pth wants gray, 8 bit"):
        bundle_published(weights, images(tmp_path / "good", 3), tmp_path / "x.bundle", lambda *_: None)
    assert not (tmp_path / "x.bundle").exists()


class Intruder:
    """Pickles to a call of mkdir."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_published_weights_cannot_run_code(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not a netG"):
        load_published(saved(tmp_path, Intruder(tmp_path / "intruded")))
    assert not (tmp_path / "intruded").exists()


def test_text_file_is_rejected_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "netG.pth").write_text("root:x:0:0\n" * 40)
    with pytest.raises(EngineError, match=r"netG\.pth: not a netG\.pth of GANomaly \(it holds no PyTorch tensors"):
        load_published(tmp_path / "netG.pth")


def test_published_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no such file"):
        load_published(tmp_path / "nowhere.pth")
