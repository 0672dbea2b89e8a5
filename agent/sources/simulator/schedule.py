"""The schedule of the simulated line: which part is under the camera, whether it is bad, and the image of it.

Everything is a function of seed, mode and index alone. A test that knows these can compute what a frame shows without
seeing it; the truth never travels with a frame, where scoring could use it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.records import Image
from agent.sources.simulator.casting import Casting
from agent.sources.simulator.drawing import Float
from agent.sources.simulator.plate import Plate
from agent.sources.simulator.scene import Defect, Pose, Scene

SCENES: dict[str, type[Scene]] = {"camera": Plate, "xray": Casting}

# Purposes of random numbers. Each has its own stream, so that a change in one does not affect the others.
PLAN, PLACE, DEFECT, VIBRATION, NOISE, LOOSE = range(6)

# How far loose parts lie from the middle, as a share of the frame's side, and by how much they are turned.
LOOSE_SHARE, LOOSE_DEGREES = 0.05, 10.0


# How far a part that leaves is from its place, frame widths; and one that is no longer there.
HALF_IN_VIEW, OUT_OF_VIEW = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Part:
    """One part on the line."""

    index: int
    """Number of the part, from 0."""
    kind: str | None
    """Kind of its defect; None for a good part."""
    pose: Pose
    """Position in the frame."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a frame really shows."""

    part: int | None
    """Index of the part in view; None between two parts."""
    kind: str | None = None
    """Kind of the part's defect; None for a good part."""
    x: int = 0
    """Left edge of the box around the defect, pixels."""
    y: int = 0
    """Top edge, pixels."""
    width: int = 0
    """Width of the box, pixels; 0 for a good part."""
    height: int = 0
    """Height of the box, pixels; 0 for a good part."""
    contrast: float = 0.0
    """Median relative change of the signal over the defect, > 0; 0.0 for a good part."""


