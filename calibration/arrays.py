"""Named arrays, as which the parts of an unfinished window are kept over a restart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def with_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return the arrays with `prefix` and a dot before their names."""
    return {f"{prefix}.{name}": values for name, values in arrays.items()}


def of_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return the arrays whose names have this prefix, without it.

    >>> of_prefix("heat", with_prefix("heat", {"cell": np.array(2)}))
    {'cell': array(2)}
    """
    start = f"{prefix}."
    return {name.removeprefix(start): values for name, values in arrays.items() if name.startswith(start)}


def from_document(document: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return a JSON document as an array of its bytes."""
    return np.frombuffer(json.dumps(document).encode(), np.uint8)


def to_document(values: NDArray[Any]) -> dict[str, Any]:
    """Return the JSON document of `from_document`.

    >>> to_document(from_document({"frames": 3}))
    {'frames': 3}
    """
    document = json.loads(values.tobytes())
    if not isinstance(document, dict):
        raise TypeError(f"got a document of type {type(document).__name__}, wanted an object")
    return document


def stacked(images: list[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays of one shape as one array; float32 [0] without any."""
    return np.stack(images) if images else np.zeros(0, np.float32)
