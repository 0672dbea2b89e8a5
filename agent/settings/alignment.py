"""The section `alignment` of a camera or a product: how far parts may lie from their taught place."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent.core.section import Section


class AlignmentSettings(Section):
    """Limits of the search for parts. None: that of the bundle, which has the taught image."""

    max_shift_pixels: Annotated[float, Field(ge=0.0, lt=2**16)] | None = None
    max_angle_degrees: Annotated[float, Field(ge=0.0, le=180.0)] | None = None
    least_match: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Correlation with the taught image, 0 to 1, below which there is no part."""
