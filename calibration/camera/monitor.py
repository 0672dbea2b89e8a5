"""Finds camera faults: compares each image with those that the camera was calibrated on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from calibration.camera.camera_history import BLACK_LEVEL_8, BLACK_LEVEL_16, LEAST_MOVED_SHARE
from calibration.camera.image_measures import Pixels, saturation_level
from calibration.camera.references import CameraReference, SourceReference, ViewReference
from calibration.camera.view import Aligner, Alignment, Glance

# Black is below a tenth of the level that good images reach: a sensor's dark level is 1 to 3 % of its range, while an
# empty belt still reflected a fifth of the part's light.
_BLACK_SHARE = 0.1

# Saturated is half of the pixels that are not saturated in good images.
_SATURATED_SHARE = 0.5

# Light or dose outside these factors has changed by more than lamps age and tubes drift between two calibrations.
_LEAST_LIGHT, _MOST_LIGHT = 0.6, 1.6

# Contrast and brightness change alike when the light changes. If only the part is darker, its surroundings are not, and
# the two differ by more than this.
_SAME_LIGHT = 0.2

# Ratio of fine to coarse structure: a blur of three pixels in 512 leaves a quarter of it, defects and poses change it
# by a fifth. With less than a tenth of the coarse structure, the image has nothing that could be in focus.
_BLURRED_SHARE, _LEAST_STRUCTURE = 0.25, 0.1

# If edges are less than this share of the detail, the scene is all texture, and its edges are no measure of focus.
_EDGES_SHARE = 0.25

# If good images match their median less than this, the scene changes all the time, and a shift cannot be measured.
_STEADY_MATCH = 0.6

# A few equal images are no frozen camera: a part that lies still in front of a camera without noise (line-scan,
# simulated, files) repeats them too. Eleven in a row are 0.5 s at 20 frames/s, so that a frozen camera is still
# reported within two seconds.
_LEAST_FROZEN_REPEATS = 10

# Light within this share of the usual range is usual: lamps flicker and age by a few per cent.
_LIGHT_MARGIN = 0.05

# A shift is reported from a 32nd of the image, 1.5 pixels of the view and twice the movement of good parts.
_LEAST_SHIFT, _SHIFT_PIXELS = 1.0 / 32.0, 1.5


class Symptom(str, Enum):
    """A fault of the image, whatever part it shows."""

    BLACK = "black"
    SATURATED = "saturated"
    FROZEN = "frozen"
    DARK = "dark"
    """Less light than in good images, on the same scene."""
    BRIGHT = "bright"
    """More light than in good images, on the same scene."""
    DEFOCUSED = "defocused"
    SHIFTED = "shifted"
    RESIZED = "resized"
    """The source delivers images of another size."""

    @property
    def blank(self) -> bool:
        """True if the image does not show the part as usual: no bad part looks like this, even in a single frame."""
        return self in (Symptom.BLACK, Symptom.SATURATED, Symptom.RESIZED)

    @property
    def of_any_scene(self) -> bool:
        """True if the symptom shows whatever the image is of, even if no part is in it."""
        return self.blank or self is Symptom.FROZEN

    @property
    def settles(self) -> bool:
        """True if exposure or focus may cause it for a moment, after the camera was opened."""
        return self in (Symptom.DARK, Symptom.BRIGHT, Symptom.DEFOCUSED)


@dataclass(frozen=True, slots=True)
class Finding:
    """A symptom with its figures."""

    symptom: Symptom
    reason: str
    """One line for people: the symptom, its figure and that of good images."""


class CameraMonitor:
    """Checks every image of one camera, reduced to a `Glance`. Make a new monitor for each calibration.

    Shift, blur and a change of light are only found if the image shows the usual scene. A missing part, or a stain that
    covers half of it, is not a finding: the score judges it.
    """

    def __init__(self, reference: CameraReference, *, rule_frames: int = 1) -> None:
        """Args:
        reference: that of the calibration in force; without a view, only blank and frozen images are found.
        rule_frames: frames that the alarm rule looks at; a still part is seen by the whole rule before the image counts
            as frozen.
        """
        self._reference = reference
        self._view = reference.view
        self._aligner = None if reference.view is None else Aligner(reference.view.image)
        usual = 0 if reference.view is None else reference.view.longest_repeat
        self._most_repeats = max(2 * usual, _LEAST_FROZEN_REPEATS, rule_frames)
        self._last: Pixels | None = None
        self._repeats = 0

    def check(self, seen: Glance) -> Finding | None:
        """Check the next image, prepared like those of the calibration; None if it has no symptom."""
        frozen = self._frozen(seen.sample)
        return self._black(seen.sample) or self._saturated(seen.sample) or frozen or self._unlike(seen)

    @property
    def light_spread(self) -> float:
        """By how much the light of good images differs, as a share of the usual light, > 0."""
        usual = self._reference.mean_level
        return max(_LIGHT_MARGIN, (usual.high - usual.low) / usual.middle if usual.middle > 0.0 else 0.0)

    def light(self, seen: Glance) -> float:
        """Return the light of an image as a share of the usual light; 1.0 if it is usual, or if only the part differs.

        Brightness and contrast of a scene fall alike with the light. If they do not, the part is darker. A brighter
        image may be clipped, so that its contrast shows nothing.
        """
        usual = self._reference.mean_level
        light = seen.level / usual.middle if usual.middle > 0.0 else 1.0
        if (1.0 - _LIGHT_MARGIN) * usual.low <= seen.level <= (1.0 + _LIGHT_MARGIN) * usual.high:
            return 1.0
        if self._view is None or self._aligner is None or seen.view.shape != self._view.image.shape:
            return light
        contrast = self._aligner.align(seen.view, enough=self._view.match.low).contrast
        steady = self._view.match.low >= _STEADY_MATCH
        return 1.0 if steady and light < 1.0 and abs(contrast - light) > _SAME_LIGHT * light else light

    def _black(self, sample: Pixels) -> Finding | None:
        full, usual = float(np.iinfo(sample.dtype).max), self._reference.high_level
        limit = max(_BLACK_SHARE * usual.low, BLACK_LEVEL_8 if sample.dtype == np.uint8 else BLACK_LEVEL_16)
        if np.count_nonzero(sample > limit * full) > 0.01 * sample.size:
            return None
        return Finding(Symptom.BLACK, f"black: 99% of the pixels are below {limit:.1%}, wanted {usual.middle:.0%}")

    def _saturated(self, sample: Pixels) -> Finding | None:
        usual = self._reference.saturated_share.high
        share = np.count_nonzero(sample >= saturation_level(sample)) / sample.size
        if share <= usual + _SATURATED_SHARE * (1.0 - usual):
            return None
        return Finding(Symptom.SATURATED, f"saturated: {share:.0%} of the pixels, wanted at most {usual:.0%}")

    def _frozen(self, sample: Pixels) -> Finding | None:
        last, self._last = self._last, sample
        if last is None or last.shape != sample.shape:
            return None
        moved = np.count_nonzero(sample != last) / sample.size
        # The limit is lower for a camera with little noise.
        repeats = moved == 0.0 or moved < min(LEAST_MOVED_SHARE, 0.3 * self._reference.moved_share.low)
        self._repeats = self._repeats + 1 if repeats else 0
        if self._repeats <= self._most_repeats:
            return None
        wanted = f"wanted at most {self._most_repeats} repeats in a row"
        return Finding(Symptom.FROZEN, f"frozen: the image does not change, {wanted}")

    def _unlike(self, seen: Glance) -> Finding | None:
        if self._view is None or self._aligner is None:
            return None
        if seen.view.shape != self._view.image.shape:
            return None
        aligned = self._aligner.align(seen.view, enough=self._view.match.low)
        usual_scene = self._view.match.low >= _STEADY_MATCH and aligned.match >= _least_match(self._view)
        # Noise hides detail in low light, so the light is checked first.
        lit = self._lit(seen, aligned) if usual_scene else None
        return lit or _blurred(seen, self._view) or (_shifted(aligned, self._view) if usual_scene else None)

    def _lit(self, seen: Glance, aligned: Alignment) -> Finding | None:
        usual = self._reference.mean_level
        light = seen.level / usual.middle if usual.middle > 0.0 else 1.0
        if abs(aligned.contrast - light) > _SAME_LIGHT * light:
            return None
        if seen.level < _LEAST_LIGHT * usual.low:
            return Finding(Symptom.DARK, f"dark: {light:.0%} of the light of good images")
        if seen.level > _MOST_LIGHT * usual.high:
            return Finding(Symptom.BRIGHT, f"bright: {light:.0%} of the light of good images")
        return None


class SizeMonitor:
    """Checks that a camera delivers images of the size that it was calibrated with."""

    def __init__(self, reference: SourceReference | None) -> None:
        """Args: reference: that of the calibration; None: the size of the first image checked counts."""
        self._any_size = reference is not None and reference.height is None
        self._wanted = None if reference is None else (reference.height, reference.width)

    def check(self, height: int, width: int) -> Finding | None:
        """Check the size of the next source image, pixels; None if it is the usual one."""
        if self._any_size or self._wanted == (height, width):
            return None
        if self._wanted is None:
            self._wanted = height, width
            return None
        got, wanted = f"{width}×{height}", f"{self._wanted[1]}×{self._wanted[0]}"
        reason = f"resized: the images are {got}, the calibration is for {wanted}; set the camera back, or recalibrate"
        return Finding(Symptom.RESIZED, reason)


def _blurred(seen: Glance, usual: ViewReference) -> Finding | None:
    if seen.structure < _LEAST_STRUCTURE * usual.structure.low:
        return None
    share = seen.detail / usual.detail.low if usual.detail.low > 0.0 else 1.0
    if usual.edges.low > _EDGES_SHARE * usual.detail.middle:
        share = min(share, max(0.0, seen.edges / usual.edges.low))
    if share >= _BLURRED_SHARE:
        return None
    return Finding(Symptom.DEFOCUSED, f"defocused: {share:.0%} of the fine detail of good images")


def _shifted(aligned: Alignment, usual: ViewReference) -> Finding | None:
    limit = max(_LEAST_SHIFT, _SHIFT_PIXELS / max(usual.image.shape), 2.0 * usual.shift.high)
    # The shift must explain most of the mismatch in place.
    explained = aligned.match - aligned.match_in_place > 0.5 * (1.0 - aligned.match_in_place)
    if aligned.shift <= limit or not explained:
        return None
    return Finding(
        Symptom.SHIFTED,
        f"shifted: by {aligned.shift:.0%} of the image, wanted at most {limit:.0%}; was the camera moved?",
    )


def _least_match(usual: ViewReference) -> float:
    """Return the least match of the usual scene: three times as far from 1 as that of the worst good images."""
    return max(1.0 - 3.0 * (1.0 - usual.match.low), 0.5)
