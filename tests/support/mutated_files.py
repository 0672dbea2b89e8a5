"""Reads damaged files within limits: `python -m tests.support.mutated_files KIND FIRST COUNT FOLDER`.

Each file is written to FOLDER before it is read, so that the one that ends the process is left there. Prints a JSON
document: how many were read, rejected, and a line for each that was neither read plausibly nor rejected in one line.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np

from agent.core.errors import InspectdError
from agent.sources.opencv.video import VideoSource
from agent.sources.source import EndOfStream
from engines.errors import EngineError
from engines.images import read_image

# The largest image that is decoded has 600 MB (`engines.images.limits`); decoders hold it twice for a moment.
MAX_BYTES = 2 * 1024**3

# One core of a busy machine.
MAX_SECONDS = 30

FORMATS = {"image": (".png", ".jpg", ".bmp", ".webp", ".jp2"), "tiff": (".tif",)}


class TooLong(Exception):
    """A file took more than `MAX_SECONDS`."""


def originals(kind: str, folder: Path) -> dict[str, bytes]:
    """Whole files of a kind, by suffix and number."""
    if kind == "dicom":
        return {"0.dcm": _dicom(12), "1.dcm": _dicom(16)}
    if kind == "video":
        return {"0.avi": _video(folder)}
    images = _images()
    found = {}
    for suffix in FORMATS[kind]:
        for number, image in enumerate(images):
            if suffix == ".bmp" and image.dtype == np.uint16:
                continue
            if suffix in (".jpg", ".webp") and (image.dtype == np.uint16 or (suffix == ".webp" and image.ndim == 2)):
                continue
            encoded, data = cv2.imencode(suffix, image)
            assert encoded
            found[f"{number}{suffix}"] = data.tobytes()
    return found


def _images() -> list[Any]:
    rng = np.random.default_rng(1)
    gray = rng.integers(0, 256, (48, 64), np.uint8)
    smooth = cv2.GaussianBlur(gray, (9, 9), 3)
    return [smooth, smooth.astype(np.uint16) * 257, cv2.cvtColor(smooth, cv2.COLOR_GRAY2BGR), gray]


def _dicom(bits: int) -> bytes:
    import io

    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForProcessing
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    data.Rows, data.Columns, data.SamplesPerPixel, data.PixelRepresentation = 48, 64, 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, bits, bits - 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelData = (np.arange(48 * 64) % 2**bits).astype(np.uint16).tobytes()
    target = io.BytesIO()
    data.save_as(target, enforce_file_format=True)
    return target.getvalue()


def _video(folder: Path) -> bytes:
    path = folder / "whole.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for image in (_images()[2] for _ in range(8)):
        writer.write(image)
    writer.release()
    return path.read_bytes()


def mutate(data: bytes, rng: Random) -> tuple[bytes, bool]:
    """The file with one kind of damage; and whether it is only cut off."""
    damaged = bytearray(data)
    at, length = rng.randrange(len(data)), rng.randrange(1, 64)
    kind = rng.choice(("bits", "head", "cut", "cut", "number", "zeros", "insert", "remove", "repeat"))
    if kind == "cut":
        return data[:at], True
    if kind in ("bits", "head"):
        for _ in range(rng.randrange(1, 12)):
            damaged[rng.randrange(min(len(data), 200) if kind == "head" else len(data))] ^= 1 << rng.randrange(8)
    elif kind == "number":
        at = rng.randrange(min(len(data), 400))
        value = rng.choice((0, 1, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 100_000))
        damaged[at : at + 4] = value.to_bytes(4, rng.choice(("big", "little")))
    elif kind == "zeros":
        damaged[at : at + length] = bytes(length)
    elif kind == "insert":
        damaged[at:at] = rng.randbytes(length)
    elif kind == "remove":
        del damaged[at : at + length]
    else:
        damaged[at:at] = data[at : at + length]
    return bytes(damaged), False


def read_frames(path: Path) -> list[Any]:
    """The image of a file, or the frames of a video."""
    if path.suffix != ".avi":
        return [read_image(path)]
    source = VideoSource(path)
    frames: list[Any] = []
    source.open()
    try:
        with suppress(EndOfStream):
            while len(frames) < 1000:
                frames.append(source.read().image)
    finally:
        source.close()
    return frames


def fault_of(path: Path, whole: list[Any] | None, counts: dict[str, int]) -> str | None:
    """What is wrong with the way in which a file was read or rejected; None if nothing is.

    whole: the images of the undamaged file, if the file is only cut off; those that are read must be these.
    """
    try:
        frames = read_frames(path)
    except (InspectdError, EngineError) as error:
        counts["rejected"] += 1
        text = str(error)
        return None if text and "\n" not in text and path.name in text else f"rejected as {text!r}"
    counts["read"] += 1
    for frame in frames:
        if (
            frame.dtype not in (np.uint8, np.uint16)
            or frame.ndim != 3
            or frame.shape[2] not in (1, 3)
            or not frame.size
        ):
            return f"read as {frame.dtype} {frame.shape}"
    if whole is not None and path.suffix != ".avi" and not np.array_equal(frames[0], whole[0]):
        return "cut off, and read with other pixels"
    return None


def timed(call: Callable[[], str | None]) -> str | None:
    """The result of a call, or the exception that it must not raise."""

    def stop(*_: object) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(MAX_SECONDS)
    try:
        return call()
    except TooLong:
        return f"not read within {MAX_SECONDS} s"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


def main(kind: str, first: int, count: int, folder: Path) -> None:
    """Damage and read `count` files from seed `first` on."""
    whole = originals(kind, folder)
    frames = {}
    for name, data in whole.items():
        (folder / name).write_bytes(data)
        frames[name] = read_frames(folder / name)
    resource.setrlimit(resource.RLIMIT_DATA, (_used() + MAX_BYTES,) * 2)
    counts, faults = {"read": 0, "rejected": 0}, []
    for seed in range(first, first + count):
        rng = Random(f"{kind} {seed}")
        name = rng.choice(sorted(whole))
        data, cut = mutate(whole[name], rng)
        path = folder / f"{kind}-{seed}{Path(name).suffix}"
        path.write_bytes(data)
        begin = time.monotonic()
        fault = timed(lambda path=path, name=name, cut=cut: fault_of(path, frames[name] if cut else None, counts))
        if fault is None:
            path.unlink()
        else:
            faults.append(f"{path.name} of {name}: {fault}, {time.monotonic() - begin:.1f} s")
    print(json.dumps({**counts, "faults": faults}))


def _used() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
