"""The frames of one part at one camera: how they are found, how they enter a group, and the part that comes out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import Permanent
from agent.core.records import Alarm, Frame, NotJudged, Part, PartVerdict
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.outcome import Outcome
from agent.parts import (
    ByCount,
    ByGap,
    ByPresence,
    ByTrigger,
    CodeReader,
    Group,
    Grouping,
    PresenceMeter,
    Shot,
    SingleFrames,
)
from agent.settings import CameraSettings
from calibration import Calibration
from engines.errors import EngineError
from engines.images import read_image


@dataclass(frozen=True, slots=True)
class Evidence:
    """What belongs to a scored frame."""

    heatmap: NDArray[np.float32]
    """Raw heatmap [h, w]; a copy, since the engine writes the next one to the same place."""
    prepared: PreparedFrame | None = None
    """The frame as a calibration window takes it; None for a frame that was held back."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What one frame gives to the groups: itself, earlier frames that were held back, or nothing yet."""

    shots: list[Shot[Evidence]] = field(default_factory=list)
    """In the order of capture; empty while the frame is held back."""
    alarm: Alarm | None = None
    """The alarm about the camera that it raised or cleared."""
    blind: bool = False
    """The camera is faulty or suspect."""
    passed_by_rule: int = 0
    """Frames above the threshold for which the alarm rule raised no alarm, since it starts again."""


def grouping_of(camera: CameraSettings) -> Grouping[Evidence]:
    """How the settings of a camera say that parts are known."""
    parts = camera.parts
    if parts.trigger:
        return ByTrigger(
            frames_per_part=parts.frames_per_part or 1,
            timeout_seconds=parts.result_timeout_seconds,
            max_waiting=parts.max_waiting_triggers,
        )
    if parts.presence is not None:
        seen = parts.presence
        return ByPresence(enter=seen.enter, leave=seen.leave, min_frames=seen.min_frames, max_frames=seen.max_frames)
    if parts.gap_seconds is not None:
        return ByGap(parts.gap_seconds)
    return SingleFrames() if camera.frames_per_part is None else ByCount(camera.frames_per_part)


def code_reader_of(camera: CameraSettings) -> CodeReader | None:
    """Reads the codes of parts, as the settings of a camera say; None without. Raises Permanent without zxing-cpp."""
    code = camera.parts.code
    return None if code is None else CodeReader(code.region, code.formats)


def presence_meter_of(camera: CameraSettings) -> PresenceMeter | None:
    """Measures whether an image shows a part, as the settings of a camera say; None where parts are known otherwise.

    Raises Permanent where the image of the empty view cannot be used.
    """
    presence = camera.parts.presence
    if presence is None:
        return None
    try:
        background = read_image(presence.background)
    except EngineError as error:
        raise Permanent(f"parts.presence.background: {error}") from None
    return PresenceMeter(background, presence.region, presence.leave)


def missing(frame: Frame) -> NotJudged | None:
    """Why a frame of a healthy camera may not be judged: no part was found in it; None where it may."""
    return None if frame.not_found is None else NotJudged.PART_NOT_FOUND


def shot_of(
    prepared: PreparedFrame,
    score: float,
    heatmap: NDArray[np.float32],
    reason: NotJudged | None = None,
    *,
    usable: bool = True,
) -> Shot[Evidence]:
    """A frame on its way into a part. `reason`, `usable`: as in `Shot`; a frame without a part is never usable."""
    frame = prepared.frame
    usable = usable and frame.not_found is None
    return Shot(frame, score, reason or missing(frame), usable, Evidence(heatmap.copy(), prepared))


def part_of(group: Group[Evidence], outcome: Outcome | None, camera: str, calibration: Calibration | None) -> Part:
    """The part that a group of frames shows, from the outcome of its judgement; None where no frame was judged."""
    assert group.part is not None
    verdict = None if outcome is None else outcome.verdict
    if verdict is None:
        found = PartVerdict.NOT_JUDGED
    else:
        found = PartVerdict.NOK if verdict.score > verdict.threshold else PartVerdict.OK
    threshold = None if calibration is None else calibration.threshold.value
    first = group.first
    return Part(
        part=group.part,
        camera=camera,
        verdict=found,
        reason=group.reason if verdict is None else None,
        score=None if verdict is None else verdict.score,
        threshold=threshold if verdict is None else verdict.threshold,
        calibration=None if calibration is None else calibration.id,
        frames=group.frames,
        frame=group.index,
        captured_at=group.captured_at,
        started_monotonic=group.started_monotonic,
        announced=group.announced,
        code=group.code,
        origin=None if first is None else first.origin,
        id=None if first is None else first.id,
        alarm=outcome.active_alarm if outcome is not None and found is PartVerdict.NOK else None,
    )


def combine(frame: Frame, score: float, admission: Admission, ended: list[Outcome | Part]) -> Outcome:
    """Everything that one frame led to: its own outcome, and those of the parts that it completes."""
    units = [each for each in ended if isinstance(each, Outcome)]
    if units and units[-1].frame.index == frame.index:
        own = units[-1]
    else:
        own = Outcome(frame, score, blind=admission.blind, single=False)
    return replace(
        own,
        alarms=own.alarms if admission.alarm is None else (admission.alarm, *own.alarms),
        passed_by_rule=own.passed_by_rule + admission.passed_by_rule,
        before=tuple(each for each in ended if each is not own),
    )
