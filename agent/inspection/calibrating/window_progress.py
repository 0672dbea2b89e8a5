"""How far a window is filled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowProgress:
    """How far a window is filled."""

    frames: int
    """Good frames so far."""
    target: int
    """Good frames wanted; may grow where a certificate is required."""
