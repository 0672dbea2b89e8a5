"""What lists share: filters from the query of a request, and tables for spreadsheets."""

from __future__ import annotations

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


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
