"""The largest image that is decoded."""

from __future__ import annotations

from pathlib import Path

from engines.errors import ImageError

# A PNG of 854 kB decodes to 850 million pixels and takes 1.9 GB. The largest common area sensors have 65 million pixels
# (GMAX3265); with 3 samples of 16 bits this limit is 600 MB.
MAX_PIXELS = 100_000_000


def check_size(path: Path, width: int, height: int) -> None:
    """Raise ImageError if an image has no pixels, or more than `MAX_PIXELS`."""
    if width < 1 or height < 1:
        raise ImageError(f"{path}: {width}×{height} pixels, wanted at least one; truncated or damaged")
    if width * height > MAX_PIXELS:
        raise ImageError(f"{path}: {width}×{height} pixels, wanted at most {MAX_PIXELS // 1_000_000} million")
