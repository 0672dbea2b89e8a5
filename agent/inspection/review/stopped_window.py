"""A full window that does not fit its model: it waits until a person has looked at its hottest images."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agent.core.errors import InspectdError
from agent.inspection.calibration_plan import CalibrationPlan
from agent.inspection.review.hottest_images import HotImage, HottestImages
from calibration import MOST_BAD, CalibrationError, FitFinding, Misfit, Window


class WindowStopped(CalibrationError):
    """A full window is kept for review; no threshold is taken from it."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image of the window that may show a bad part."""

    number: int
    """By which a person names it: from 1, highest score first."""
    image: HotImage


class StoppedWindow:
    """Holds the window, the reason, and the images to look at."""

    def __init__(self, window: Window, plan: CalibrationPlan, finding: FitFinding, hottest: HottestImages) -> None:
        """Args:
        window: complete.
        plan: by which its calibration is to be made.
        finding: why it was stopped.
        hottest: its hottest images.
        """
        self.window = window
        self.plan = plan
        self._finding = finding
        found = hottest.hottest_first()
        if finding.misfit is Misfit.DEFECTS:
            found = [image for image in found if image.place in set(finding.suspects)]
        self.suspects = [Suspect(number, image) for number, image in enumerate(found, 1)]
        """The images to look at; of a window that does not fit as a whole, the hottest ones."""

    @property
    def reason(self) -> str:
        """Why it was stopped, one line."""
        return self._finding.reason

    def question(self, camera: str) -> str:
        """Why the window of this camera was stopped, and the command with which to look at it, one line."""
        return f"{self.reason}; see `inspectd calibration review {camera}`"

    @property
    def suspected(self) -> int:
        """Images that may show bad parts; only the hottest are among `suspects`."""
        return len(self._finding.suspects)

    def places_thrown_out(self, only: Collection[int] | None) -> frozenset[int] | None:
        """Places in the window of the suspects that a person throws out; None where the whole window goes.

        It goes where it does not fit as a whole, and where more would be thrown out than the images shown, or than a
        window of good parts may have: what remains would no longer show how good parts score.

        Args:
            only: numbers of the suspects; None: all of them. Raises InspectdError for a number that none has.
        """
        known = {suspect.number: suspect.image.place for suspect in self.suspects}
        unknown = sorted(set(only or ()) - known.keys())
        if unknown:
            raise InspectdError(f"got number {unknown[0]}, wanted numbers of suspects, 1 to {len(known)}")
        if only is None and (self._finding.misfit is Misfit.FOREIGN or self.suspected > len(known)):
            return None
        places = frozenset(known.values() if only is None else (known[number] for number in only))
        return None if len(places) > MOST_BAD * self.window.count else places
