"""The part of the image that is inspected."""

from __future__ import annotations

from pydantic import (
    NonNegativeInt,
    PositiveInt,
)

from agent.core.section import Section


class Crop(Section):
    """The part of the image that is inspected, in pixels of the source image."""

    x: NonNegativeInt
    y: NonNegativeInt
    width: PositiveInt
    height: PositiveInt
