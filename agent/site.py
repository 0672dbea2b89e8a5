"""One agent a site: two of them on one broker would throw each other out, and publish over each other's status."""

from __future__ import annotations

import errno
import hashlib
import socket
from collections.abc import Sequence

from agent.broker import Broker
from agent.errors import Permanent
from agent.settings import Settings


def places_of(settings: Settings) -> Sequence[str]:
    """What an agent has for itself at its broker: its name as a client, and its topics. Raises Permanent for no broker.

    Both follow from its place in the topic tree, so that agents of one site may stand at several.

    >>> camera = {"bundle": "x", "source": {"kind": "simulator"}}
    >>> places_of(Settings(site="plant", mqtt={"url": "mqtt://localhost"}, cameras={"line1": camera}))
    ('127.0.0.1:1883 client inspectd-plant', '127.0.0.1:1883 topics inspectd/plant')
    """
    broker = Broker(settings.mqtt.url)
    host = "127.0.0.1" if broker.host in ("localhost", "::1") else broker.host
    return (
        f"{host}:{broker.port} client {settings.topics.client_id}",
        f"{host}:{broker.port} topics {settings.topics.base}",
    )


class SiteClaim:
    """Held by a service for as long as it runs; gone with its process, however that ends.

    Names in Linux's abstract socket namespace: services of different users see them, and no file is left behind.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises Permanent where another service of this machine has the site."""
        self._sockets: list[socket.socket] = []
        for place in places_of(settings):
            self._claim(place, settings.site)

    def release(self) -> None:
        """Give the site up."""
        for held in self._sockets:
            held.close()

    def _claim(self, place: str, site: str) -> None:
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sockets.append(held)
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
