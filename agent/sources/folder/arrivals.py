"""When a file in a followed folder is complete: once this machine has seen it unchanged for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.sources.folder.listing import Found

# A file that does not decode and has not changed for this long is given up: its writer has failed.
GIVE_UP_SECONDS = 30.0


@dataclass(slots=True)
class _Unsettled:
    """A file that may still be written to."""

    found: Found
    since: float
    """When this version was first seen, monotonic seconds; the file's own time is by the writer's clock."""
    failed: bool = False
    """It did not decode. It is read again when it has changed, or once more before it is given up."""


class Arrivals:
    """Follows the new files of a folder from listing to listing."""

    def __init__(self, settle_seconds: float, clock: Callable[[], float], on_missed: Callable[[str], None]) -> None:
        """Args:
        settle_seconds: how long a file must stay unchanged.
        clock: monotonic clock, seconds.
        on_missed: called with the name of a file that was overwritten before it was complete.
        """
        self._settle_seconds = settle_seconds
        self._clock = clock
        self._on_missed = on_missed
        self._unsettled: dict[str, _Unsettled] = {}

    def __len__(self) -> int:
        """Files that may still be written to."""
        return len(self._unsettled)

    def clear(self) -> None:
        """Begin again, as after the folder was away."""
        self._unsettled.clear()

    def settled(self, new: Mapping[str, Found]) -> list[str]:
        """Those of the new files, by name, that are complete or to be tried again. Forgets files that are not new."""
        self._unsettled = {name: unsettled for name, unsettled in self._unsettled.items() if name in new}
        return [name for name, found in new.items() if self._is_settled(name, found)]

    def failed(self, name: str) -> bool:
        """A file did not decode. True the first time: it is tried again once it has changed or waited."""
        unsettled = self._unsettled.get(name)
        if unsettled is None or unsettled.failed:
            return False
        unsettled.failed = True
        return True

    def finish(self, name: str) -> None:
        """A file was read, or given up."""
        self._unsettled.pop(name, None)

    def _is_settled(self, name: str, found: Found) -> bool:
        unsettled = self._unsettled.get(name)
        if unsettled is None or unsettled.found != found:
            if unsettled is not None and _is_replaced(unsettled.found, found):
                self._on_missed(name)
            unsettled = self._unsettled[name] = _Unsettled(found, self._clock())
        wanted_seconds = GIVE_UP_SECONDS if unsettled.failed else self._settle_seconds
        return self._clock() - unsettled.since >= wanted_seconds


def _is_replaced(before: Found, after: Found) -> bool:
    """Whether this is another file under the same name, rather than the same file written further."""
    return after.inode != before.inode or after.version.size < before.version.size
