"""One service per place: two agents at one place in a broker's topic tree would disconnect each other, and each would
overwrite the other's status.
"""

from __future__ import annotations

import errno
import hashlib
import socket

from agent.core.errors import Permanent
from agent.settings import Settings


def places_of(settings: Settings) -> list[str]:
    """The places that no two agents may share, one line for each output that has one. Raises Permanent.

    >>> camera = {"bundle": "x", "source": {"kind": "simulator"}}
    >>> places_of(Settings(site="plant", mqtt={"url": "mqtt://localhost"}, cameras={"line1": camera}))
    ['127.0.0.1:1883 topics inspectd/plant']
    """
    places = (section.place(settings.site) for section in settings.output_sections.values())
    return [place for place in places if place is not None]


class SingleInstance:
    """Reserves the places of a service until its process ends, however it ends.

    Each place is a name in Linux's abstract socket namespace: services of other users see it, and no file is left over.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises Permanent where another service on this machine has reserved one of the places."""
        self._sockets: list[socket.socket] = []
        for place in places_of(settings):
            self._reserve(place, settings.site)

    def _reserve(self, place: str, site: str) -> None:
        reserved = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sockets.append(reserved)
        try:
            reserved.bind(f"\0inspectd-{hashlib.sha256(place.encode()).hexdigest()[:32]}")
        except OSError as error:
            self.release()
            if error.errno != errno.EADDRINUSE:
                raise
            raise Permanent(
                f"site {site!r}: another inspectd service on this machine uses it ({place}); "
                f'wanted another site for each instance, such as site = "{site}-2"'
            ) from None

    def release(self) -> None:
        """Release every place."""
        for reserved in self._sockets:
            reserved.close()
