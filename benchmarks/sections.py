"""A result of two sections that are measured by themselves: the first one, and the one from the first `##` on."""

from __future__ import annotations

from pathlib import Path


def write_section(result: Path, text: str) -> None:
    """Replace the section that `text` is, and keep the other one."""
    first, mark, second = result.read_text(encoding="utf-8").partition("\n## ")
    if text.startswith("## "):
        result.write_text(f"{first}\n{text}", encoding="utf-8")
    else:
        result.write_text(text + mark + second, encoding="utf-8")
