"""One agent per state directory, and one service per place: two agents at one place in a broker's topic tree would
disconnect each other, and each would overwrite the other's status.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.core.errors import InspectdError, Permanent
from agent.settings import SERVICE_SETTINGS, Settings, load_settings

log = logging.getLogger(__name__)


def places_of(settings: Settings) -> list[str]:
    """The places that no two agents may share, one line for each output that has one. Raises Permanent.

    >>> camera = {"bundle": "x", "source": {"kind": "simulator"}}
    >>> places_of(Settings(site="plant", mqtt={"url": "mqtt://localhost"}, cameras={"line1": camera}))
    ['127.0.0.1:1883 topics inspectd/plant']
    """
    places = (section.place(settings.site) for section in settings.output_sections.values())
    return [place for place in places if place is not None]


class DirectoryLock:
    """Locks the state directory until its process ends, however it ends.

    Without it a second agent would repair the outbox and delete the images of the first one.
    """

    def __init__(self, directory: Path) -> None:
        """Raises Permanent where another agent uses the directory."""
        path = directory / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise Permanent(
                f"{directory}: another agent uses this state directory; stop it, or set another state_directory"
            ) from None
        except OSError as error:
            # Some network file systems have no locks. There the control socket alone keeps a second agent out.
            log.warning("%s cannot be locked: %s", path, error.strerror)

    def release(self) -> None:
        """Let another agent use the directory; the file stays."""
        self._file.close()


class SingleInstance:
    """Reserves the places of a service until its process ends, however it ends.

    Each place is a name in Linux's abstract socket namespace: services of other users see it, and no file is left over.
    Any local user can take such a name, so a taken one alone does not keep a service from starting: the settings of
    another service, which root writes, must have the same place.
    """

    def __init__(self, settings: Settings, settings_folder: Path = SERVICE_SETTINGS) -> None:
        """`settings_folder`: holds the settings of all services. Raises Permanent where another one has a place."""
        self._sockets: list[socket.socket] = []
        self.unexplained: list[str] = []
        """A line for each place that is taken although the settings of no other service have it."""
        for place in places_of(settings):
            if not self._reserve(place):
                self._find_holder(place, settings, settings_folder)

    def _reserve(self, place: str) -> bool:
        """Whether the place was free."""
        reserved = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            reserved.bind(f"\0inspectd-{hashlib.sha256(place.encode()).hexdigest()[:32]}")
        except OSError:
            reserved.close()
            return False
        self._sockets.append(reserved)
        return True

    def _find_holder(self, place: str, settings: Settings, folder: Path) -> None:
        site = settings.site
        wanted = f'wanted another site for each instance, such as site = "{site}-2"'
        for name, others in _other_services(settings, folder):
            if place in places_of(others):
                self.release()
                raise Permanent(
                    f"site {site!r}: another inspectd service on this machine uses it ({name}, {place}); {wanted}"
                )
        self.unexplained.append(
            f"site {site!r}: another program on this machine has reserved it ({place}). If that is an agent, the two "
            f"disconnect each other; {wanted}"
        )

    def release(self) -> None:
        """Release every place."""
        for reserved in self._sockets:
            reserved.close()


def _other_services(settings: Settings, folder: Path) -> Iterator[tuple[str, Settings]]:
    """The other services of this machine by name; without those whose settings are broken, which do not start."""
    for file in sorted(folder.glob("*.toml")):
        with suppress(InspectdError):
            others = load_settings(file)
            if others.state_directory != settings.state_directory:
                yield file.stem, others
