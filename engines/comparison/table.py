"""A comparison as a table of text."""

from __future__ import annotations

from engines.comparison.records import Comparison, SystemResult


def as_text(comparison: Comparison) -> str:
    """Format the table, one row per system, and a line about the data behind it."""
    with_pixels = any(system.pixel_auroc is not None for system in comparison.systems)
    header = ["system", "AUROC", *(["pixel AUROC", "PRO"] if with_pixels else []), "training", "ms/image", "× GANomaly"]
    rows = [_row(comparison, system, with_pixels) for system in comparison.systems]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in [header, ["─" * width for width in widths], *rows]]
    return "\n".join([*lines, "", _basis(comparison)])


def _row(comparison: Comparison, system: SystemResult, with_pixels: bool) -> list[str]:
    pixels = [_text(system.pixel_auroc), _text(system.pro)] if with_pixels else []
    times = comparison.times_ganomaly(system)
    return [
        system.title,
        str(system.auroc),
        *pixels,
        duration(system.train_seconds),
        number(system.milliseconds),
        "–" if times is None else number(times),
    ]


def _basis(comparison: Comparison) -> str:
    """The data behind the figures, in a sentence or two."""
    seeds = max(len(system.runs) for system in comparison.systems)
    limits = [
        *([] if comparison.minutes is None else [f"{comparison.minutes:g} min"]),
        *([] if comparison.steps is None else [f"{comparison.steps} steps"]),
    ]
    repeated = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "1 seed"
    return (
        f"{comparison.normal} good images trained on at {comparison.geometry}, at most {' or '.join(limits)} each; "
        f"{comparison.test_normal} good and {comparison.abnormal} bad ones scored; {repeated}."
    )


def _aligned(row: list[str], widths: list[int]) -> list[str]:
    """Names aligned left, figures right."""
    return [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]


def _text(value: object | None) -> str:
    return "–" if value is None else str(value)


def number(value: float) -> str:
    """Format a number with three significant digits and thousands separators.

    >>> [number(value) for value in (0.0123, 2.8, 41.26, 7120.4)]
    ['0.0123', '2.8', '41.3', '7,120']
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Format a duration as seconds, or minutes and seconds.

    >>> [duration(value) for value in (0.42, 59.4, 125)]
    ['0.4 s', '59 s', '2 min 05 s']
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{round(seconds) // 60} min {round(seconds) % 60:02} s"
