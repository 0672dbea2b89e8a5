"""The settings file as text: read in one place, so that its limits and its encoding are those of every program."""

from __future__ import annotations

from pathlib import Path

from agent.core.errors import Permanent

# The example with every setting has 19 KB. What is longer is another file, or a device that never ends.
MAX_BYTES = 2**20


def toml_text(path: Path, example: str) -> str:
    """The text of a settings file, UTF-8, without the byte order mark that Windows editors put before it.

    `example` is the file that shows every setting. Raises Permanent, one line, if it cannot be read, is no text or is
    longer than `MAX_BYTES`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror}; wanted a settings file, see {example}") from None
    if len(data) > MAX_BYTES:
        raise Permanent(f"{path}: longer than 1 MiB; wanted a settings file, see {example}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Permanent(f"{path}: not a text file in UTF-8; wanted TOML, see {example}") from None
