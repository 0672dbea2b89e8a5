"""What one frame led to, and the last frame that a station scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.core.records import Alarm, Frame, Part, Verdict
from agent.inspection.calibration_plan import CalibrationPlan
from calibration import Calibration, Drift
from engines.images import cut_heat


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finished calibration. A camera's first one is in force already; a later one waits to be activated."""

    calibration: Calibration
    plan: CalibrationPlan
    """The plan that it was made by."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that one frame led to."""

    frame: Frame
    score: float
    """Latent distance, ≥ 0."""
    verdict: Verdict | None = None
    """None where the frame was not judged."""
    alarms: tuple[Alarm, ...] = ()
    """The alarms that this frame cleared and raised, in this order."""
    passed_by_rule: int = 0
    """Frames above the threshold, this one or earlier ones, for which it is now certain that the alarm rule raises no
    alarm."""
    candidate: Candidate | None = None
    """The calibration that this frame completed."""
    drift: Drift | None = None
    """The drift, where this frame raised or cleared its flag."""
    blind: bool = False
    """The camera is faulty or suspect: the score says nothing about the part."""
    before: tuple[Outcome | Part, ...] = ()
    """What this frame completes, in order of capture: frames that were held back until the camera turned out to be
    healthy, parts of earlier frames, and parts that no frame was found for in time."""
    part: Part | None = None
    """The part that this frame stands for, with the highest score of all its frames; None where parts are not known."""
    active_alarm: str | None = None
    """Id of the defect alarm that is active after this frame."""
    single: bool = True
    """The score counts alone; False for a frame of a part of which another frame, or none yet, is judged."""

    @property
    def late(self) -> tuple[Outcome, ...]:
        """The outcomes of earlier frames."""
        return tuple(each for each in self.before if isinstance(each, Outcome))

    @property
    def unanswered(self) -> tuple[Part, ...]:
        """The parts that no frame was found for."""
        return tuple(each for each in self.before if isinstance(each, Part))


@dataclass(frozen=True, slots=True)
class LastFrame:
    """The frame that a station scored last."""

    frame: Frame
    score: float
    """Latent distance, ≥ 0."""
    statistic: float | None
    """The value compared with the threshold; None where the frame was not judged."""
    heatmap: NDArray[np.float32]
    """Raw heatmap [h, w]."""
    calibration: Calibration | None
    """The calibration in force at that time."""

    def of_image(self, heat: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of a heatmap of this frame that shows its image, without padding; not copied."""
        return cut_heat(heat, self.frame.content)


@dataclass(frozen=True, slots=True)
class Left:
    """What the end of inspection with a station leads to."""

    ended: list[Outcome | Part]
    """Parts that were not complete, or were held back."""
    alarms: list[Alarm]
    """Active alarms about parts, now cleared."""
