"""DICOM images, if the `dicom` extra is installed: the stored values, 12 or 16 bits as the detector delivered them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engines.errors import ImageError
from engines.images.limits import check_size

# Transfer syntax "Deflated Explicit VR Little Endian" (PS3.5, A.5), named in the first group: pydicom would unpack the
# whole file, of any size, before its head can be read.
_DEFLATED, _META_BYTES = b"1.2.840.10008.1.2.1.99", 4096


def read_dicom(path: Path, data: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode a single-frame DICOM file, [H, W, 1] gray or [H, W, 3] BGR; ImageError for anything else.

    At most `MAX_PIXELS`. The stored values are kept: 12 bits stay 12 bits, a rescale slope other than 1 is rejected.
    Signed samples are shifted by half their range, and MONOCHROME1 (0 is white) is inverted: higher is brighter.
    """
    try:
        import pydicom
    except ImportError:
        raise ImageError(
            f"{path}: a DICOM file, and pydicom is not installed (pip install 'inspectd[dicom]')"
        ) from None
    if _DEFLATED in data[:_META_BYTES]:
        raise ImageError(f"{path}: a deflated DICOM file, wanted one that is not compressed as a whole")
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=False)
        _check_head(path, dataset)
        pixels = dataset.pixel_array
    except ImageError:
        raise
    except Exception as error:  # pydicom and its codecs raise many kinds of errors for damaged files
        raise ImageError(f"{path}: truncated, damaged or unsupported DICOM ({' '.join(str(error).split())})") from None
    return _channels(path, dataset, _unsigned(path, dataset, pixels))


def _check_head(path: Path, dataset: Any) -> None:
    """Reject before decoding: too many pixels, several frames, gray values that are scaled differently in each file."""
    if int(getattr(dataset, "NumberOfFrames", None) or 1) > 1:
        raise ImageError(f"{path}: {dataset.NumberOfFrames} frames in one DICOM file, wanted one")
    check_size(path, int(dataset.Columns), int(dataset.Rows))
    slope = float(getattr(dataset, "RescaleSlope", None) or 1)
    if slope != 1:
        raise ImageError(
            f"{path}: DICOM rescale slope {slope:g}, wanted 1: stored values of other files differ in scale"
        )


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
