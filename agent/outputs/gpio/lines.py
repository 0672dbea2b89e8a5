"""The lines of a chip, by the character device of the kernel. For one thread."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import gpiod
from gpiod.line import Bias, Direction, Edge, Value

from agent.core.errors import Temporary
from agent.outputs.gpio.settings import GpioSettings

CONSUMER = "inspectd"

# So many events wait in the kernel: half a second of an encoder with 1,000 pulses a second.
EVENT_BUFFER = 512

_EDGES = {"rising": Edge.RISING, "falling": Edge.FALLING}


@dataclass(frozen=True, slots=True)
class InputEvent:
    """A change of an input."""

    line: str
    """`trigger` or `encoder`."""
    at: float
    """Monotonic seconds, by the kernel."""


class Lines:
    """The lines that the settings name, requested from the kernel. Outputs begin switched off."""

    def __init__(self, settings: GpioSettings) -> None:
        """Raises Temporary where the chip or a line cannot be used. With `dry_run`, no output is requested."""
        self._settings = settings
        outputs = {} if settings.dry_run else settings.outputs
        self._outputs: Mapping[str, Any] = outputs
        lines = {**outputs, **settings.inputs}
        self._request = self._requested(lines) if lines else None
        self._names: dict[int, str] = {}
        if self._request is not None:
            offsets = dict(zip(self._request.lines, self._request.offsets, strict=True))
            self._names = {offsets.get(line, line): name for name, line in settings.inputs.items()}

    def _requested(self, lines: Mapping[str, Any]) -> Any:
        chip = self._settings.chip
        try:
            return gpiod.request_lines(
                chip,
                consumer=CONSUMER,
                event_buffer_size=EVENT_BUFFER,
                config={line: self._config(name, line) for name, line in lines.items()},
            )
        except FileNotFoundError:
            raise Temporary(f"{chip} does not exist; wanted a chip, see: gpiodetect") from None
        except PermissionError:
            raise Temporary(f"{chip}: no rights; see the drop-in gpio.conf") from None
        except OSError as error:
            reason = "another program uses one of these lines" if error.errno == errno.EBUSY else error.strerror
            raise Temporary(f"{chip}, lines {_listed(lines)}: {reason}; see: gpioinfo") from None
        except (ValueError, KeyError, LookupError):
            raise Temporary(f"{chip} has not all of these lines: {_listed(lines)}; see: gpioinfo") from None

    def _config(self, name: str, line: Any) -> Any:
        low = line in self._settings.active_low
        if name in self._outputs:
            return gpiod.LineSettings(direction=Direction.OUTPUT, active_low=low, output_value=Value.INACTIVE)
        trigger = self._settings.trigger
        edge, debounce = Edge.RISING, 0.0
        if name == "trigger" and trigger is not None:
            edge, debounce = _EDGES[trigger.edge], trigger.debounce_ms
        return gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=edge,
            bias=Bias.AS_IS,
            active_low=low,
            debounce_period=timedelta(milliseconds=debounce),
        )

    def switch(self, values: Mapping[str, bool]) -> None:
        """Switch outputs, by what they are. Raises Temporary where the chip is gone."""
        if self._request is None:
            return
        levels = {self._outputs[name]: Value.ACTIVE if on else Value.INACTIVE for name, on in values.items()}
        if levels:
            try:
                self._request.set_values(levels)
            except OSError as error:
                raise Temporary(f"{self._settings.chip}: {error.strerror}") from None

    def wait(self, seconds: float, wake: socket.socket) -> list[InputEvent]:
        """The next changes of inputs, in their order; empty after this time, or when `wake` has bytes.

        Raises Temporary where the chip is gone.
        """
        descriptors = [wake.fileno()] + ([] if self._request is None else [self._request.fd])
        ready, _, _ = select.select(descriptors, [], [], max(0.0, seconds))
        if wake.fileno() in ready:
            wake.recv(4096)
        if self._request is None or self._request.fd not in ready:
            return []
        try:
            events = self._request.read_edge_events(EVENT_BUFFER)
        except OSError as error:
            raise Temporary(f"{self._settings.chip}: {error.strerror}") from None
        return [InputEvent(self._names.get(each.line_offset, ""), each.timestamp_ns / 1e9) for each in events]

    def close(self) -> None:
        """Switch every output off, and give the lines back."""
        if self._request is not None:
            with suppress(Temporary):
                self.switch(dict.fromkeys(self._outputs, False))
            self._request.release()


def _listed(lines: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {line!r}" for name, line in lines.items())
