"""Text from outside, such as names of files and senders, on its way into a log line or onto a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with escapes for line breaks, control characters and characters that change the direction of writing.

    With such a character in its name, a sender could forge a log line, and a file could change a terminal's settings.

    >>> printable("part_1.png"), printable("a\\nb"), printable("\\x1b[2J"), printable("größe")
    ('part_1.png', 'a\\\\nb', '\\\\x1b[2J', 'größe')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
