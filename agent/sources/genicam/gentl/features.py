"""The features of a camera by their names: its description (GenApi XML), and the port that its registers are behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from genicam import genapi

from agent.sources.genicam.camera import CameraError

Read = Callable[[int, int], bytes]
"""Registers from an address, so many bytes. May raise CameraError."""

Write = Callable[[int, bytes], None]
"""Set registers from an address on. May raise CameraError."""


class FeatureError(CameraError):
    """The camera has no such feature, or rejects its value."""


class _Port(genapi.AbstractPort):
    """Registers of the camera, as the description reads and writes them."""

    def __init__(self, read: Read, write: Write) -> None:
        super().__init__()
        self._read, self._write = read, write

    def is_open(self) -> bool:
        return True

    def get_access_mode(self) -> int:
        return genapi.EAccessMode.RW

    def read(self, address: int, length: int) -> bytes:
        return self._read(address, length)

    def write(self, address: int, value: bytes) -> None:
        self._write(address, value)


class Features:
    """For one thread at a time: it waits for the camera while it holds a lock of its own. All raises CameraError."""

    def __init__(self, description: str, port_name: str, read: Read, write: Write) -> None:
        """Args: description: the XML document. port_name: as it calls the port."""
        self._nodes = genapi.NodeMap()
        # The node map keeps no reference.
        self._port = _Port(read, write)
        with _in_one_line():
            self._nodes.load_xml_from_string(description)
            self._nodes.connect(self._port, port_name)

    def has(self, name: str) -> bool:
        """Whether there is such a feature, and it can be used in the present state of the camera."""
        with _in_one_line():
            if not self._nodes.has_node(name):
                return False
            return self._nodes.get_node(name).get_access_mode() not in (genapi.EAccessMode.NI, genapi.EAccessMode.NA)

    def first_of(self, *names: str) -> str:
        """The first of several names of the same feature that the camera has; else the first."""
        return next((name for name in names if self.has(name)), names[0])

    def set(self, name: str, value: str | bool | int | float) -> None:
        """Set a feature; a command is executed by True."""
        with _in_one_line():
            node = self._node(name)
            if isinstance(node, genapi.ICommand) and value is True:
                node.execute()
            elif isinstance(node, genapi.IInteger) and isinstance(value, float) and value.is_integer():
                node.from_string(str(int(value)))
            else:
                node.from_string(str(value).lower() if isinstance(value, bool) else str(value))

    def set_if_there(self, name: str, value: str | int) -> None:
        """The same, of a feature that not every camera has; one that can only be read may have the value already."""
        if self.has(name) and self._text(name) != str(value):
            self.set(name, value)

    def execute(self, name: str) -> None:
        """Let the camera do something."""
        self.set(name, True)

    def number(self, name: str, *, fresh: bool = False) -> float:
        """The value of a number. fresh: asked of the camera, whatever is known."""
        with _in_one_line():
            return float(self._node(name).to_string(False, fresh))

    def bounds(self, name: str) -> tuple[float, float]:
        """The lowest and the highest value of a number."""
        with _in_one_line():
            node = self._node(name)
            if not isinstance(node, (genapi.IInteger, genapi.IFloat)):
                raise FeatureError(f"{name} is no number")
            return float(node.min), float(node.max)

    def choices(self, name: str) -> list[str]:
        """The values that a feature can have now; none where the camera does not have it."""
        with _in_one_line():
            if not self.has(name):
                return []
            node = self._node(name)
            return list(node.symbolics) if isinstance(node, genapi.IEnumeration) else []

    def _text(self, name: str) -> str | None:
        """The present value as a text; None of what can only be written."""
        with _in_one_line():
            node = self._node(name)
            return None if node.get_access_mode() == genapi.EAccessMode.WO else node.to_string()

    def _node(self, name: str) -> genapi.IValue:
        if not self.has(name):
            raise FeatureError(f"it has no feature {name}, or not in this state")
        return self._nodes.get_node(name)


@contextmanager
def _in_one_line() -> Iterator[None]:
    """An error of GenApi without the places in its source."""
    try:
        yield
    except genapi.GenericException as error:
        text = re.split(r" : \w*Exception thrown in", " ".join(str(error).split()))[0]
        raise FeatureError(text) from None
