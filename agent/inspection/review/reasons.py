"""The reasons in a camera's state: of a rejected window, and of doubts about the calibration in force."""

from __future__ import annotations

import logging

from calibration import MOST_BAD, Calibration, Misfit, Rule, TrainingScores, check_fit, noticed_from

log = logging.getLogger(__name__)

_SEVERAL = "images left out count", "them", "they show good parts"


class Reasons:
    """Collects the reasons of one camera, in words."""

    def __init__(self, camera: str, training: TrainingScores | None) -> None:
        """Args:
        camera: its name, for the log.
        training: the scores that its bundle is known to give; None: not known.
        """
        self._camera = camera
        self._training = training
        self._level: str | None = None
        self.window: str | None = None
        """Why the last window was rejected, or why the threshold is not certified."""

    def text(self, calibration: Calibration | None, rule: Rule) -> str | None:
        """All reasons; None where there is none. `calibration` is in force, `rule` is that of the settings."""
        reasons = (_rule_reason(calibration, rule), self.window, None if calibration is None else self._level)
        return "; ".join(reason for reason in reasons if reason is not None) or None

    def use(self, calibration: Calibration) -> None:
        """A calibration is put in force: log that good parts score far from those of the training, if so."""
        high = _high_reason(calibration, None if self._training is None else self._training.damaged)
        doubts = (None if calibration.threshold.certified else calibration.threshold.reason, high)
        self.window = "; ".join(doubt for doubt in doubts if doubt is not None) or None
        self._warn(high)
        finding = None if self._training is None else check_fit(calibration.kept_scores, self._training)
        # Images that may show bad parts were confirmed by a person by now.
        self._level = None if finding is None or finding.misfit is Misfit.DEFECTS else finding.reason
        self._warn(self._level)

    def note_extension(self, reason: str | None) -> None:
        """The window was extended for this reason; logged when it is new. None: it was not."""
        if reason is not None and reason != self.window:
            self.window = reason
            log.info("camera %s: %s", self._camera, reason, extra={"camera": self._camera})

    def warn_of_other_rule(self, calibration: Calibration | None, rule: Rule) -> None:
        """Log that another rule is in force than the settings have, if so."""
        self._warn(_rule_reason(calibration, rule))

    def _warn(self, reason: str | None) -> None:
        if reason is not None:
            log.warning("camera %s: %s", self._camera, reason, extra={"camera": self._camera})


def doubt_about(training: TrainingScores | None, images: int) -> str | None:
    """Why bad parts may be among the `images` of a window that was not stopped; None where 5 % would have stopped it.

    `training` are the scores that its model is known to give; None: not known, windows are not compared with them.
    """
    if training is None:
        return "bad parts in the window may have gone unnoticed: the bundle does not know how good images score"
    share = noticed_from(training, images)
    if share <= MOST_BAD:
        return None
    held_out = f"the model held out only {training.good.size} good images"
    if not training.shows_upper_tail:
        return f"bad parts in the window would have gone unnoticed: {held_out}"
    return (
        f"bad parts that make up less than {share:.0%} of the window would have gone unnoticed, unless they scored far "
        f"above good ones: {held_out}"
    )


def question_of_left_out(calibration: Calibration, *, reviewable: bool) -> str | None:
    """The question about images that were left out and that nobody has looked at; None where there are none.

    `reviewable`: the window is still there, with its hottest images.
    """
    if not calibration.left_out or not calibration.left_out_cost:
        return None
    one = len(calibration.left_out) == 1
    images, them, good = ("image left out counts", "it", "it shows a good part") if one else _SEVERAL
    fact = f"{len(calibration.left_out):,} {images} as good until a person has looked"
    if reviewable:
        return f"{fact}: `inspectd calibration review {calibration.camera}` shows {them} and takes the decision"
    return f"{fact} (`inspectd calibration show --html FILE`); if {good}, use `inspectd recalibrate --fresh`"


def _high_reason(calibration: Calibration, damaged: float | None) -> str | None:
    """That defects may pass under the threshold, and what lowers it; None where nothing shows that.

    `damaged` is the median score of the held-out images with damage that is visible at a glance; None: not known.
    """
    value = calibration.threshold.value
    if damaged is None or value <= damaged:
        return None
    return (
        f"many defects may pass: the threshold {value:.4g} is above what half of the images with visible damage "
        f"scored in training ({damaged:.4g}); more good images in the window (`calibration.frames`), or a larger "
        "budget, bring it down"
    )


def _rule_reason(calibration: Calibration | None, rule: Rule) -> str | None:
    if calibration is None or calibration.rule == rule:
        return None
    return (
        f"rule {rule} of the settings is not in force: the threshold was calibrated for {calibration.rule}; "
        "recalibrate to use it"
    )
