"""Bytes as a line of text for the manifest: packed by zlib, then base64."""

from __future__ import annotations

import base64
import binascii
import zlib


def pack_bytes(data: bytes) -> str:
    """Bytes as text.

    >>> unpack_bytes(pack_bytes(b"1234"), 4, "the mask")
    b'1234'
    """
    return base64.b64encode(zlib.compress(data, 9)).decode()


def unpack_bytes(text: str, size: int, name: str) -> bytes:
    """Exactly `size` bytes; ValueError, about `name`, for anything else. No more is unpacked, whatever the text holds.

    >>> unpack_bytes("oh", 4, "the mask")
    Traceback (most recent call last):
    ValueError: the mask is damaged, wanted 4 bytes
    """
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, zlib.error, ValueError):
        data = b""
    if len(data) != size:
        raise ValueError(f"{name} is damaged, wanted {size} bytes")
    return data
