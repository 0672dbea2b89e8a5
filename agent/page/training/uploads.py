"""Images of good parts that people send: their size, number and kind are limited, and their names are ours."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from agent.core.errors import Permanent

# A lossless image of a camera with 20 megapixels, 16 bits.
MAX_FILE_BYTES = 64 * 2**20

MAX_FILES = 10_000
MAX_ALL_BYTES = 4 * 2**30

# The agent's own files are more important.
LEAST_FREE_BYTES = 1 * 2**30

# Without anything from the browser for so long, it is gone.
CHUNK_SECONDS = 20.0

_AT_ONCE = 4

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
    (b"BM", ".bmp"),
)

NAME = re.compile(r"[0-9a-f]{32}\.(png|jpg|tif|bmp)\Z")


class TooMuch(Permanent):
    """An upload exceeds a limit."""


class Uploads:
    """The folder of the images."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = 0

    def names(self) -> list[str]:
        """All images, by name."""
        try:
            return sorted(entry.name for entry in os.scandir(self._folder) if NAME.match(entry.name))
        except FileNotFoundError:
            return []

    def path(self, name: str) -> Path | None:
        """Where an image is; None for a name that none has."""
        path = self._folder / name
        return path if NAME.match(name) and path.is_file() else None

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def receive(self, chunks: AsyncIterator[bytes]) -> str:
        """Keep one image; returns its name, the same for the same content.

        Raises TooMuch for one that exceeds a limit, Permanent for anything that is no image or cannot be written.
        """
        if self._running >= _AT_ONCE:
            raise TooMuch("too many uploads at once; send them one after the other")
        self._running += 1
        partial = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            await asyncio.to_thread(self._make_room)
            return await self._write(chunks, partial)
        except OSError as error:
            raise Permanent(f"{self._folder}: {error.strerror}") from None
        finally:
            self._running -= 1
            partial.unlink(missing_ok=True)

    async def _write(self, chunks: AsyncIterator[bytes], partial: Path) -> str:
        digest, length, start = hashlib.sha256(), 0, b""
        with partial.open("xb", buffering=0) as file:
            while (chunk := await _next(chunks)) is not None:
                length += len(chunk)
                if length > MAX_FILE_BYTES:
                    raise TooMuch(f"the file is larger than {MAX_FILE_BYTES >> 20} MiB")
                start = (start + chunk[:8])[:8] if len(start) < 8 else start
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        suffix = next((suffix for begin, suffix in _STARTS if start.startswith(begin)), None)
        if suffix is None:
            raise Permanent("the file is no image; wanted PNG, JPEG, TIFF or BMP")
        name = f"{digest.hexdigest()[:32]}{suffix}"
        partial.replace(self._folder / name)
        return name

    def _make_room(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sizes = [entry.stat().st_size for entry in os.scandir(self._folder)]
        if len(sizes) >= MAX_FILES or sum(sizes) + MAX_FILE_BYTES > MAX_ALL_BYTES:
            raise TooMuch(f"wanted {MAX_FILES} files and {MAX_ALL_BYTES >> 30} GiB at most; remove the uploads first")
        if shutil.disk_usage(self._folder).free < LEAST_FREE_BYTES + MAX_FILE_BYTES:
            raise TooMuch(f"{self._folder}: less than {LEAST_FREE_BYTES >> 30} GiB would be left on the disk")


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await asyncio.wait_for(chunks.__anext__(), CHUNK_SECONDS)
    except StopAsyncIteration:
        return None
    except asyncio.TimeoutError:
        raise Permanent("the upload took too long") from None
