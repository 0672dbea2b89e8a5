"""A full window whose hottest images a person looks at, and what follows from the answer."""

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


class WindowToReview:
    """Holds the window, why a person should look at it, and the images to look at.

    Where it does not fit its model it is stopped: no threshold is taken from it before the person has decided.
    Otherwise its calibration is made already, and the person may still throw out bad parts.
    """

    def __init__(
        self,
        window: Window,
        plan: CalibrationPlan,
        hottest: HottestImages,
        finding: FitFinding | None = None,
        *,
        calibration: str | None = None,
        doubt: str | None = None,
    ) -> None:
        """Args:
        window: complete.
        plan: by which its calibration is, or was, made.
        hottest: its hottest images.
        finding: why it was stopped; None: it was not.
        calibration: id of the one that was made from it; None: it was stopped.
        doubt: why bad parts may be among those of a window that was not stopped; None: they would have been noticed.
        """
        self.window = window
        self.plan = plan
        self.calibration = calibration
        """Id of the calibration that was made from it; None: it was stopped."""
        self.doubt = doubt
        self._finding = finding
        found = hottest.hottest_first()
        if finding is not None and finding.misfit is Misfit.DEFECTS:
            found = [image for image in found if image.place in set(finding.suspects)]
        self.suspects = [Suspect(number, image) for number, image in enumerate(found, 1)]
        """The images to look at; of a window that does not fit as a whole or was not stopped, the hottest ones."""

    @property
    def reason(self) -> str:
        """Why it was stopped, or why a person should look at it, one line."""
        if self._finding is not None:
            return self._finding.reason
        return self.doubt or f"the window in force: its {len(self.suspects)} hottest images of {self.window.count:,}"

    def question(self, camera: str) -> str:
        """The reason, and the command with which to look at the window of this camera, one line."""
        return f"{self.reason}; see `inspectd calibration review {camera}`"

    @property
    def suspected(self) -> int:
        """Images that may show bad parts; only the hottest are among `suspects`. 0: it was not stopped for defects."""
        return 0 if self._finding is None else len(self._finding.suspects)

    def places_thrown_out(self, only: Collection[int] | None) -> frozenset[int] | None:
        """Places in the window of the suspects that a person throws out; None where the whole window goes.

        It goes where it does not fit as a whole, and where more would be thrown out than the images shown, or than a
        window of good parts may have: what remains would no longer show how good parts score.

        Args:
            only: numbers of the suspects; None: all of them.

        Raises:
            InspectdError: a number that none has; or the window was not stopped, and all or too many are thrown out.
        """
        known = {suspect.number: suspect.image.place for suspect in self.suspects}
        unknown = sorted(set(only or ()) - known.keys())
        if unknown:
            raise InspectdError(f"got number {unknown[0]}, wanted numbers of suspects, 1 to {len(known)}")
        if self._finding is None:
            return self._places_of_bad(known, only)
        if only is None and (self._finding.misfit is Misfit.FOREIGN or self.suspected > len(known)):
            return None
        places = frozenset(known.values() if only is None else (known[number] for number in only))
        return None if self._too_many(places) else places

    def _places_of_bad(self, known: dict[int, int], only: Collection[int] | None) -> frozenset[int]:
        if only is None:
            raise InspectdError("got no numbers, wanted those of the bad parts: most of the hottest images are good")
        places = frozenset(known[number] for number in only)
        if self._too_many(places):
            raise InspectdError(
                f"got {len(places)} bad parts of {self.window.count:,}, wanted at most {MOST_BAD:.0%}; "
                "calibrate again on good parts: inspectd recalibrate --fresh"
            )
        return places

    def _too_many(self, places: Collection[int]) -> bool:
        return len(places) > MOST_BAD * self.window.count
