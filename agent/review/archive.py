"""The review of an agent that need not run: read from its state directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent.review.database import ReviewDatabase
from agent.review.folders import ReviewFolders
from agent.review.journal import Journal


@contextmanager
def open_archive(folders: ReviewFolders) -> Iterator[Journal]:
    """The alarms, read only. Raises Permanent or Temporary where they cannot be read."""
    database = ReviewDatabase(folders.database, read_only=True)
    try:
        yield Journal(database)
    finally:
        database.close()
