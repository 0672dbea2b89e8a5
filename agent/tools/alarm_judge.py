"""From scores of images to alarms, as the agent raises them: the threshold of `inspectd evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import Permanent
from agent.inspection import CalibrationPlan, inspected_view, plan_of
from agent.settings import CameraSettings, Settings
from calibration import LEAST_FRAMES, Budget, CalibrationError, Rule, Threshold, calibrate
from engines.bundles import Bundle, CropBox, View
from engines.evaluation.at_threshold import AtThreshold

DEFAULT_BUDGET = "1 per 1000 parts"

_Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AlarmJudge:
    """Calibrates a threshold on half of the normal images and counts the alarms on the others and on abnormal ones.

    Where parts are known, images in the order of their names show one part after the other, and every other part is
    calibrated on. Elsewhere they are taken as successive frames, and the first half of them is.
    """

    budget: Budget
    rule: Rule
    confidence: float = 0.95
    quiet_frames: int = 0
    parts: bool = True
    """Parts are known: each one that is bad raises its own alarm."""
    frames_per_part: int = 1
    """Images of a part, where parts are known."""
    frames_per_second: float = 1.0
    """Rate of the parts or frames, for budgets in time."""

    @classmethod
    def of_budget(cls, text: str) -> AlarmJudge:
        """Judge images of single parts by a budget such as "1 per 1000 parts". Raises Permanent for one in time."""
        try:
            budget = Budget.parse(text)
        except CalibrationError as error:
            raise Permanent(str(error)) from None
        if budget.per_frames is None:
            raise Permanent(f"false-alarm budget: got {text!r}, wanted one in parts, such as '{DEFAULT_BUDGET}'")
        return cls(budget, Rule(k=1, n=1))

    @classmethod
    def of_camera(cls, name: str, camera: CameraSettings, false_alarms: str | None = None) -> AlarmJudge:
        """Judge as a camera of the settings does; `false_alarms` replaces its budget.

        Raises Permanent for a budget in time where no frame rate is set, and for parts of any number of frames.
        """
        plan = plan_of(camera)
        try:
            budget = plan.budget if false_alarms is None else camera.parse_budget(false_alarms)
        except CalibrationError as error:
            raise Permanent(f"camera {name}: {error}") from None
        if plan.parts_known and camera.frames_per_part is None:
            raise Permanent(
                f"camera {name}: got parts.gap_seconds, but images have no times; wanted parts.frames_per_part"
            )
        each = camera.frames_per_part or 1
        rate = _units_per_second(name, camera, budget, plan)
        return cls(
            budget=budget,
            rule=plan.rule,
            confidence=plan.confidence,
            quiet_frames=plan.quiet_frames(rate),
            parts=plan.parts_known,
            frames_per_part=each,
            frames_per_second=rate,
        )

    @property
    def counted(self) -> str:
        """What the figures count, in words."""
        noun = "parts" if self.parts else "images"
        return noun if self.rule.n == 1 else f"groups of {self.rule.n} successive {noun}"

    def __call__(self, normal: NDArray[np.float32], abnormal: NDArray[np.float32]) -> AtThreshold | None:
        """Return the detection, from scores [N] and [M]; None where half of the normal ones give no threshold.

        Raises Permanent where the images do not suffice for a single part, or for the rule once.
        """
        good, bad = self._units(normal, "normal"), self._units(abnormal, "abnormal")
        chosen, tested = (good[::2], good[1::2]) if self.parts else np.split(good, [good.size // 2])
        threshold = self._threshold(chosen)
        if threshold is None or tested.size < self.rule.n:
            return None
        return AtThreshold.of(
            threshold.value,
            self._alarms(tested, threshold.value),
            self._alarms(bad, threshold.value),
            counted=self.counted,
            how=f"{self.budget.words}, rule {self.rule}",
            certificate=self._certificate(good),
        )

    def _units(self, scores: NDArray[np.float32], kind: str) -> _Scores:
        """Return the scores of the parts, or of the frames where parts are not known."""
        each = self.frames_per_part
        whole = np.asarray(scores[: scores.size // each * each], dtype=np.float64).reshape(-1, each)
        if len(whole) < self.rule.n:
            wanted = f"{self.rule.n * each} for the rule {self.rule}{f' and {each} a part' if each > 1 else ''}"
            raise Permanent(f"{kind}: got {scores.size} images, wanted at least {wanted}")
        return np.asarray(whole.max(axis=1))

    def _alarms(self, scores: _Scores, threshold: float) -> NDArray[np.bool_]:
        """Return for each group of n successive scores whether it raises an alarm; groups do not overlap."""
        return np.asarray(self.rule.statistic(scores)[:: self.rule.n] > threshold)

    def _threshold(self, scores: _Scores) -> Threshold | None:
        if scores.size < max(LEAST_FRAMES, 10 * self.rule.n):
            return None
        try:
            return calibrate(
                scores,
                frames_per_second=self.frames_per_second,
                budget=self.budget,
                rule=self.rule,
                confidence=self.confidence,
                quiet_frames=self.quiet_frames,
                parts=self.parts,
            )
        except CalibrationError:
            return None

    def _certificate(self, good: _Scores) -> str:
        """Return whether a window of all normal images could certify the budget, in words."""
        whole = self._threshold(good)
        if whole is None:
            return ""
        verdict = "could be certified" if whole.certified else "could not be certified"
        reason = whole.reason.replace("; the threshold is extrapolated", "")
        return f"{self.budget.words} {verdict} from all of them: {reason}"


def judge_of_settings(
    settings: Settings, bundle: Path, camera: str | None = None, false_alarms: str | None = None
) -> AlarmJudge:
    """Return the judge of the camera that inspects with this bundle, or of the one with this name.

    Raises Permanent where there is no such camera, or several that judge differently.
    """
    chosen = _cameras(settings, bundle, camera)
    judges = {AlarmJudge.of_camera(name, each, false_alarms) for name, each in chosen}
    names = sorted({name for name, _ in chosen})
    if len(judges) > 1 and len(names) > 1:
        raise Permanent(f"the cameras {', '.join(names)} judge differently; wanted one of them as --camera")
    if len(judges) > 1:
        raise Permanent(f"the products of camera {names[0]} judge differently; wanted the bundle of one of them")
    return judges.pop()


def as_inspected(bundle: Bundle, settings: Settings, camera: str | None = None) -> Bundle:
    """Return the bundle with the view of the camera of `judge_of_settings`: its crop and its limits of the alignment.

    Raises Permanent where its settings disagree with the bundle, or those of several cameras with each other.
    """
    views: list[View | None] = []
    for _, each in _cameras(settings, bundle.path, camera):
        crop, view = inspected_view(each, bundle)
        if crop is not None:
            known = view or View.of(crop.height, crop.width)
            view = known.model_copy(update={"crop": CropBox(**crop.model_dump())})
        if view not in views:
            views.append(view)
    if len(views) > 1:
        raise Permanent("the cameras of the settings inspect different views; wanted one of them as --camera")
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"view": views[0]}))


def _cameras(settings: Settings, bundle: Path, camera: str | None) -> list[tuple[str, CameraSettings]]:
    """The cameras, and the settings of their products, that inspect with this bundle; all of them where none does."""
    if camera is not None and camera not in settings.cameras:
        raise Permanent(f"camera: got {camera!r}, wanted one of {', '.join(settings.cameras)}")
    named = settings.cameras if camera is None else {camera: settings.cameras[camera]}
    every = [(name, each.of_product(product)) for name, each in named.items() for product in each.products or [None]]
    return [(name, each) for name, each in every if each.bundle.resolve() == bundle.resolve()] or every


def _units_per_second(name: str, camera: CameraSettings, budget: Budget, plan: CalibrationPlan) -> float:
    """The rate of the line's parts or frames, as its settings give it; 1 where nothing depends on it."""
    rate = camera.source.frames_per_second
    if rate is not None:
        return rate / (camera.frames_per_part or 1)
    if budget.per_seconds is not None:
        raise Permanent(
            f"camera {name}: got the budget '{budget.words}', but images have no times, and its source has no "
            f"frames_per_second; wanted --false-alarms '1 per 1000 {'parts' if plan.parts_known else 'frames'}'"
        )
    return 1.0
