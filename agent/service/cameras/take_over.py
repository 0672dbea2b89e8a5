"""Puts a model that was trained from the page in place of a camera's bundle, and puts the earlier one back."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from agent.core.errors import InspectdError, Permanent
from agent.core.training_folder import TrainingFolder, previous_of
from agent.inspection import CameraLine
from agent.settings import Settings
from engines.bundles import Bundle, copy_bundle, load_trusted_keys, read_bundle
from engines.errors import EngineError

log = logging.getLogger(__name__)


class TakeOver:
    """Replaces bundles under the paths of the settings, which stay as they are. Any thread may call."""

    def __init__(self, settings: Settings, reload: Callable[[], object]) -> None:
        """`reload`: loads changed bundles; raises, and changes nothing, where one cannot be used."""
        self._trained = TrainingFolder.of(settings.state_directory).bundle
        self._trusted = load_trusted_keys(settings.trusted_keys)
        self._reload = reload
        self._lock = threading.Lock()

    def __call__(self, line: CameraLine, sha256: str | None) -> None:
        """Put the trained bundle in place of the one that a camera inspects with, which is kept as `previous_of`.

        `sha256`: of the trained bundle; None: put the previous one back.

        Raises Permanent or EngineError, with the earlier bundle in place and in force, where the bundle is another than
        `sha256`, is not signed although signatures are wanted, cannot be written, or cannot be used by the camera.
        """
        target = line.settings.bundle
        source = previous_of(target) if sha256 is None else self._trained
        staging = target.with_name(f".{target.name}.taken")
        with self._lock:
            try:
                new = self._staged(source, staging, sha256)
                old = copy_bundle(read_bundle(target), previous_of(target))
                copy_bundle(new, target)
                self._load(old, target)
            except OSError as error:
                raise Permanent(
                    f"{target.parent}: {error.strerror}; wanted a folder that the agent can write"
                ) from None
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        log.info("camera %s: took over %s, %s…", line.name, target.name, new.sha256[:12])

    def _staged(self, source: Path, staging: Path, sha256: str | None) -> Bundle:
        """A copy that nobody else writes, verified."""
        found = read_bundle(source)
        if sha256 is not None and found.sha256 != sha256:
            raise Permanent("the trained model is another one than the one that was looked at; load the page again")
        copy_bundle(found, staging)
        return read_bundle(staging, trusted=self._trusted)

    def _load(self, old: Bundle, target: Path) -> None:
        try:
            self._reload()
        except (InspectdError, EngineError):
            copy_bundle(old, target)
            raise
