"""Which product a camera inspects: on the disk, so that it is the same after a restart."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from agent.core.durable_file import disk_reason, replace_file
from agent.core.errors import Temporary

log = logging.getLogger(__name__)

_FILE = "product.json"


def stored_product(directory: Path) -> str | None:
    """The product that was named last, from the directory of the camera; None where none was."""
    try:
        name = json.loads((directory / _FILE).read_text())["product"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s cannot be read (%s): the product of the settings is inspected", directory / _FILE, error)
        return None
    return name if isinstance(name, str) else None


def store_product(directory: Path, name: str) -> None:
    """Remember the product. Raises Temporary where the disk does not take it."""
    try:
        replace_file(directory / _FILE, json.dumps({"product": name}).encode())
    except OSError as error:
        reason = disk_reason(error, directory)
        raise Temporary(f"product {name!r} is not taken over: {directory / _FILE}: {reason}") from None
