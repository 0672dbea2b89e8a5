"""DICOM images, if the `dicom` extra is installed: the stored values, 8 to 16 bits as the detector delivered them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from engines.errors import ImageError
from engines.images.formats.dicom_frame import check_data, check_frame
from engines.images.formats.numbering import check_number
from engines.images.formats.values import to_16_bits
from engines.images.limits import check_size

# Transfer syntax "Deflated Explicit VR Little Endian" (PS3.5, A.5), named in the first group: pydicom would unpack the
# whole file, of any size, before its head can be read.
_DEFLATED, _META_BYTES = b"1.2.840.10008.1.2.1.99", 4096


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Whatever is raised becomes an ImageError: pydicom and its codecs raise many kinds of errors for damaged files."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ImageError(f"{path}: truncated, damaged or unsupported DICOM ({reason})") from None


def dicom_frames(path: Path, file: BinaryIO) -> int:
    """The number of images in a DICOM file. Raises ImageError for one that cannot be read."""
    with _one_line(path):
        return _frames(path, file, _head(path, file))


def read_dicom(
    path: Path, file: BinaryIO, number: int | None, value_range: tuple[float, float] | None
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Image `number`, from 1, of a DICOM file, [H, W, 1] gray or [H, W, 3] BGR; ImageError if it cannot be read.

    Without a number, the file must hold one image. At most `MAX_PIXELS`. The stored values are kept: 12 bits stay 12
    bits. Windows for display (VOI) are ignored. Signed samples are shifted by half their range, and MONOCHROME1 (0 is
    white) is inverted: higher is brighter. With a rescale slope other than 1, the values that it gives count, by
    `to_16_bits`: stored values of other files may differ in scale. With a `value_range`, so they do with an intercept.
    """
    with _one_line(path):
        dataset = _head(path, file)
        frames = _frames(path, file, dataset)
        check_number(path, number, frames, "frames in one DICOM file")
        index = (number or 1) - 1
        slope, intercept = _rescale(path, dataset, index)
        check_frame(path, file, dataset, index, frames)
        from pydicom.pixels.utils import pixel_array

        pixels = pixel_array(file, index=index, raw=True)
        # An intercept that all images share changes nothing for a model; without a range, negative values had no place.
        if slope == 1.0 and (intercept == 0.0 or value_range is None):
            pixels = _unsigned(path, dataset, pixels)
        else:
            pixels = _rescaled(path, dataset, pixels.astype(np.float64) * slope + intercept, value_range)
        return _channels(path, dataset, pixels)


def _head(path: Path, file: BinaryIO) -> Any:
    """The dataset without its pixels; the file is then at the pixels."""
    try:
        import pydicom
    except ImportError:
        raise ImageError(
            f"{path}: a DICOM file, and pydicom is not installed (pip install 'inspectd[dicom]')"
        ) from None
    file.seek(0)
    if _DEFLATED in file.read(_META_BYTES):
        raise ImageError(f"{path}: a deflated DICOM file, wanted one that is not compressed as a whole")
    file.seek(0)
    return pydicom.dcmread(file, force=False, stop_before_pixels=True)


def _frames(path: Path, file: BinaryIO, dataset: Any) -> int:
    """The number of frames, of which the data are there."""
    check_size(path, int(dataset.Columns), int(dataset.Rows))
    frames = max(1, int(dataset.get("NumberOfFrames") or 1))
    check_data(path, file, dataset, frames)
    return frames


def _rescale(path: Path, dataset: Any, index: int) -> tuple[float, float]:
    """Slope and intercept of an image (PS3.3, C.11.1; in functional groups C.7.6.16.2.9): 1 and 0 where it has none."""
    if dataset.get("ModalityLUTSequence"):
        raise ImageError(f"{path}: a DICOM modality lookup table, wanted stored values or a rescale slope")
    for name, place in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", index)):
        groups = dataset.get(name) or ()
        transformation = groups[place].get("PixelValueTransformationSequence") if place < len(groups) else None
        if transformation:
            dataset = transformation[0]
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)


def _rescaled(
    path: Path, dataset: Any, values: NDArray[np.float64], value_range: tuple[float, float] | None
) -> NDArray[np.uint16]:
    pixels = to_16_bits(path, values, value_range)
    return 65535 - pixels if dataset.PhotometricInterpretation == "MONOCHROME1" else pixels


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
