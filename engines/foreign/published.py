"""Converts `netG.pth`, the weights that the authors' code of GANomaly saves, to a bundle with the same scores."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from errno import ENOENT
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engines.bundles import Bundle, check_replaceable
from engines.errors import EngineError
from engines.networks.ganomaly import Generator
from engines.progress import Progress
from engines.recipes.recipe import find_recipe
from engines.recipes.scorer import normalisation_of
from engines.training.good_frames import GoodFrames, load_good_frames, split
from engines.training.packing import pack
from engines.training.trained import LossHistory, TrainedModel

# Side of the coarsest feature map: the published networks halve square frames down to 4×4.
_SMALLEST = 4


def load_published(path: Path | str) -> tuple[Generator, int]:
    """Read the authors' `netG.pth`; returns the generator with its weights, and the epoch of the checkpoint.

    Only tensors are unpickled. The generator takes BGR, as all of inspectd does; the authors' takes RGB. Size, channels
    and filters follow from the weights. Raises EngineError if the file is anything else.
    """
    saved = _tensors(path)
    try:
        state: dict[str, Tensor] = {name.removeprefix("module."): value for name, value in saved["state_dict"].items()}
        generator = _generator_for(state)
        generator.load_state_dict(_rgb_to_bgr(state))
        return generator.eval(), int(saved.get("epoch", 0))
    except Exception as error:  # a missing key, a wrong shape: the same error for the caller
        reason = " ".join(str(error).split())[:200]
        raise EngineError(f"{path}: not a netG.pth of GANomaly ({reason})") from None


def bundle_published(weights: Path | str, normal: Path | str, out: Path | str, progress: Progress) -> Bundle:
    """Write a bundle of the published weights to `out`; nothing is trained.

    Scores are those of the authors' network in `eval()` mode, up to the rounding of all weights to half precision.
    `normal` is a folder of good images for the heatmap's scale, the reference frames and the report. Raises EngineError
    (not such weights), TrainingError (no images) or BundleError (cannot be written).
    """
    started, date = time.monotonic(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    generator, epoch = load_published(weights)
    check_replaceable(Path(out))
    side, channels, filters, latent = _shape_of(generator.state_dict())
    good = load_good_frames(normal, (side, side), letterbox=False)
    _check_images(good, channels, weights)
    trained_on, held_out = split(len(good.frames), seed=0)
    return pack(
        Path(out),
        TrainedModel(
            name=Path(out).stem,
            recipe=find_recipe("reference"),
            options={"latent": latent, "filters": filters},
            geometry=good.geometry,
            view=good.view,
            normalisation=normalisation_of(good.frames[trained_on]),
            networks=generator,
            train_frames=good.frames[trained_on],
            train_paths=tuple(good.paths[index] for index in trained_on),
            held_out_frames=good.frames[held_out],
            history=LossHistory(),
            date=date,
            seed=0,
            steps=0,
            kept_step=0,
            epochs=float(epoch),
            skipped=len(good.skipped),
            stopped="finished",
            warnings=(f"weights are those of {Path(weights).name}; nothing was trained", *good.warnings),
            elapsed=lambda: time.monotonic() - started,
        ),
        progress,
    )


def _tensors(path: Path | str) -> Any:
    """Load a file of tensors and plain values; nothing else is unpickled, so it cannot run code."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise EngineError(f"{path}: {'no such file' if error.errno == ENOENT else error.strerror or error}") from None
    except Exception:  # the unpickler raises all kinds
        raise EngineError(
            f"{path}: not a netG.pth of GANomaly (it holds no PyTorch tensors, or more than tensors)"
        ) from None


def _shape_of(state: dict[str, Any]) -> tuple[int, int, int, int]:
    """(side of the frames, channels, filters of the first layer, latent values) of the first encoder."""
    convolutions = [value for name, value in state.items() if name.startswith("encoder1.") and value.ndim == 4]
    filters, channels = convolutions[0].shape[:2]
    return _SMALLEST * 2 ** (len(convolutions) - 1), channels, filters, len(convolutions[-1])


def _generator_for(state: dict[str, Tensor]) -> Generator:
    if any("extra-layers" in name for name in state):
        raise ValueError("it has extra layers, wanted the paper's network")
    side, channels, filters, latent = _shape_of(state)
    return Generator(side, side, channels, latent, filters)


def _rgb_to_bgr(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Reverse the channels of the layers that read or write frames."""
    reversed_ = dict(state)
    for name, value in state.items():
        if ".main.initial-conv-" in name or name.startswith("decoder.main.final-"):
            reversed_[name] = value.flip(1)
    return reversed_


def _check_images(good: GoodFrames, channels: int, weights: Path | str) -> None:
    geometry = good.geometry
    if (geometry.channels, geometry.bit_depth) != (channels, 8):
        raise EngineError(
            f"the images are {geometry}; {Path(weights).name} wants {'gray' if channels == 1 else 'colour'}, 8 bit"
        )
