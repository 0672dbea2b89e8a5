"""The maps of a detector correction, and the file that they are kept in."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.spatial import cKDTree

from engines.bundles import ArchiveError, Correction, read_archive
from engines.errors import ImageError
from engines.images.limits import MAX_PIXELS

# How far a bad pixel may be from the pixels that replace it. Wider clusters would hide a defect.
MOST_DISTANCE = 8.0

# A bad pixel is the mean of so many good ones, weighted by distance: two on each side of a dead row.
_NEIGHBOURS = 4

# Two maps of 32 bits, one of 8.
_MAX_BYTES = 9 * MAX_PIXELS + 2**16


@dataclass(frozen=True, slots=True)
class CorrectionMaps:
    """A correction: `(image - offset) * gain + base`, then bad pixels from their neighbours."""

    about: Correction
    offset: NDArray[np.float32]
    """Mean of the dark images, [H, W]."""
    gain: NDArray[np.float32]
    """[H, W]."""
    base: float
    """0, or the dark level of a detector whose values fall with the exposure."""
    bad: NDArray[np.bool_]
    """[H, W]."""
    neighbours: NDArray[np.intp]
    """Of each bad pixel, indices of good ones: [K, N]."""
    weights: NDArray[np.float32]
    """Theirs, [K, N]; each row adds up to 1."""

    @classmethod
    def of(
        cls,
        about: Correction,
        offset: NDArray[np.float32],
        gain: NDArray[np.float32],
        base: float,
        bad: NDArray[np.bool_],
    ) -> CorrectionMaps:
        """The maps with the neighbours of the bad pixels. ImageError for a cluster of more than `MOST_DISTANCE`."""
        return cls(about, offset, gain, base, bad, *_neighbours(bad))


def _neighbours(bad: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    places = np.argwhere(bad)
    if not len(places):
        return np.zeros((0, _NEIGHBOURS), np.intp), np.zeros((0, _NEIGHBOURS), np.float32)
    good = np.argwhere(~bad)
    count = min(_NEIGHBOURS, len(good))
    distances, found = cKDTree(good).query(places, k=np.arange(1, count + 1))
    worst = int(distances[:, -1].argmax())
    if distances[worst, -1] > MOST_DISTANCE:
        y, x = places[worst]
        raise ImageError(
            f"the bad pixels around {x},{y} are further than {MOST_DISTANCE:g} pixels from good ones: they cannot be "
            "replaced"
        )
    weights = 1.0 / distances
    weights /= weights.sum(axis=1, keepdims=True)
    indices = np.ravel_multi_index(tuple(good[found].transpose(2, 0, 1)), bad.shape)
    return indices, weights.astype(np.float32)


def pack_correction(maps: CorrectionMaps) -> bytes:
    """The file of a correction, an archive of arrays."""
    buffer = io.BytesIO()
    about = np.frombuffer(maps.about.model_dump_json().encode(), np.uint8)
    arrays = {"about": about, "offset": maps.offset, "gain": maps.gain, "bad": maps.bad, "base": np.float32(maps.base)}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_correction(path: Path) -> CorrectionMaps:
    """Read the file of a correction. Raises ImageError, one line, for any other file."""
    try:
        arrays = read_archive(path.read_bytes(), lambda heads: None, max_bytes=_MAX_BYTES)
        about = Correction.model_validate_json(arrays["about"].tobytes())
        return _checked(path, about, arrays)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ArchiveError, ValidationError, KeyError, ValueError) as error:
        reason = error if isinstance(error, ArchiveError) else "damaged, or another file"
        raise ImageError(f"{path}: no detector correction ({reason}); inspectd xray calibrate makes one") from None


def _checked(path: Path, about: Correction, arrays: Mapping[str, NDArray[np.generic]]) -> CorrectionMaps:
    shape = about.height, about.width
    offset, gain, bad = arrays["offset"], arrays["gain"], arrays["bad"]
    wanted = {"offset": np.float32, "gain": np.float32, "bad": np.bool_}
    for name, kind in wanted.items():
        if arrays[name].shape != shape or arrays[name].dtype != kind:
            raise ImageError(f"{path}: the map {name} is {arrays[name].shape}, wanted {shape}")
    if not (np.isfinite(offset).all() and np.isfinite(gain).all()):
        raise ImageError(f"{path}: some values of its maps are no numbers")
    return CorrectionMaps.of(
        about, offset.astype(np.float32), gain.astype(np.float32), float(arrays["base"].item()), bad.astype(np.bool_)
    )
