"""The type of progress callbacks for long tasks."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with the fraction done, 0 to 1, and the current step in a few words."""
