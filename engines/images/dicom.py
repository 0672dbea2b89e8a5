"""DICOM images, if the `dicom` extra is installed: the stored values, 12 or 16 bits as the detector delivered them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engines.errors import ImageError


def read_dicom(path: Path, data: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode a single-frame DICOM file, [H, W, 1] gray or [H, W, 3] BGR; ImageError for anything else.

    Signed samples are shifted by half their range, and MONOCHROME1 (0 is white) is inverted: higher is brighter.
    """
    try:
        import pydicom
    except ImportError:
        raise ImageError(
            f"{path}: a DICOM file, and pydicom is not installed (pip install 'inspectd[dicom]')"
        ) from None
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=False)
        pixels = dataset.pixel_array
    except Exception as error:  # pydicom and its codecs raise many kinds of errors for damaged files
        raise ImageError(f"{path}: truncated, damaged or unsupported DICOM ({' '.join(str(error).split())})") from None
    if int(getattr(dataset, "NumberOfFrames", None) or 1) > 1:
        raise ImageError(f"{path}: {dataset.NumberOfFrames} frames in one DICOM file, wanted one")
    return _channels(path, dataset, _unsigned(path, dataset, pixels))


def _unsigned(path: Path, dataset: Any, pixels: Any) -> Any:
    bits = int(dataset.BitsStored)
    if pixels.dtype.kind == "i":
        pixels = pixels.astype(np.int32) + 2 ** (bits - 1)
    if pixels.dtype.kind not in "iu" or bits > 16:
        raise ImageError(f"{path}: DICOM samples are {pixels.dtype}, wanted 8 to 16 bits of integers")
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = 2**bits - 1 - pixels.astype(np.int32)
    return pixels.astype(np.uint8 if bits <= 8 else np.uint16)


def _channels(path: Path, dataset: Any, pixels: Any) -> NDArray[np.uint8] | NDArray[np.uint16]:
    if pixels.ndim == 2:
        return cast("NDArray[np.uint8]", pixels[:, :, None])
    if pixels.ndim == 3 and pixels.shape[2] == 3 and dataset.PhotometricInterpretation == "RGB":
        return cast("NDArray[np.uint8]", np.ascontiguousarray(pixels[:, :, ::-1]))
    raise ImageError(f"{path}: DICOM {dataset.PhotometricInterpretation} of shape {pixels.shape}, wanted gray or RGB")
