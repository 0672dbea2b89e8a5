"""Ids of alarms and events."""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """A new UUIDv7: unique, and later ids sort after earlier ones."""
    return str(uuid_utils.uuid7())
