"""File names as documents and log lines can carry them."""

from __future__ import annotations

import os


def printable(name: str) -> str:
    """A name as text that JSON can carry: bytes that are not UTF-8 become U+FFFD.

    >>> printable("part-\\udce4.png")
    'part-\\ufffd.png'
    """
    return os.fsencode(name).decode("utf-8", "replace")


def one_line(text: str) -> str:
    """Text with every character escaped that is not printable, such as a line break in a file name.

    >>> one_line("a\\nb.png: not an image")
    'a\\\\nb.png: not an image'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
