"""A part of an image."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class CropBox(BaseModel):
    """A part of an image, in its pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    x: Annotated[int, Field(ge=0)]
    """Left edge."""
    y: Annotated[int, Field(ge=0)]
    """Top edge."""
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]

    def __str__(self) -> str:
        """For people: `512×400 at 100,50`."""
        return f"{self.width}×{self.height} at {self.x},{self.y}"
