"""What a process beside the agent is started with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

VARIABLE = "INSPECTD_SERVED"
"""Of the environment, which only this user and root can read: the options as JSON."""

_Options = TypeVar("_Options", bound="ServerOptions")


class ProcessOptions(Protocol):
    """What is common to the options of any such process."""

    @property
    def log_level(self) -> str: ...

    def to_json(self) -> str:
        """All options on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Where a page is served, and whom it admits.

    Made from the settings by `inspectd page` and `inspectd fleet`, and passed on as JSON. Checking settings needs
    NumPy, SciPy and OpenCV, 100 MB that a page would never use: the command reads them and then replaces itself by a
    process that knows only this.
    """

    site: str
    """The title of the page."""
    accounts_file: str
    add_user: str
    """The command that makes the first account, for people."""
    host: str = "127.0.0.1"
    port: int | None = None
    socket: str | None = None
    """Path of a Unix socket instead of host and port."""
    certificate_file: str | None = None
    key_file: str | None = None
    names: tuple[str, ...] = ()
    """Further host names under which browsers open the page."""
    idle_seconds: float = 1800.0
    session_seconds: float = 43_200.0
    view_without_login: bool = False
    log_level: str = "info"

    @property
    def address(self) -> str:
        """Where browsers find the page, for people."""
        if self.socket is not None:
            return self.socket
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.certificate_file is None else 'https'}://{host}:{self.port}/"

    def to_json(self) -> str:
        """All options on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls: type[_Options], text: str) -> _Options:
        """The options that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "names": tuple(values["names"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOptions(ServerOptions):
    """The page of one agent."""

    control_socket: str
    """Path of the agent's control socket."""
    training_directory: str
    """Where models are trained."""
