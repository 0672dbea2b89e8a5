"""How image files are read that do not themselves say what their values mean."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Side = Annotated[int, Field(ge=1, lt=2**16)]


class RawFormat(BaseModel):
    """Files of pixels without a head that describes them, as X-ray detectors write them: gray, row by row."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    width: Side
    """Columns, pixels."""
    height: Side
    """Rows, pixels."""
    bits: Annotated[int, Field(ge=8, le=32)] = 16
    """8 to 16 are whole numbers in one byte, or in two from 9 on; 32 is IEEE 754 float."""
    byte_order: Literal["little", "big"] = "little"
    header_bytes: Annotated[int, Field(ge=0, lt=2**30)] = 0
    """Bytes before the first pixel."""
    frames: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Images in each file, one behind the other."""

    @field_validator("bits")
    @classmethod
    def _known_bits(cls, bits: int) -> int:
        if 16 < bits < 32:
            raise ValueError("wanted 8 to 16, or 32 for float")
        return bits

    @property
    def sample_bytes(self) -> int:
        """Bytes of a pixel."""
        return 4 if self.bits == 32 else 2 if self.bits > 8 else 1

    @property
    def file_bytes(self) -> int:
        """Bytes of a whole file."""
        return self.header_bytes + self.frames * self.width * self.height * self.sample_bytes

    def __str__(self) -> str:
        """For people: `1024×1024, 16 bit little-endian after 512 bytes`."""
        order = "" if self.sample_bytes == 1 else f" {self.byte_order}-endian"
        head = f" after {self.header_bytes} bytes" if self.header_bytes else ""
        frames = f", {self.frames} frames" if self.frames > 1 else ""
        return f"{self.width}×{self.height}, {self.bits} bit{order}{head}{frames}"


class FileReading(BaseModel):
    """What a person says about the image files of a detector."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    raw: RawFormat | None = None
    """Of files with the suffix .raw; None: there are none."""
    value_range: tuple[float, float] | None = None
    """Of values that are no whole numbers of 16 bits (float TIFF, DICOM with a rescale slope, raw float): the first
    becomes 0, the second 65535, and what lies beyond becomes the nearer of them. None: such files are rejected."""

    @model_validator(mode="after")
    def _rising(self) -> FileReading:
        if self.value_range is None:
            return self
        low, high = self.value_range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"value_range is [{low:g}, {high:g}], wanted a lower and a higher number")
        return self
