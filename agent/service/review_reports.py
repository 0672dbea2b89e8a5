"""What the review reports to the outputs: verdicts of people, certified and broken promises."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, cast

from agent.core.clock import utc_now
from agent.core.ids import new_id
from agent.core.problems import Problems
from agent.inspection import CameraLine
from agent.messages import promise_event
from agent.monitoring import StatePublisher, broken_promise_payload
from agent.outputs import Output
from agent.outputs.outbox import Outbox
from agent.review import JudgedAlarm, PromiseStatus, Review, ReviewFolders, verdict_payload
from agent.settings import Settings

log = logging.getLogger(__name__)


def open_review(
    settings: Settings,
    lines: Mapping[str, CameraLine],
    outputs: Sequence[Output],
    outbox: Outbox,
    states: StatePublisher,
    problems: Problems,
) -> Review:
    """The review of an agent; its thread is not started yet. Raises Permanent or Temporary."""
    reports = ReviewReports(settings.site, lines, outputs, outbox, states, now=utc_now)
    return Review(
        ReviewFolders.of(settings.state_directory),
        settings.cameras,
        samples_per_shift=settings.review.samples_per_shift,
        max_image_bytes=settings.review.max_size,
        problems=problems,
        on_promise=reports.promise,
        on_judged=reports.judged,
    )


class ReviewReports:
    """Called on the thread of the review."""

    def __init__(
        self,
        site: str,
        lines: Mapping[str, CameraLine],
        outputs: Sequence[Output],
        outbox: Outbox,
        states: StatePublisher,
        *,
        now: Callable[[], datetime],
    ) -> None:
        """Args:
        site: for the documents.
        lines: every camera, by name.
        outputs: get events, and build the messages of verdicts.
        outbox: keeps the verdicts until they are delivered.
        states: publishes the state of a camera at once.
        now: wall clock, UTC.
        """
        self._site = site
        self._lines = lines
        self._outputs = outputs
        self._outbox = outbox
        self._states = states
        self._now = now

    def judged(self, known: JudgedAlarm) -> None:
        """Publish a judgement; it is in the outbox when this returns. Raises Temporary where the disk fails."""
        verdict = verdict_payload(known, self._site)
        messages = [message for output in self._outputs for message in output.messages_for_verdict(verdict)]
        if messages:
            self._outbox.add_unnumbered(known.alarm.camera, messages)

    def promise(self, camera: str, what: str, status: PromiseStatus) -> None:
        """Publish the event of a promise that is broken or certified, and the state of the camera."""
        kind = cast("Literal['promise_broken', 'certified']", what)
        broken = broken_promise_payload(status) if kind == "promise_broken" else None
        text = status.certificate_text if broken is None else broken.text
        log.log(logging.INFO if broken is None else logging.WARNING, "camera %s: %s", camera, text)
        event = promise_event(new_id(), self._site, camera, kind, status.calibration, self._now(), text, broken)
        for output in self._outputs:
            output.publish_event(event)
        self._states.publish(self._lines[camera])
