"""The files of the page: read once at the start, so that no request reaches the disk."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

STATIC = Path(__file__).parents[1] / "static"
TRANSLATIONS = Path(__file__).parents[1] / "translations"

_TYPES = {".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".webmanifest": "application/manifest+json"}


# The module that the page begins with, and those that a module imports.
_ENTRY = re.compile(rb'<script src="([^"]+)" type="module">')
_IMPORT = re.compile(rb'^import .* from "(\.[^"]+)";', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file in memory."""

    content: bytes
    media_type: str
    tag: str
    """Changes with the content, for the browser's cache."""


class PageFiles:
    """Every file of the page by its path, such as `/live/chart.js`. Other paths do not exist."""

    def __init__(self, *more: Path) -> None:
        """`more`: folders of another page with its own `static` and `translations`; what they have goes first."""
        self._files: dict[str, PageFile] = {}
        for folder in (STATIC, *(each / "static" for each in more)):
            self._files.update({f"/{path.relative_to(folder).as_posix()}": _load(path) for path in _below(folder)})
        for language in languages():
            texts = [each / f"{language}.json" for each in (TRANSLATIONS, *(each / "translations" for each in more))]
            self._files[f"/translations/{language}.json"] = _texts(texts)
        self._files["/"] = self._with_preloads(self._files.pop("/index.html"))

    def _with_preloads(self, index: PageFile) -> PageFile:
        """Names every module at once: else the browser learns of each from the one that imports it, four in a row."""
        found = _ENTRY.findall(index.content)
        for path in found:
            names = _IMPORT.findall(self._files[path.decode()].content)
            paths = (posixpath.normpath(posixpath.join(posixpath.dirname(path), name)) for name in names)
            found += [each for each in paths if each not in found]
        links = [b'<link rel="modulepreload" href="%s">' % path for path in found]
        links.append(b'<link rel="preload" href="/translations/en.json" as="fetch" crossorigin>')
        return _file(index.content.replace(b"</head>", b"\n".join([*links, b"</head>"])), index.media_type)

    async def respond(self, request: Request) -> Response:
        """The file, or 304 where the browser has it."""
        found = self._files.get(request.url.path)
        if found is None:
            return Response("not found\n", 404, media_type="text/plain")
        # A new release of the page is seen at once: the browser asks each time, and gets 304.
        headers = {"etag": found.tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == found.tag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, headers={**headers, "content-type": found.media_type})


def languages() -> list[str]:
    """The languages that the page has texts in."""
    return sorted(path.stem for path in TRANSLATIONS.glob("*.json"))


def _below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]


def _load(path: Path) -> PageFile:
    content = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if media_type in ("text/html", "text/css", "application/json"):
        media_type += "; charset=utf-8"
    return _file(content, media_type)


def _texts(paths: list[Path]) -> PageFile:
    """The texts of one language, from all files that there are."""
    found: dict[str, str] = {}
    for path in paths:
        found.update(json.loads(path.read_text("utf-8")) if path.is_file() else {})
    return _file(json.dumps(found, ensure_ascii=False).encode(), "application/json; charset=utf-8")


def _file(content: bytes, media_type: str) -> PageFile:
    return PageFile(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
