"""DICOM images for tests, and DCMTK's programs that send them."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UID_ROOT = "1.2.826.0.1.3680043.10.999.7"

_DIGITAL_XRAY = "1.2.840.10008.5.1.4.1.1.1.1.1"


def write_image(path: Path, values: NDArray[np.uint16] | None = None, *, number: int, **attributes: str) -> Path:
    """Write a digital X-ray image [H, W], 12 bits, whose SOP Instance UID ends with `number`; its path."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    pixels = np.full((48, 64), 100 + number, np.uint16) if values is None else values
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _DIGITAL_XRAY
    meta.MediaStorageSOPInstanceUID = f"{UID_ROOT}.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = _DIGITAL_XRAY, f"{UID_ROOT}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{UID_ROOT}.100", f"{UID_ROOT}.200"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Casting", "C1", "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = pixels.astype("<u2").tobytes()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def send(port: int, file: Path, *options: str, title: str = "XRAY1") -> subprocess.CompletedProcess[str]:
    """Send a file by storescu; options are those of the program."""
    command = ["storescu", "-aet", title, "-aec", "INSPECTD", *options, "127.0.0.1", str(port), str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def cut_after(port: int, most_bytes: int) -> Iterator[int]:
    """A port that leads to another one, and cuts the connection once a sender has sent so many bytes."""

    def answer(receiver: socket.socket, sender: socket.socket) -> None:
        with suppress(OSError):
            while data := receiver.recv(65536):
                sender.sendall(data)

    def relay() -> None:
        sender, _ = server.accept()
        with sender, socket.create_connection(("127.0.0.1", port)) as receiver:
            back = threading.Thread(target=answer, args=(receiver, sender), daemon=True)
            back.start()
            left = most_bytes
            while left > 0 and (data := sender.recv(min(left, 65536))):
                receiver.sendall(data)
                left -= len(data)
            for each in (receiver, sender):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            back.join(60)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        thread.join(60)
