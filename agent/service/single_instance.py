"""One agent per place: two at one place of a broker's topics would disconnect each other, and overwrite each other's
status.
"""

from __future__ import annotations

import errno
import hashlib
import socket

from agent.core.errors import Permanent
from agent.settings import Settings


def places_of(settings: Settings) -> list[str]:
    """What no two agents may share, one line for each output that has such a place. Raises Permanent.

    >>> camera = {"bundle": "x", "source": {"kind": "simulator"}}
    >>> places_of(Settings(site="plant", mqtt={"url": "mqtt://localhost"}, cameras={"line1": camera}))
    ['127.0.0.1:1883 topics inspectd/plant']
    """
    places = (section.place(settings.site) for section in settings.output_sections.values())
    return [place for place in places if place is not None]


class SingleInstance:
    """Held by a service while it runs; released with its process, however that ends.

    A name in Linux's abstract socket namespace for each place: services of different users see it, and no file is left.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises Permanent where another service on this machine holds one of the places."""
        self._held: list[socket.socket] = []
        for place in places_of(settings):
            self._hold(place, settings.site)

    def _hold(self, place: str, site: str) -> None:
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._held.append(held)
        try:
            held.bind(f"\0inspectd-{hashlib.sha256(place.encode()).hexdigest()[:32]}")
        except OSError as error:
            self.release()
            if error.errno != errno.EADDRINUSE:
                raise
            raise Permanent(
                f"site {site!r}: another inspectd service of this machine has it ({place}); "
                f'wanted a site of its own for each instance, such as site = "{site}-2"'
            ) from None

    def release(self) -> None:
        """Release every place."""
        for held in self._held:
            held.close()
