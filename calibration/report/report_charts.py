"""The two charts of the report, as SVG: the scores of the window, and the false-alarm rate against the threshold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.budgets import Budget
from calibration.statistics import (
    Exceedances,
    StatedRates,
    Values,
    alarm_rate,
    counted_rate,
    most_kept_out,
    threshold_for,
)
from calibration.store import Calibration

# Longer windows are drawn as the lowest and highest score of each column of pixels.
_MOST_DOTS = 4_000

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 980.0, 310.0, 56.0, 28.0, 24.0


class _Scale:
    """Maps a range of values to a range of pixels."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high = low, high if high > low else low + 1.0
        self._start, self._slope = start, (end - start) / (self.high - self.low)

    def __call__(self, value: float) -> float:
        return self._start + (value - self.low) * self._slope

    def ticks(self, about: int = 5) -> Values:
        """Return round values within the range, about so many."""
        rough = (self.high - self.low) / about
        power = 10.0 ** np.floor(np.log10(rough))
        step = power * min((1, 2, 5, 10), key=lambda each: abs(each - rough / power))
        return np.asarray(np.arange(np.ceil(self.low / step), np.floor(self.high / step) + 1) * step)


def score_trace(calibration: Calibration) -> str:
    """Draw the scores in order, their histogram beside them, and the threshold across both."""
    scores = calibration.scores.astype(np.float64)
    threshold = calibration.threshold.value
    top = max(float(scores.max()), threshold)
    y = _Scale(min(0.0, float(scores.min())), top * 1.06, _HEIGHT - _BOTTOM, _TOP)
    x = _Scale(0, scores.size, _LEFT, 770)
    out = {each.index for each in calibration.left_out}
    kept = np.array([index not in out for index in range(scores.size)])
    size = 1.8 if scores.size < 1_000 else 1.1
    dots = "".join(
        f'<circle class="dot" cx="{x(i):.1f}" cy="{y(v):.1f}" r="{size}"/>' for i, v in _thinned(scores, kept)
    )
    rings = "".join(f'<circle class="out" cx="{x(i):.1f}" cy="{y(scores[i]):.1f}" r="4"/>' for i in sorted(out))
    frames = "".join(
        f'<text x="{x(tick):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{tick:,.0f}</text>' for tick in x.ticks()
    )
    line = (
        f'<line class="threshold" x1="{_LEFT}" x2="{_WIDTH}" y1="{y(threshold):.1f}" y2="{y(threshold):.1f}"/>'
        f'<text class="alarm" x="{_WIDTH}" y="{y(threshold) - 6:.1f}" text-anchor="end">'
        f"threshold {threshold:.4g}</text>"
    )
    parts = (_value_axis(y), frames, dots, rings, _histogram(scores[kept], y), line)
    return _svg("Scores of the window in order, their histogram and the threshold", parts)


