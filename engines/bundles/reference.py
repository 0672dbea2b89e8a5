"""The reference of a bundle: a few good frames, with the answers that every engine must reproduce."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.bundles.archive import ArchiveError, ArrayHead, read_archive
from engines.bundles.manifest import Manifest
from engines.errors import BundleError

Frames = NDArray[np.uint8] | NDArray[np.uint16]
"""Images of one geometry, [N, H, W, C]."""

# Training stores 8. An engine scores them in one batch, so many of them are an attack on its memory.
MAX_REFERENCE_FRAMES = 64


@dataclass(frozen=True, slots=True)
class Reference:
    """A few good frames with the scores and heatmaps that an engine must reproduce."""

    frames: Frames
    """[N, H, W, C]."""
    score: NDArray[np.float32]
    """[N]."""
    heatmap: NDArray[np.float32]
    """[N, h, w]."""


def reference_archive(reference: Reference) -> bytes:
    """Reference frames as the bytes of a compressed `.npz`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, frames=reference.frames, score=reference.score, heatmap=reference.heatmap)
    return buffer.getvalue()


def parse_reference(path: Path, data: bytes, manifest: Manifest) -> Reference:
    """The reference in the bytes of `path`; BundleError, one line, if it does not fit the manifest.

    Shapes and types are compared before anything is unpacked.
    """

    def check(heads: Mapping[str, ArrayHead]) -> None:
        frames = heads["frames"].shape
        count = frames[0] if frames else 0
        geometry = manifest.geometry
        wanted = {
            "frames": ArrayHead((count, *geometry.shape), geometry.dtype),
            "score": ArrayHead((count,), np.dtype(np.float32)),
            "heatmap": ArrayHead((count, *manifest.heatmap_shape), np.dtype(np.float32)),
        }
        if heads != wanted or not 0 < count <= MAX_REFERENCE_FRAMES:
            limit = f"with 1 to {MAX_REFERENCE_FRAMES} frames"
            raise BundleError(f"{path}: holds {_describe(heads)}, wanted {_describe(wanted)} {limit}")

    try:
        arrays = read_archive(data, check)
    except ArchiveError as error:
        raise BundleError(f"{path}: not a set of reference frames ({error})") from None
    reference = Reference(**arrays)
    if not (np.isfinite(reference.score).all() and np.isfinite(reference.heatmap).all()):
        raise BundleError(f"{path}: holds scores that are not finite")
    return reference


def _describe(heads: Mapping[str, ArrayHead]) -> str:
    return ", ".join(f"{name[:20]} {head.dtype} {head.shape}" for name, head in list(heads.items())[:4])
