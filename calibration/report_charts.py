"""The two drawings of the report, as SVG: the scores of the window, and the rate of alarms against the threshold."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from calibration.exceedances import Exceedances
from calibration.record import Calibration

Values = NDArray[np.float64]

# More dots than this are drawn as the lowest and highest score of each column of pixels.
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
        """Round values within the range."""
        rough = (self.high - self.low) / about
        power = 10.0 ** np.floor(np.log10(rough))
        step = power * min((1, 2, 5, 10), key=lambda each: abs(each - rough / power))
        return np.asarray(np.arange(np.ceil(self.low / step), np.floor(self.high / step) + 1) * step)


def score_trace(calibration: Calibration) -> str:
    """Scores in order, with their histogram at the right and the threshold through both."""
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
    """Every good frame of a short window; of a long one the extremes of each column of pixels."""
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


def tail_chart(calibration: Calibration) -> str:
    """Alarms per day against the threshold: counted, fitted with limits, the budget, the choice."""
    evidence = Exceedances.of(
        calibration.kept_scores,
        rule=calibration.rule,
        confidence=calibration.confidence,
        quiet_frames=calibration.quiet_frames,
    )
    per_day = calibration.frames_per_second * 86_400
    threshold, tail = calibration.threshold.value, evidence.tail
    counted = evidence.counts.highest_levels(evidence.counts.frames)
    right = tail.base + 1.15 * max(threshold - tail.base, float(counted[0]) - tail.base)
    x = _Scale(min(tail.base, float(np.quantile(counted, 0.5))), right, _LEFT + 14, _WIDTH - 8)
    allowed = calibration.budget.per_day(frames_per_second=calibration.frames_per_second)
    rates = np.arange(1, counted.size + 1) / evidence.counts.frames * per_day
    y = _decades(min(allowed, calibration.threshold.expected_alarms_per_day) / 8, float(rates[-1]) * 2)
    seen = counted >= x.low
    some = np.unique(np.geomspace(1, max(1, int(seen.sum())), 300).astype(int)) - 1
    dots = "".join(f'<circle class="dot" cx="{x(counted[j]):.1f}" cy="{y(rates[j]):.1f}" r="2"/>' for j in some)
    parts = (_rate_axis(y), _level_axis(x), _band(evidence, x, y, per_day), dots, _marks(x, y, threshold, allowed))
    return _svg("Alarms per day against the threshold: counted, fitted, and the budget", parts)


class _decades:  # noqa: N801 - a scale, used as a function
    """A logarithmic scale over rates per day."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = np.floor(np.log10(low)), np.ceil(np.log10(high))
        self._scale = _Scale(float(self.low), float(self.high), _HEIGHT - _BOTTOM, _TOP)

    def __call__(self, rate: float) -> float:
        return self._scale(float(np.clip(np.log10(max(rate, 1e-300)), self.low, self.high)))


def _band(evidence: Exceedances, x: _Scale, y: _decades, per_day: float) -> str:
    levels = np.linspace(max(evidence.tail.base, x.low), x.high, 60)
    tail, confidence = evidence.tail, evidence.confidence
    low = [tail.rate(level, quantile=1 - confidence) * per_day for level in levels]
    middle = [tail.rate(level) * per_day for level in levels]
    high = [tail.upper_rate(level, confidence=confidence) * per_day for level in levels]
    pairs = list(zip(levels, high, strict=True)) + list(zip(levels[::-1], low[::-1], strict=True))
    band = " ".join(f"{x(level):.1f},{y(rate):.1f}" for level, rate in pairs)
    curve = " ".join(f"{x(level):.1f},{y(rate):.1f}" for level, rate in zip(levels, middle, strict=True))
    return f'<polygon class="band" points="{band}"/><polyline class="curve" points="{curve}"/>'


def _marks(x: _Scale, y: _decades, threshold: float, allowed: float) -> str:
    across, down = y(allowed), x(threshold)
    return (
        f'<line class="budget" x1="{_LEFT}" x2="{_WIDTH}" y1="{across:.1f}" y2="{across:.1f}"/>'
        f'<text class="strong" x="{_LEFT + 6}" y="{across - 6:.1f}">budget</text>'
        f'<line class="threshold" x1="{down:.1f}" x2="{down:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        f'<text class="alarm" x="{down - 6:.1f}" y="{_TOP + 10}" text-anchor="end">threshold {threshold:.4g}</text>'
    )


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


def _rate_axis(y: _decades) -> str:
    step = max(1, int((y.high - y.low) // 6))
    powers = np.arange(y.low, y.high + 1, step)
    return f'<text x="0" y="{_TOP - 12}">alarms a day</text>' + "".join(
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{y(10**power):.1f}" y2="{y(10**power):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y(10**power) + 4:.1f}" text-anchor="end">{_short(10.0**power)}</text>'
        for power in powers
    )


def _short(rate: float) -> str:
    return f"{rate / 1e6:g}M" if rate >= 1e6 else f"{rate / 1e3:g}k" if rate >= 1e4 else f"{rate:,.10g}"


def _svg(title: str, parts: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img"><title>{title}</title>{"".join(parts)}</svg>'
