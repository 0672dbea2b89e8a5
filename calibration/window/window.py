"""The window of good frames: filled frame by frame, extended if necessary, then turned into a `Calibration`."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import Arrays, from_document, of_prefix, stacked, to_document, with_prefix
from calibration.budgets import Budget, plural
from calibration.camera import CameraHistory, Pixels, SourceReference, encode_png, shown_between, thumbnail
from calibration.errors import CalibrationError, ImageEvidence
from calibration.statistics import LEAST_FRAMES, MOST_BAD, MOST_SUSPECTED, Rule, most_kept_out, suspected_frames
from calibration.store import Calibration, LeftOut, Origin, score_reference
from calibration.window.conclusion import Terms, conclude, use_fresh
from calibration.window.growth import extension
from calibration.window.heat import HeatLevels

# Thumbnails of the highest-scored frames that a window keeps: 2 MB, 4 MB with 16 bits, and more than a person reviews.
_MOST_THUMBNAILS = 64

# What a window that is continued after a restart takes over as it is.
_NUMBERS = ("target", "extension_reason", "_first_frame", "_last_frame")
_MEASURED = ("frames_per_second", "quiet_frames")

_FAR = "score far above the other images of the window"


class Window:
    """Collects good frames until they suffice, then computes the calibration.

    Call `add` until `complete`, then `finish`. The window is `frames` long at first and extends itself, up to
    `max_frames`, if its frames depend so much on each other that they do not suffice for the budget. Memory is bounded:
    under 100 MB for 100,000 frames.
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
        parts: bool = False,
        vouched: bool = False,
    ) -> None:
        """Open an empty window.

        Args:
            frames: good frames wanted at first, at least 50 and at least 10 times the rule's n.
            max_frames: limit on extensions, at least `frames`.
            rule, budget, frames_per_second, confidence, quiet_frames, parts: as in `calibrate`.
            vouched: a person vouches for every frame: none is left out.

        Raises:
            CalibrationError: `frames` or `max_frames` is out of range.
        """
        self._least = least = _least_frames(rule, frames, max_frames)
        self.target = frames
        """Frames wanted so far."""
        self.max_frames = max_frames
        self.extension_reason: str | None = None
        """Why `target` was raised last, in words; None if it never was."""
        self.vouched = vouched
        self.terms = Terms(rule, budget, frames_per_second, confidence, quiet_frames, parts)
        """What the threshold is computed for; may be replaced before `finish`, once the rate of the line is known."""
        self._scores, self._first_scores = list[float](), list[float]()
        self._alarmed: list[tuple[int, float]] = []
        longest = max(max_frames, math.ceil(least / (1 - MOST_SUSPECTED)))
        self._heat = HeatLevels(left_out=math.floor(MOST_SUSPECTED * longest) + 1)
        self._camera = CameraHistory()
        self._thumbnails: list[tuple[float, int, Pixels]] = []
        self._first_frame = self._last_frame = 0

    @property
    def count(self) -> int:
        """Frames collected so far."""
        return len(self._scores)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Scores of the frames collected so far, in order of capture [N]."""
        return np.array(self._scores)

    @property
    def first_scores(self) -> NDArray[np.float64]:
        """Scores of single images [N], to compare with those of other single images: of each part its first frame."""
        return np.array(self._first_scores)

    @property
    def complete(self) -> bool:
        """True once `target` frames are collected."""
        return self.count >= self.target

    def add(
        self,
        score: float,
        heatmap: NDArray[np.float32],
        image: Pixels,
        *,
        frame: int | None = None,
        first_score: float | None = None,
    ) -> None:
        """Add one good frame.

        Args:
            score: its score.
            heatmap: its raw heatmap, float32 [h, w]; copied.
            image: its pixels, uint8 or uint16 [H, W, C], C = 1 or 3; not kept.
            frame: the camera's index of it; by default its place in the window.
            first_score: of a part's frames, of which this one has the highest score, that of the first one; None: the
                frame stands alone.

        Raises:
            CalibrationError: the score is not finite, or image or heatmap differ in size from those before.
        """
        score, index = float(score), self.count
        if not math.isfinite(score):
            raise CalibrationError(
                f"window: image {index} has score {score}, wanted a finite number",
                images=[(index, shown_between(thumbnail(image), None))],
            )
        self._camera.add(image)
        self._heat.add(index, score, heatmap)
        self._keep_thumbnail(score, index, image)
        self._last_frame = index if frame is None else frame
        if not self._scores:
            self._first_frame = self._last_frame
        self._scores.append(score)
        self._first_scores.append(score if first_score is None else first_score)
        if self.complete:
            self._replace_left_out()
        if self.complete and self.target < self.max_frames:
            self._extend()

    def arrays(self) -> Arrays:
        """Return everything but what the constructor takes, for `restore`."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        numbers |= {name: getattr(self.terms, name) for name in _MEASURED}
        return {
            "numbers": from_document(numbers),
            "scores": np.array(self._scores, np.float64),
            "first_scores": np.array(self._first_scores, np.float64),
            "alarmed": np.array(self._alarmed, np.float64).reshape(-1, 2),
            "thumbnails": stacked([small for _, _, small in self._thumbnails]),
            "shown": np.array([entry[:2] for entry in self._thumbnails], np.float64).reshape(-1, 2),
            **with_prefix("heat", self._heat.arrays()),
            **with_prefix("camera", self._camera.arrays()),
        }

    def restore(self, arrays: Arrays) -> None:
        """Continue where another window with the same settings was when it returned these `arrays`."""
        numbers = to_document(arrays["numbers"])
        for name in _NUMBERS:
            setattr(self, name, numbers[name])
        self.terms = replace(self.terms, **{name: numbers[name] for name in _MEASURED})
        self._scores = arrays["scores"].tolist()
        self._first_scores = arrays.get("first_scores", arrays["scores"]).tolist()
        self._alarmed = [(int(place), score) for place, score in arrays["alarmed"].tolist()]
        shown = zip(arrays["shown"].tolist(), arrays["thumbnails"], strict=True)
        self._thumbnails = [(score, int(index), small) for (score, index), small in shown]
        self._heat.restore(of_prefix("heat", arrays))
        self._camera.restore(of_prefix("camera", arrays))

    def keep_out_alarmed(self, score: float) -> None:
        """Note that a frame was kept out of the window because it raised an alarm under the threshold in force.

        The window is then censored at that threshold, and never certified. Its upper limits count the frame as good.

        Args:
            score: of the frame.

        Raises:
            CalibrationError: so many frames were kept out that even the longest window would be rejected.
        """
        self._alarmed.append((self.count, float(score)))
        self._check_alarmed(self.max_frames)

    def check(self) -> None:
        """Raise CalibrationError, as `finish` does, for a fault that is not about single images."""
        self._camera.check(images=self._images())
        self._check_alarmed(self.count)
        lowest = min(self._scores, default=0.0)
        if self._scores and lowest == max(self._scores):
            raise CalibrationError(
                f"window: all {self.count} images score {lowest:g}, wanted scores that differ (camera frozen?)",
                images=self._images(),
            )

    def finish(
        self,
        *,
        camera: str,
        bundle_sha256: str,
        engine: str,
        created_at: datetime,
        who: str,
        source: SourceReference | None = None,
        confirmed_bad: Collection[int] | None = None,
    ) -> Calibration:
        """Compute the calibration from the frames collected.

        Args:
            camera, bundle_sha256, engine: what it is valid for.
            created_at: with a time zone.
            who: name of the person or program that requested it.
            source: size and levels of the source images; None: not known.
            confirmed_bad: places in the window that a person has confirmed as bad; the person vouches for all others.
                None: nobody has looked at them.

        Raises:
            CalibrationError: too few frames, a frozen, black or saturated camera, equal scores, more than 5 %
                suspected frames, or more than 5 % kept out for an alarm; its `images` are those in question.
        """
        self.check()
        origin = Origin(camera=camera, bundle_sha256=bundle_sha256, engine=engine, created_at=created_at, who=who)
        return self._conclude(origin, source, () if self.vouched and confirmed_bad is None else confirmed_bad)

    def _conclude(
        self, origin: Origin, source: SourceReference | None, confirmed_bad: Collection[int] | None
    ) -> Calibration:
        confirmed, terms, scores = confirmed_bad is not None, self.terms, self.scores
        left_out = self._suspected(scores) if confirmed_bad is None else self._confirmed(scores, confirmed_bad)
        found = conclude(terms, scores, left_out, self._alarmed, confirmed=confirmed)
        return Calibration(
            **origin,
            **_fields(terms),
            first_frame=self._first_frame,
            last_frame=self._last_frame,
            threshold=found.threshold,
            promise=terms.promise(found.threshold),
            left_out=self._left_out(scores, left_out, f"thrown out by {origin['who']}" if confirmed else _FAR, source),
            left_out_cost="" if confirmed else terms.cost(found, scores, int(left_out.sum())),
            scores=scores.astype(np.float32),
            kept_out=tuple(self._alarmed),
            heat_level=self._heat.level(left_out),
            score_reference=score_reference(scores[~left_out]),
            camera_reference=self._camera.reference(),
            source=source,
        )

    def _check_alarmed(self, frames: int) -> None:
        alarmed = len(self._alarmed)
        if alarmed > most_kept_out(frames):
            raise CalibrationError(
                f"window: {plural(alarmed, 'image')} raised an alarm under the threshold in force and were kept "
                f"out, wanted at most {MOST_BAD:.0%}; {use_fresh(alarmed)}"
            )

    def _replace_left_out(self) -> None:
        """Ask for as many frames as are missing to the shortest window because others are left out of this one."""
        if self.count >= 2 * self._least:
            return
        left_out = int(self._unlike_the_rest(np.array(self._scores)).sum())
        if left_out <= MOST_SUSPECTED * self.count:
            self.target = max(self.target, self._least + left_out)

    def _extend(self) -> None:
        """Ask for more frames if these do not suffice and more would."""
        scores = np.array(self._scores)
        try:
            threshold = self.terms.calibrate(scores[~self._unlike_the_rest(scores)])
        except CalibrationError:
            # The window will be rejected: `finish` reports why, with the images.
            return
        more = extension(threshold, budget=self.terms.budget, count=self.count, max_frames=self.max_frames)
        if more is not None:
            self.target, self.extension_reason = more.frames, more.reason

    def _unlike_the_rest(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.zeros(scores.size, dtype=bool) if self.vouched else suspected_frames(scores)[0]

    def _confirmed(self, scores: NDArray[np.float64], bad: Collection[int]) -> NDArray[np.bool_]:
        mask = np.zeros(scores.size, dtype=bool)
        mask[sorted(bad)] = True
        return mask

    def _suspected(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        suspected = self._unlike_the_rest(scores)
        if suspected.sum() > MOST_SUSPECTED * scores.size:
            raise CalibrationError(
                f"window: {suspected.sum()} of {scores.size} images look unlike the rest, wanted at most "
                f"{MOST_BAD:.0%}; calibrate again on good parts only",
                images=self._images(suspected),
            )
        return suspected

    def _left_out(
        self, scores: NDArray[np.float64], suspected: NDArray[np.bool_], why: str, source: SourceReference | None
    ) -> tuple[LeftOut, ...]:
        images = dict(self._images(suspected, None if source is None else (source.black, source.white)))
        highest_first = sorted(np.flatnonzero(suspected), key=lambda at: -scores[at])
        return tuple(
            LeftOut(int(at), float(scores[at]), why, encode_png(images[int(at)]) if int(at) in images else None)
            for at in highest_first
        )

    def _keep_thumbnail(self, score: float, index: int, image: Pixels) -> None:
        full = len(self._thumbnails) >= _MOST_THUMBNAILS
        if full and score <= self._thumbnails[0][0]:
            return
        entry = (score, index, thumbnail(image))
        (heapq.heappushpop if full else heapq.heappush)(self._thumbnails, entry)

    def _images(
        self, wanted: NDArray[np.bool_] | None = None, levels: tuple[int, int] | None = None
    ) -> list[ImageEvidence]:
        """Return the kept thumbnails, highest score first; with a mask bool [N], only those of its frames.

        `levels` are those of the source images that are shown black and white.
        """
        highest_first = sorted(self._thumbnails, key=lambda entry: entry[:2], reverse=True)
        kept = [(index, small) for _, index, small in highest_first if wanted is None or wanted[index]]
        return [(index, shown_between(small, levels)) for index, small in kept]


def _least_frames(rule: Rule, frames: int, max_frames: int) -> int:
    """Return the least frames that a window needs; CalibrationError where these are fewer, or over the limit."""
    least = max(LEAST_FRAMES, 10 * rule.n)
    if least <= frames <= max_frames:
        return least
    got = f"got {frames} frames with a limit of {max_frames}"
    raise CalibrationError(f"window: {got}, wanted at least {least} frames and no more than the limit")


def _fields(terms: Terms) -> dict[str, Any]:
    """Return the fields by their names; the values are not copied."""
    return {field.name: getattr(terms, field.name) for field in fields(terms)}
