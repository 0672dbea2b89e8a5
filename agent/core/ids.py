"""Ids of alarms and events."""

from __future__ import annotations

import hashlib
import uuid

import uuid_utils

from agent.core.records import FileVersion


def new_id() -> str:
    """A new UUIDv7: unique, and later ids sort after earlier ones."""
    return str(uuid_utils.uuid7())


def file_id(site: str, camera: str, file: FileVersion) -> str:
    """The UUIDv7 of a frame from a file: the same each time this version of the file is read, after a restart too.

    The time in it is that of the file, limited to 48 bits of milliseconds; the other 74 bits are a hash of site, camera
    and version (RFC 9562, section 5.7).

    >>> file_id("plant", "line1", FileVersion("part_1.png", size=4096, modified_ns=1_700_000_000_000_000_000))
    '018bcfe5-6800-7843-89c8-866b8e61ab85'
    """
    about = (site, camera, file.name, str(file.size), str(file.modified_ns), str(file.frame))
    digest = hashlib.sha256("\0".join(about).encode("utf-8", "surrogateescape")).digest()
    milliseconds = min(max(file.modified_ns // 1_000_000, 0), 2**48 - 1)
    bits = int.from_bytes(digest[:10], "big")
    version_and_rand_a = 7 << 12 | (bits >> 62) & 0xFFF
    variant_and_rand_b = 0b10 << 62 | bits & (2**62 - 1)
    return str(uuid.UUID(int=milliseconds << 80 | version_and_rand_a << 64 | variant_and_rand_b))
