"""Keeps the exposure and the gain that a camera had when it was armed: the threshold holds for these."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from agent.core.durable_file import replace_file
from agent.sources.genicam.camera import LIGHTS, Light
from agent.sources.genicam.settings import GenicamSettings

log = logging.getLogger(__name__)


class HeldLight:
    """A small file in the camera's directory; to let the camera adjust itself again, remove it.

    It counts for one camera and one choice of automatic controls. A disk error is logged: the camera then adjusts
    itself after the next start, until it is armed.
    """

    def __init__(self, path: Path, settings: GenicamSettings) -> None:
        """Args: path: of the JSON document."""
        self._path = path
        self.automatic: list[Light] = [light for light, name in LIGHTS.items() if getattr(settings, name) == "auto"]
        """What the settings leave to the camera until it is armed."""
        self._camera = settings.camera
        self.values = self._load()
        """What was held, in the camera's units; empty before it was armed."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to the camera."""
        return set(self.values) == set(self.automatic)

    def hold(self, values: dict[Light, float]) -> None:
        """Keep these from now on."""
        self.values = dict(values)
        try:
            replace_file(self._path, json.dumps({"camera": self._camera, **values}).encode() + b"\n")
        except OSError as error:
            log.warning("camera %s: its exposure cannot be kept: %s: %s", self._camera, self._path, error.strerror)

    def _load(self) -> dict[Light, float]:
        if not self.automatic:
            return {}
        try:
            document = json.loads(self._path.read_bytes())
            if document.pop("camera") != self._camera or set(document) != set(self.automatic):
                return {}
            return {light: float(document[light]) for light in self.automatic}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s cannot be read (%s): the camera adjusts its exposure until it is armed", self._path, error)
            return {}
