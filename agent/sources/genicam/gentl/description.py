"""The description of a camera's features, an XML document: in the camera itself, or a file beside the producer."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from agent.core.errors import Permanent
from agent.sources.genicam.gentl.library import Library

# URL_INFO_URL, and PORT_INFO_PORTNAME.
_URL, _PORT_NAME = 0, 12

# A description is a few hundred kilobytes, mostly compressed.
_MOST_BYTES = 64 * 2**20


def read_description(library: Library, port: int) -> tuple[str, str]:
    """The document, and what it calls the port. Raises Permanent where it cannot be had, GentlError."""
    url = library.info("GCGetPortURLInfo", port, 0, _URL)
    name = library.info("GCGetPortInfo", port, _PORT_NAME) or "Device"
    scheme, _, rest = str(url or "").partition(":")
    if scheme.lower() == "local":
        data = _from_camera(library, port, rest)
    elif scheme.lower() == "file":
        data = _from_file(str(url))
    else:
        raise Permanent(f"the camera describes its features at {url!r}, wanted local: or file:")
    return _unpacked(data), str(name)


def _from_camera(library: Library, port: int, place: str) -> bytes:
    """By `///name.zip;address;length?SchemaVersion=…`, numbers in hexadecimal."""
    try:
        _, address, length = place.partition("?")[0].split(";")
        start, size = int(address, 16), int(length, 16)
    except ValueError:
        raise Permanent(f"the camera describes its features at local:{place}, wanted name;address;length") from None
    if size > _MOST_BYTES:
        raise Permanent(f"the description of the camera has {size} bytes, wanted at most {_MOST_BYTES}")
    return library.read(port, start, size)


def _from_file(url: str) -> bytes:
    path = Path(unquote(urlsplit(url).path))
    try:
        return path.read_bytes()
    except OSError as error:
        raise Permanent(f"the description of the camera, {path}, cannot be read: {error.strerror}") from None


def _unpacked(data: bytes) -> str:
    """The document; the only file of an archive."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            first = archive.infolist()[0]
            if first.file_size > _MOST_BYTES:
                raise Permanent(f"the description of the camera has {first.file_size} bytes unpacked")
            data = archive.read(first)
    return data.decode("utf-8", errors="replace").rstrip("\0")
