"""The section `[cameras.NAME.parts.code]`: the code that gives a part its id."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from agent.core.crop import Crop
from agent.core.section import Section

# Names of zxing-cpp.
CODE_FORMATS = (
    "Aztec",
    "Codabar",
    "Code39",
    "Code93",
    "Code128",
    "DataBar",
    "DataMatrix",
    "EAN8",
    "EAN13",
    "ITF",
    "MicroQRCode",
    "PDF417",
    "QRCode",
    "RMQRCode",
    "UPCA",
    "UPCE",
)


def _known(formats: tuple[str, ...]) -> tuple[str, ...]:
    if not formats or not set(formats) <= set(CODE_FORMATS):
        raise ValueError(f"wanted some of {', '.join(CODE_FORMATS)}")
    return formats


class CodeSettings(Section):
    """Where the code of a part is, and which kinds of codes there may be."""

    region: Crop
    """The part of the source image that is searched, pixels. A whole image would take too long."""
    formats: Annotated[tuple[str, ...], AfterValidator(_known)] = ("DataMatrix", "QRCode", "Code128")
    """Kinds of codes."""
