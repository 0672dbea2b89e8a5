"""The end of a connection, and why."""

from __future__ import annotations

from agent.core.errors import Temporary


class UnsupportedVersion(Temporary):
    """The broker does not support this version of the protocol."""


class ConnectionLost(Temporary):
    """The connection has ended."""

    def __init__(
        self, text: str, *, closed_by_broker: bool = False, explained: bool = False, taken_over: bool = False
    ) -> None:
        """`closed_by_broker`: the other side ended it; `explained`: and gave a reason; `taken_over`: that one."""
        super().__init__(text)
        self.closed_by_broker = closed_by_broker
        self.explained = explained
        self.taken_over = taken_over
