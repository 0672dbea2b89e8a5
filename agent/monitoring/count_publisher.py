"""Publishes the parts of each camera in numbers: every few seconds, after a change."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.core.clock import utc_now
from agent.inspection import CameraLine
from agent.messages import CountPayload, ProductCountPayload, ShiftCountPayload, ShiftPayload
from agent.outputs import Output, PartCounts, PartNumbers, ShiftNumbers, ViewGroup, ViewJoiner

# How often changed numbers are published, and unchanged ones, which the broker would drop after a day.
CHANGED_SECONDS, UNCHANGED_SECONDS = 5.0, 3600.0


class CountPublisher:
    """Publishes the numbers on every output. One thread drives it."""

    def __init__(
        self,
        site: str,
        lines: Mapping[str, CameraLine],
        outputs: Sequence[Output],
        counts: PartCounts | None,
        joiner: ViewJoiner | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Args:
        site: for the documents.
        lines: every camera, by name; may be filled later.
        outputs: get the numbers.
        counts: has them; None where no camera has parts: nothing is published.
        joiner: knows the cameras that see the same part; None where no two do.
        clock: monotonic seconds.
        now: wall clock, UTC.
        """
        self._site = site
        self._lines = lines
        self._outputs = outputs
        self._counts = counts
        self._joiner = joiner
        self._clock = clock
        self._now = now
        self._published: dict[str, tuple[float, dict[str, Any]]] = {}

    def publish_all(self, *, final: bool = False) -> None:
        """Publish the numbers of each camera and group that are due; all of them if `final`: the agent stops."""
        if self._counts is None:
            return
        for line in self._lines.values():
            if line.settings.parts_known:
                self._publish(line.name, None, self._counts, final=final)
        groups = () if self._joiner is None else self._joiner.groups
        for group in groups:
            self._publish(group.place, group, self._counts, final=final)
        # One that is removed, and its document with it, may be there again later.
        for place in self._published.keys() - self._lines.keys() - {group.place for group in groups}:
            del self._published[place]

    def _publish(self, camera: str, group: ViewGroup | None, counts: PartCounts, *, final: bool) -> None:
        now = self._clock()
        published_at, known = self._published.get(camera, (now - UNCHANGED_SECONDS, {}))
        if not final and now - published_at < CHANGED_SECONDS:
            return
        payload = count_payload(self._site, camera, counts, self._now(), group)
        document = payload.model_dump(exclude={"at"})
        if document != known or final or now - published_at >= UNCHANGED_SECONDS:
            self._published[camera] = (now, document)
            for output in self._outputs:
                output.publish_count(payload)


def count_payload(
    site: str, camera: str, counts: PartCounts, at: datetime, group: ViewGroup | None = None
) -> CountPayload:
    """The document of the numbers of a camera, or of a group in its place; `at` is now, UTC."""
    previous = counts.previous(camera, at)
    return CountPayload(
        site=site,
        camera=camera,
        cameras=None if group is None else list(group.cameras),
        at=at,
        shift=_with_products(counts.shift(camera, at)),
        previous=None if previous is None else _with_products(previous),
    )


def shift_payload(numbers: ShiftNumbers) -> ShiftCountPayload:
    """The numbers of a shift, all products together, for the state of a camera."""
    return ShiftCountPayload(start=numbers.shift.start, end=numbers.shift.end, **_fields(numbers.total))


def _with_products(numbers: ShiftNumbers) -> ShiftPayload:
    products = [ProductCountPayload(product=name, **_fields(each)) for name, each in numbers.products.items()]
    shift = numbers.shift
    return ShiftPayload(start=shift.start, end=shift.end, products=products, **_fields(numbers.total))


def _fields(numbers: PartNumbers) -> dict[str, Any]:
    share = numbers.first_pass_yield
    return {
        "ok": numbers.ok,
        "nok": numbers.nok,
        "not_judged": numbers.not_judged,
        "first_pass_yield": None if share is None else round(share, 6),
    }