def _thinned(scores: Values, kept: NDArray[np.bool_]) -> Iterable[tuple[int, float]]:
    """Yield place and score of every kept frame of a short window, of a long one the extremes of each column."""
    indices = np.flatnonzero(kept)
    if indices.size > _MOST_DOTS:
        columns = np.array_split(indices, _MOST_DOTS // 4)
        extremes = [(part[np.argmin(scores[part])], part[np.argmax(scores[part])]) for part in columns]
        indices = np.unique(np.array(extremes).ravel())
    return ((int(index), float(scores[index])) for index in indices)


def _histogram(scores: Values, y: _Scale) -> str:
    counts, edges = np.histogram(scores, bins=40)
    x = _Scale(0, float(counts.max()), 800, 940)
    return "".join(
        f'<rect class="bar" x="800" y="{y(high):.1f}" width="{x(count) - 800:.1f}" '
        f'height="{max(0.5, y(low) - y(high) - 1):.1f}"/>'
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    )


@dataclass(frozen=True)
class RateCurve:
    """False alarms per span of a calibration's budget at any threshold, as its promise states them at its own."""

    exceedances: Exceedances
    """Of the scores that were kept."""
    whole: Exceedances | None
    """With the scores of images left out or kept out, if nobody has confirmed them as bad: the rates count them as
    good."""
    spare: int | None
    """So many more images could have been kept out before the window would have been rejected; None: none was."""
    budget: Budget
    frames_per_second: float
    certified: bool
    """True if the kept scores alone certify the budget: rates are counted then, else the tail may lower them."""
    level: float
    """The threshold that the kept scores alone give, units of the scores."""
    chosen: float
    """The threshold of the calibration, units of the scores."""
    raised: bool
    """True if the calibration's threshold is higher, because of images left out; rates then stay those at `level`."""

    @classmethod
    def of(cls, calibration: Calibration) -> RateCurve:
        """Measure the window of a calibration once more: records hold its scores, not its exceedances."""
        exceedances = _exceedances(calibration, calibration.kept_scores)
        counted = calibration.counted_scores
        whole = _exceedances(calibration, counted) if counted.size > calibration.kept_scores.size else None
        budget, frames_per_second = calibration.budget, calibration.frames_per_second
        found = threshold_for(exceedances, budget=budget, frames_per_second=frames_per_second)
        # Records hold float32 scores, so the level found again differs in the last digits.
        chosen = calibration.threshold.value
        raised = chosen - found.value > 1e-4 * exceedances.spread
        return cls(
            exceedances,
            whole,
            most_kept_out(calibration.scores.size) - len(calibration.kept_out) if calibration.kept_out else None,
            budget,
            frames_per_second,
            found.certified,
            found.value,
            chosen,
            raised,
        )

    @property
    def span_frames(self) -> float:
        """Length of the budget's span, frames."""
        return self.budget.span_frames(frames_per_second=self.frames_per_second)

    def at(self, level: float) -> tuple[float, float]:
        """Return the likely and the highest rate at a threshold, alarms per span."""
        supported = min(level, self.level) if self.raised else level
        rate = alarm_rate(self.exceedances, supported, certified=self.certified)
        likely, worst = min(rate.likely, 1.0), min(rate.worst, 1.0)
        if self.whole is not None:
            counted = self._counted_level(level)
            rate = counted_rate(self.whole, counted, spare=self.spare)
            likely, worst = max(likely, rate.likely), max(worst, rate.worst)
        return likely * self.span_frames, worst * self.span_frames

    def _counted_level(self, level: float) -> float:
        """Return the level at which the images left out are counted: the threshold itself from `self.level` on.

        It may be a score, which the record has rounded to float32: just above that it counts what the promise counts.
        """
        near = abs(level - self.chosen) <= 1e-6 * abs(self.chosen)
        if near or (self.raised and level >= self.level):
            return float(np.nextafter(np.float32(self.chosen), np.float32(np.inf)))
        return level

    def counted(self) -> tuple[Values, Values]:
        """Return the thresholds [n], falling, at which one more alarm appears in the window, and the rates [n]."""
        levels = self.exceedances.counts.highest_levels(self.exceedances.counts.frames)
        return levels, np.arange(1, levels.size + 1) / self.exceedances.counts.frames * self.span_frames


def _exceedances(calibration: Calibration, scores: Values) -> Exceedances:
    return Exceedances.of(
        scores,
        rule=calibration.rule,
        confidence=calibration.confidence,
        quiet_frames=calibration.quiet_frames,
        parts=calibration.parts,
    )


def rate_chart(calibration: Calibration, curve: RateCurve) -> str:
    """Draw false alarms per span of the budget against the threshold: counted, likely, at worst, budget and choice."""
    threshold, base = calibration.threshold.value, curve.exceedances.tail.base
    levels, rates = curve.counted()
    right = base + 1.15 * max(threshold - base, float(levels[0]) - base)
    x = _Scale(min(base, float(np.quantile(levels, 0.5))), right, _LEFT + 14, _WIDTH - 8)
    y = _LogScale(min(curve.budget.alarms, curve.at(threshold)[0]) / 8, float(rates[-1]) * 2)
    seen = int((levels >= x.low).sum())
    some = np.unique(np.geomspace(1, max(1, seen), 300).astype(int)) - 1
    dots = "".join(f'<circle class="dot" cx="{x(levels[j]):.1f}" cy="{y(rates[j]):.1f}" r="2"/>' for j in some)
    parts = (_rate_axis(y, curve.budget), _level_axis(x), _band(curve, x, y), dots, _marks(calibration, x, y))
    return _svg(f"False alarms per {curve.budget.span} against the threshold, and the budget", parts)


def _band(curve: RateCurve, x: _Scale, y: _LogScale) -> str:
    """The likely rate as a line, and the area from it up to the highest rate."""
    lowest = x.low if curve.certified else max(curve.exceedances.tail.base, x.low)
    levels = np.union1d(np.linspace(lowest, x.high, 120), [min(max(curve.level, lowest), x.high)])
    likely, worst = zip(*(curve.at(float(level)) for level in levels), strict=True)
    line = [f"{x(level):.1f},{y(rate):.1f}" for level, rate in zip(levels, likely, strict=True)]
    edge = [f"{x(level):.1f},{y(rate):.1f}" for level, rate in zip(levels, worst, strict=True)]
    return (
        f'<polygon class="band" points="{" ".join(edge + line[::-1])}"/>'
        f'<polyline class="curve" points="{" ".join(line)}"/>'
    )


def _marks(calibration: Calibration, x: _Scale, y: _LogScale) -> str:
    """The budget, the threshold, and the rates that the promise states there."""
    threshold, budget = calibration.threshold, calibration.budget
    rates = StatedRates.of(threshold, budget=budget, frames_per_second=calibration.frames_per_second)
    across, down = y(budget.alarms), x(threshold.value)
    words = [f"threshold {threshold.value:.4g}", f"likely {rates.likely_text}", f"at worst {rates.worst_text}"]
    stated = [rates.likely, rates.worst]
    if not rates.carried:
        del words[1], stated[0]
    # Words go to the side of the threshold that has room, the name of the budget to the other end.
    left = down < 0.5 * _WIDTH
    at, anchor, end = (down + 8, "start", "end") if left else (down - 8, "end", "start")
    far = _WIDTH - 6 if left else _LEFT + 6
    lines = (
        f'<line class="budget" x1="{_LEFT}" x2="{_WIDTH}" y1="{across:.1f}" y2="{across:.1f}"/>',
        f'<text class="strong" x="{far}" y="{across - 6:.1f}" text-anchor="{end}">budget: {budget.alarms:g}</text>',
        f'<line class="threshold" x1="{down:.1f}" x2="{down:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>',
        *(f'<circle class="stated" cx="{down:.1f}" cy="{y(rate):.1f}" r="4"/>' for rate in stated),
    )
    texts = (
        f'<text class="alarm" x="{at:.1f}" y="{_TOP + 10 + 15 * row}" text-anchor="{anchor}">{text}</text>'
        for row, text in enumerate(words)
    )
    return "".join((*lines, *texts))


class _LogScale:
    """Maps rates per span to pixels, whole powers of ten at both ends."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = np.floor(np.log10(low)), np.ceil(np.log10(high))
        self._scale = _Scale(float(self.low), float(self.high), _HEIGHT - _BOTTOM, _TOP)

    def __call__(self, rate: float) -> float:
        return self._scale(float(np.clip(np.log10(max(rate, 1e-300)), self.low, self.high)))


def _value_axis(y: _Scale) -> str:
    return "".join(
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in y.ticks()
    )


def _level_axis(x: _Scale) -> str:
    return "".join(
        f'<text x="{x(tick):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{tick:g}</text>' for tick in x.ticks(8)
    )


def _rate_axis(y: _LogScale, budget: Budget) -> str:
    step = max(1, int((y.high - y.low) // 6))
    powers = np.arange(y.low, y.high + 1, step)
    return f'<text x="0" y="{_TOP - 12}">false alarms per {budget.span}</text>' + "".join(
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{y(10**power):.1f}" y2="{y(10**power):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y(10**power) + 4:.1f}" text-anchor="end">{_short(10.0**power)}</text>'
        for power in powers
    )


def _short(rate: float) -> str:
    return f"{rate / 1e6:g}M" if rate >= 1e6 else f"{rate / 1e3:g}k" if rate >= 1e4 else f"{rate:,.10g}"


def _svg(title: str, parts: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img"><title>{title}</title>{"".join(parts)}</svg>'
