"""What of a detector correction the manifest says; its maps are a file beside it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from engines.bundles.file_reading import Side


class Correction(BaseModel):
    """A dark-field and flat-field correction with a map of bad pixels, as `inspectd xray calibrate` makes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    detector: Annotated[str, Field(pattern=r"[0-9a-f]{16}")]
    """Identity of the first calibration. A renewed one keeps it, with the gray level: images stay comparable."""
    width: Side
    """Columns, pixels."""
    height: Side
    """Rows, pixels."""
    bit_depth: Annotated[int, Field(ge=8, le=16, multiple_of=8)]
    """Of the images: 8 or 16."""
    level: Annotated[float, Field(gt=0)]
    """Mean gray value of a flat image above the dark one, which corrected images keep."""
    made_at: str
    """UTC, ISO 8601."""
    bad_pixels: Annotated[int, Field(ge=0)]
    """Pixels that are replaced from their neighbours."""
    non_uniformity: Annotated[float, Field(ge=0)]
    """Standard deviation over mean of flat images that the maps were not made from, once corrected."""

    def __str__(self) -> str:
        """For people."""
        return (
            f"{self.width}×{self.height}, detector {self.detector}, {self.bad_pixels} bad pixels, "
            f"non-uniformity {self.non_uniformity:.2%}, of {self.made_at[:10]}"
        )
