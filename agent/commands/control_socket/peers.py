"""Who is at the other end of the control socket, as the kernel knows it, and what this user may do."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.errors import Permanent
from agent.core.roles import Role

# pid, uid and gid, as `struct ucred` of Linux has them.
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """The user of the process that has connected."""

    uid: int
    name: str
    """Of the user; its number where it has none."""
    groups: frozenset[str]
    """Names of all its groups."""

    @classmethod
    def of(cls, connection: socket.socket) -> Peer:
        """The peer of a connected Unix socket."""
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, gid = _CREDENTIALS.unpack(raw)
        if uid in (0, os.getuid()):
            # The page sends twenty commands a second: names that do not matter are not looked up.
            return cls(uid, str(uid), frozenset())
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            return cls(uid, str(uid), _names([gid]))
        return cls(uid, name, _names(os.getgrouplist(name, gid)))

    @property
    def trusted(self) -> bool:
        """Whether it is root, or the user that the agent and its page run as: they may do everything anyway."""
        return self.uid in (0, os.getuid())

    def sender(self, claimed: str) -> str:
        """The name for the records: a program of another user cannot take somebody else's.

        >>> Peer(1001, "bob", frozenset()).sender("anna"), Peer(0, "root", frozenset()).sender("anna (page)")
        ('bob (as anna)', 'anna (page)')
        """
        return claimed if self.trusted or claimed == self.name else f"{self.name} (as {claimed})"

    def role(self, roles: Mapping[str, Role] | None) -> Role:
        """The highest of its roles; of the settings' users and `@groups`. Raises Permanent where it has none.

        >>> Peer(1001, "bob", frozenset({"line"})).role({"@line": Role.OPERATE, "bob": Role.VIEW}).text
        'operate'
        """
        if roles is None or self.trusted:
            return Role.ENGINEER
        found = [roles[key] for key in (self.name, *(f"@{group}" for group in self.groups)) if key in roles]
        if not found:
            raise Permanent(f"user {self.name} has no role; wanted one in socket_roles in the settings")
        return max(found)


def _names(groups: list[int]) -> frozenset[str]:
    found = set()
    for number in groups:
        try:
            found.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return frozenset(found)