class SimulatedLine:
    """Parts that pass under a camera one after the other.

    mode: "camera" (8-bit gray, a milled plate on a belt) or "xray" (16-bit, a casting in front of a flat detector).
    size: width and height of a frame, pixels.
    defect_rate: share of the parts that are bad, 0..1/(2 · min_gap_parts + 1).
    frames_per_part: successive frames that show the same part, each with its own vibration and noise.
    gap_frames: frames between two parts: the empty view, and with two or more a part that leaves, and one that enters.
    good_frames: the parts in these first frames are all good, for calibration.
    min_gap_parts: at least so many good parts are between two bad ones.
    loose: parts lie up to 5 % of the frame and 10 degrees away, instead of in a fixture.

    Raises ValueError for parameters out of range.
    """

    def __init__(
        self,
        mode: str = "camera",
        *,
        seed: int = 0,
        size: int = 512,
        defect_rate: float = 0.05,
        frames_per_part: int = 4,
        gap_frames: int = 0,
        good_frames: int = 0,
        min_gap_parts: int = 2,
        loose: bool = False,
    ) -> None:
        if mode not in SCENES:
            raise ValueError(f"simulator mode is {mode!r}, wanted one of {', '.join(SCENES)}")
        if size < 64 or frames_per_part < 1 or min(gap_frames, good_frames, min_gap_parts, seed) < 0:
            raise ValueError(
                f"simulator got size {size}, frames_per_part {frames_per_part}, gap_frames {gap_frames}, "
                f"good_frames {good_frames}, min_gap_parts {min_gap_parts}, seed {seed}; "
                "wanted size ≥ 64, frames_per_part ≥ 1 and none below 0"
            )
        self.mode = mode
        self.seed = seed
        self.frames_per_part = frames_per_part
        self.gap_frames = gap_frames
        self.good_parts = -(-good_frames // self.frames_per_cycle)
        self._min_gap_parts, self._loose = min_gap_parts, loose
        self._candidate_share = _candidate_share(defect_rate, min_gap_parts)
        self._scene = SCENES[mode](size)
        self._composed: tuple[tuple[int, float], Float] | None = None
        self._defect: tuple[int, Defect, float] | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of defects on this line."""
        return self._scene.kinds

    @property
    def size(self) -> int:
        """Width and height of a frame, pixels."""
        return self._scene.size

    @property
    def frames_per_cycle(self) -> int:
        """Frames from the first one of a part to that of the next."""
        return self.frames_per_part + self.gap_frames

    def part_in_view(self, frame_index: int) -> int | None:
        """Index of the part that frame `frame_index` shows completely; None between two parts."""
        part, place = divmod(frame_index, self.frames_per_cycle)
        return part if place < self.frames_per_part else None

    def part(self, index: int) -> Part:
        """Compute part `index`: good or bad, and its position."""
        rng = self._rng(PLACE, index)
        pose = self._loosened(self._scene.draw_pose(rng), index)
        kind = self.kinds[int(rng.integers(len(self.kinds)))] if self._is_defective(index) else None
        return Part(index, kind, pose)

    def truth(self, frame_index: int) -> Truth:
        """Compute what frame `frame_index` shows, without drawing it."""
        index = self.part_in_view(frame_index)
        if index is None or (part := self.part(index)).kind is None:
            return Truth(index)
        x, y, width, height = cv2.boundingRect(self.mask(frame_index)[:, :, 0])
        return Truth(part.index, part.kind, x, y, width, height, self._defect_of(part)[1])

    def mask(self, frame_index: int) -> NDArray[np.uint8]:
        """Mark the defect of frame `frame_index`: uint8 [H, W, 1], 255 on the defect and 0 elsewhere."""
        index = self.part_in_view(frame_index)
        if index is None or (part := self.part(index)).kind is None:
            return np.zeros((self.size, self.size, 1), np.uint8)
        placed = self._scene.place(self._defect_of(part)[0].mask, part.pose)
        return (self._vibrate(placed, frame_index) > 0.5).astype(np.uint8)[:, :, None] * 255

    def render(self, frame_index: int) -> tuple[Image, Truth]:
        """Draw frame `frame_index`: image [H, W, 1], uint8 (camera) or uint16 (xray), and its truth."""
        return self.image(frame_index), self.truth(frame_index)

    def image(self, frame_index: int) -> Image:
        """Draw frame `frame_index`: [H, W, 1], uint8 (camera) or uint16 (xray)."""
        scene = self._compose(*self._placed(frame_index))
        return self._scene.expose(self._vibrate(scene, frame_index), self._rng(NOISE, frame_index))

    def _loosened(self, pose: Pose, index: int) -> Pose:
        if not self._loose:
            return pose
        x, y, turn = self._rng(LOOSE, index).uniform(-1.0, 1.0, 3)
        reach = LOOSE_SHARE * self.size
        return replace(pose, x=pose.x + reach * x, y=pose.y + reach * y, degrees=pose.degrees + LOOSE_DEGREES * turn)

    def empty_image(self) -> Image:
        """The view without a part: [H, W, 1], as `image`."""
        return self._scene.expose(self._compose(0, OUT_OF_VIEW), self._rng(NOISE, 0))

    def _placed(self, frame_index: int) -> tuple[int, float]:
        """The part that a frame shows, and how far it is from its place, in frame widths to the right."""
        part, place = divmod(frame_index, self.frames_per_cycle)
        gap = place - self.frames_per_part
        if gap < 0:
            return part, 0.0
        if self.gap_frames > 1 and gap == 0:
            return part, HALF_IN_VIEW
        if self.gap_frames > 1 and gap == self.gap_frames - 1:
            return part + 1, -HALF_IN_VIEW
        return part, OUT_OF_VIEW

    def _compose(self, index: int, away: float) -> Float:
        key = index, away
        if self._composed is None or self._composed[0] != key:
            part = self.part(index)
            defect = None if part.kind is None or away else self._defect_of(part)[0]
            pose = replace(part.pose, x=part.pose.x + away * self.size)
            self._composed = key, self._scene.compose(pose, defect)
        return self._composed[1]

    def _defect_of(self, part: Part) -> tuple[Defect, float]:
        if self._defect is None or self._defect[0] != part.index:
            assert part.kind is not None
            defect = self._scene.draw_defect(part.kind, self._rng(DEFECT, part.index))
            self._defect = part.index, defect, self._scene.contrast(defect)
        return self._defect[1], self._defect[2]

    def _vibrate(self, scene: Float, frame_index: int) -> Float:
        shift_x, shift_y = self._rng(VIBRATION, frame_index).normal(0.0, self._scene.vibration_pixels, 2)
        return self._scene.shake(scene, float(shift_x), float(shift_y))

    def _is_defective(self, index: int) -> bool:
        """A candidate stays if no neighbour drew a lower lot (Matérn hard-core process, type II)."""
        if index < self.good_parts:
            return False
        mine = self._lot(index)
        neighbours = range(max(0, index - self._min_gap_parts), index + self._min_gap_parts + 1)
        return mine < self._candidate_share and all(self._lot(other) > mine for other in neighbours if other != index)

    def _lot(self, index: int) -> float:
        return float(self._rng(PLAN, index).random())

    def _rng(self, purpose: int, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, list(SCENES).index(self.mode), purpose, index))


def _candidate_share(defect_rate: float, min_gap_parts: int) -> float:
    """The share of candidates of which `defect_rate` is left after the thinning in `_is_defective`.

    A candidate with lot u stays if its K − 1 neighbours drew more: ∫₀ᵖ (1 − u)^(K−1) du = (1 − (1 − p)^K) / K.

    >>> _candidate_share(0.25, 0)
    0.25
    >>> round(_candidate_share(0.1, 2), 6)
    0.129449
    """
    parts = 2 * min_gap_parts + 1
    if not 0.0 <= defect_rate <= 1.0 / parts:
        raise ValueError(
            f"defect rate is {defect_rate}, wanted 0 to {1.0 / parts:.3f} with {min_gap_parts} good parts between bad"
        )
    return float(1.0 - (1.0 - parts * defect_rate) ** (1.0 / parts))
