"""One agent a place: two at one place of the topic tree would throw each other out, and publish over each other's
status.
"""

from __future__ import annotations

import errno
import hashlib
import socket

from agent.core.errors import Permanent
from agent.outputs.mqtt import Broker
from agent.settings import Settings


def place_of(settings: Settings) -> str:
    """Where an agent stands at its broker: its topics, and with them its name as a client. Raises Permanent for no
    broker.

    >>> camera = {"bundle": "x", "source": {"kind": "simulator"}}
    >>> place_of(Settings(site="plant", mqtt={"url": "mqtt://localhost"}, cameras={"line1": camera}))
    '127.0.0.1:1883 topics inspectd/plant'
    """
    broker = Broker(settings.mqtt.url)
    host = "127.0.0.1" if broker.host in ("localhost", "::1") else broker.host
    return f"{host}:{broker.port} topics {settings.topics.base}"


class SingleInstance:
    """Held by a service for as long as it runs; gone with its process, however that ends.

    A name in Linux's abstract socket namespace: services of different users see it, and no file is left behind.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises Permanent where another service of this machine has the place."""
        place, site = place_of(settings), settings.site
        self._held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._held.bind(f"\0inspectd-{hashlib.sha256(place.encode()).hexdigest()[:32]}")
        except OSError as error:
            self.release()
            if error.errno != errno.EADDRINUSE:
                raise
            raise Permanent(
                f"site {site!r}: another inspectd service of this machine has it ({place}); "
                f'wanted a site of its own for each instance, such as site = "{site}-2"'
            ) from None

    def release(self) -> None:
        """Give the place up."""
        self._held.close()
