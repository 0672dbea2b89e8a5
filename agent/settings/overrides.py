"""Settings from the command line: `--set mqtt.url=mqtt://broker:1883`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from agent.core.errors import Permanent
from agent.core.secrets import redacted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["parse_overrides", "tomllib"]


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Nested as in the file. A value is TOML or else plain text. Raises Permanent if an override is not KEY=VALUE.

    >>> parse_overrides(["mqtt.url=mqtt://broker:1883", "cameras.line1.calibration.frames=500"])
    {'mqtt': {'url': 'mqtt://broker:1883'}, 'cameras': {'line1': {'calibration': {'frames': 500}}}}
    """
    result: dict[str, Any] = {}
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise Permanent(f"--set {redacted(text)}: wanted KEY=VALUE, such as mqtt.url=mqtt://broker:1883")
        *sections, last = key.strip().split(".")
        target = result
        for section in sections:
            target = target.setdefault(section, {})
        target[last] = _toml_value(value.strip())
    return result


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
