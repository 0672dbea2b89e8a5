"""What lists share: filters from the query of a request, tables for spreadsheets, and the images beside the rows."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from agent.page.server.requests import Rejected

# A program that opens the list would take such a cell for a formula.
_FORMULA = re.compile(r"^[=+\-@\t\r]")

# Longest sides of thumbnails, pixels.
_SIDES = (240, 480)

# Headers of an image that never changes. It is of a plant's parts: only this browser may keep it.
KEPT_BY_BROWSER = {"cache-control": "private, max-age=3600, immutable"}


def filters_of(request: Request, known: Mapping[str, type]) -> dict[str, Any]:
    """The fields of a command that the query of a request gives. Raises Rejected where one is not of its type."""
    given: dict[str, Any] = {}
    for key, kind in known.items():
        text = request.query_params.get(key)
        if text:
            try:
                given[key] = kind(text)
            except ValueError:
                raise Rejected(400, f"{key}: wanted a number") from None
    return given


def table_of(name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Response:
    """A file `name` of comma-separated values, as spreadsheets read it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response("\ufeff" + text.getvalue(), headers=headers, media_type="text/csv; charset=utf-8")


def side_of(request: Request) -> int | None:
    """The longest side of a wanted thumbnail; None: the image as it is. Raises Rejected for another size."""
    text = request.query_params.get("side")
    side = int(text) if text is not None and text.isdecimal() else None
    if text is not None and side not in _SIDES:
        raise Rejected(400, f"side: wanted {' or '.join(map(str, _SIDES))}, or none")
    return side


def image_of(result: Mapping[str, Any]) -> tuple[str, bytes]:
    """Media type and bytes of an image that a command returned."""
    return str(result["media_type"]), base64.b64decode(result["base64"])


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
