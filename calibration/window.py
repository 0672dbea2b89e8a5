"""The window of good frames: filled frame by frame, extended where it must be, turned into a `Calibration`."""

from __future__ import annotations

import heapq
import math
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from calibration.budget import Budget
from calibration.camera_history import CameraHistory
from calibration.episodes import EpisodeCounts
from calibration.errors import CalibrationError, ImageEvidence
from calibration.heat import HeatLevels
from calibration.image_measures import Pixels, png, thumbnail
from calibration.promise import cost_of_leaving_out, promise
from calibration.record import Calibration, LeftOut, score_reference
from calibration.rule import Rule
from calibration.suspects import MOST_BAD, MOST_SUSPECTED, doubtful_level, suspected_frames
from calibration.threshold import LEAST_FRAMES, Threshold, calibrate

# Thumbnails of the highest-scored frames that a window keeps: 2 MB, and more than anybody looks at.
_MOST_THUMBNAILS = 64

# Where no window within the limit can certify the budget, this many independent frames still make a fair tail.
_FAIR_SAMPLE = 100

# An extension overshoots what is needed a little, so that it is the last one.
_OVERSHOOT = 1.1


class Window:
    """Collects good frames until they suffice, then says what they promise.

    Feed it with `add` until `complete`, then call `finish`. It starts out wanting `frames` frames and extends itself up
    to `max_frames` where dependence leaves them worth too little for the budget. Memory is bounded: under 100 MB for
    100,000 frames.
    """

    def __init__(
        self,
        *,
        frames: int,
        max_frames: int,
        rule: Rule,
        budget: Budget,
        frames_per_second: float,
        confidence: float = 0.95,
        quiet_frames: int = 1,
    ) -> None:
        """Open an empty window.

        Args:
            frames: good frames wanted at first, at least 50 and at least 10 times the rule's n.
            max_frames: limit to extensions, at least `frames`.
            frames_per_second: rate of the line, for budgets per time.

        Raises:
            CalibrationError: on a number outside its range.
        """
        least = max(LEAST_FRAMES, 10 * rule.n)
        if not least <= frames <= max_frames:
            raise CalibrationError(
                f"window: got {frames} of at most {max_frames} frames, "
                f"wanted at least {least}, and no more than the most"
            )
        self.target = frames
        """Frames wanted now."""
        self.max_frames = max_frames
        """Limit to `target`."""
        self.rule, self.budget, self.confidence = rule, budget, confidence
        self.frames_per_second, self.quiet_frames = frames_per_second, quiet_frames
        self._scores: list[float] = []
        self._heat = HeatLevels(left_out=math.floor(MOST_SUSPECTED * max_frames) + 1)
        self._camera = CameraHistory()
        self._thumbnails: list[tuple[float, int, NDArray[np.uint8]]] = []
        self._first_frame = self._last_frame = 0

    @property
    def count(self) -> int:
        """Frames taken so far."""
        return len(self._scores)

    @property
    def complete(self) -> bool:
        """True once `target` frames were taken."""
        return self.count >= self.target

    def add(self, score: float, heatmap: NDArray[np.float32], picture: Pixels, *, frame: int | None = None) -> None:
        """Take one good frame.

        Args:
            score: its score.
            heatmap: its raw heat, float32 [h, w]; copied.
            picture: its pixels, uint8 or uint16 [H, W, C], C = 1 or 3; not kept.
            frame: its index as the camera counts; its place in the window where not given.

        Raises:
            CalibrationError: a score that is no finite number, or pictures or heatmaps that change size.
        """
        score, index = float(score), self.count
        if not math.isfinite(score):
            raise CalibrationError(
                f"window: frame {index} scores {score}, wanted a finite number", pictures=[(index, thumbnail(picture))]
            )
        self._camera.add(picture)
        self._heat.add(index, score, heatmap)
        self._keep_thumbnail(score, index, picture)
        self._last_frame = index if frame is None else frame
        if not self._scores:
            self._first_frame = self._last_frame
        self._scores.append(score)
        if self.complete and self.target < self.max_frames:
            self._extend()

    def finish(self, *, camera: str, bundle_sha256: str, engine: str, created_at: datetime, who: str) -> Calibration:
        """Calibrate on what was collected.

        Args:
            camera, bundle_sha256, engine: what the calibration will be tied to.
            created_at: now, with a time zone.
            who: who asked for it.

        Raises:
            CalibrationError: too few frames, a frozen, black or saturated camera, scores that are all the same, more
                than 5 % suspected frames; `pictures` shows the frames in question.
        """
        self._camera.check(pictures=self._pictures())
        scores = np.array(self._scores)
        suspected = self._suspected(scores)
        kept = scores[~suspected]
        threshold = self._not_below_good_frames(self._calibrate(kept), scores, suspected)
        return Calibration(
            camera=camera,
            bundle_sha256=bundle_sha256,
            engine=engine,
            created_at=created_at,
            who=who,
            budget=self.budget,
            rule=self.rule,
            confidence=self.confidence,
            quiet_frames=self.quiet_frames,
            frames_per_second=self.frames_per_second,
            first_frame=self._first_frame,
            last_frame=self._last_frame,
            threshold=threshold,
            promise=promise(threshold, budget=self.budget, confidence=self.confidence),
            left_out=self._left_out(scores, suspected),
            left_out_cost=cost_of_leaving_out(
                scores, threshold, rule=self.rule, quiet_frames=self.quiet_frames, left_out=int(suspected.sum())
            ),
            scores=scores.astype(np.float32),
            heat_level=self._heat.level(suspected),
            score_reference=score_reference(kept),
            camera_reference=self._camera.reference(),
        )

    def _calibrate(self, scores: NDArray[np.float64]) -> Threshold:
        return calibrate(
            scores,
            frames_per_second=self.frames_per_second,
            budget=self.budget,
            rule=self.rule,
            confidence=self.confidence,
            quiet_frames=self.quiet_frames,
        )

    def _not_below_good_frames(
        self, threshold: Threshold, scores: NDArray[np.float64], suspected: NDArray[np.bool_]
    ) -> Threshold:
        """A threshold from what is left, not nearer to it than to frames that were left out and may have been good."""
        level = doubtful_level(scores, suspected, self.budget.per_frame(frames_per_second=self.frames_per_second))
        if level is None:
            return threshold
        counts = EpisodeCounts(self.rule.statistic(scores[~suspected]), quiet_frames=self.quiet_frames)
        why = "to halfway to the frames that were left out, which may have been good"
        return threshold.raised_to(level, episodes=counts.at(level), why=why)

    def _extend(self) -> None:
        """Ask for more frames where these do not suffice and more would.

        More would where a window within the limit certifies the budget, or else where these are worth so few
        independent frames that even an extrapolation has no ground.
        """
        scores = np.array(self._scores)
        try:
            kept = scores[~suspected_frames(scores)[0]]
            threshold = self._calibrate(kept)
        except CalibrationError:
            # Refused already; `finish` says why, with the pictures.
            return
        if threshold.certified:
            return
        needed = threshold.frames_needed or 0
        if needed > self.max_frames:
            needed = math.ceil(self.count * _FAIR_SAMPLE / threshold.effective_sample_size)
        if needed > self.count:
            # At most doubled at a time: a first estimate of the dependence may be far too high.
            self.target = min(self.max_frames, 2 * self.count, max(self.count + 1, math.ceil(_OVERSHOOT * needed)))

    def _suspected(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        if scores.size and scores.min() == scores.max():
            raise CalibrationError(
                f"window: all {scores.size} frames score {scores[0]:g}, wanted scores that differ (camera frozen?)",
                pictures=self._pictures(),
            )
        suspected, _ = suspected_frames(scores)
        if suspected.sum() > MOST_SUSPECTED * scores.size:
            raise CalibrationError(
                f"window: {suspected.sum()} of {scores.size} frames look unlike the rest, wanted at most "
                f"{MOST_BAD:.0%}; take a window of good parts only",
                pictures=self._pictures(suspected),
            )
        return suspected

    def _left_out(self, scores: NDArray[np.float64], suspected: NDArray[np.bool_]) -> tuple[LeftOut, ...]:
        pictures = dict(self._pictures(suspected))
        highest_first = sorted(np.flatnonzero(suspected), key=lambda at: -scores[at])
        why = "score far above what the other frames of the window explain"
        return tuple(
            LeftOut(int(at), float(scores[at]), why, png(pictures[int(at)]) if int(at) in pictures else None)
            for at in highest_first
        )

    def _keep_thumbnail(self, score: float, index: int, picture: Pixels) -> None:
        full = len(self._thumbnails) >= _MOST_THUMBNAILS
        if full and score <= self._thumbnails[0][0]:
            return
        entry = (score, index, thumbnail(picture))
        (heapq.heappushpop if full else heapq.heappush)(self._thumbnails, entry)

    def _pictures(self, wanted: NDArray[np.bool_] | None = None) -> list[ImageEvidence]:
        """The thumbnails that were kept, highest score first; only of the frames that are wanted, where given."""
        highest_first = sorted(self._thumbnails, key=lambda entry: entry[:2], reverse=True)
        return [(index, small) for _, index, small in highest_first if wanted is None or wanted[index]]
