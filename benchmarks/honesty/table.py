"""The rows as a table, and the bars that they have to meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.honesty.row import Row

_MOST_FALSE, _LEAST_KEPT, _FACTOR, _LEAST_OF_ORACLE = 0.05, 0.95, 2.0, 0.9

# Recall below this is that of a model that does not find the defects: a few images more or less decide the ratio.
_LEAST_RECALL = 0.05

_COLUMNS = (
    "situation",
    "scores",
    "window",
    "budget",
    "armed, stopped, rejected",
    "certified",
    "false",
    "limit kept",
    "realised / best guess",
    "recall (oracle's)",
    "bars",
)

_HEAD = """
{machine}

| bar | wanted | found |
|---|---|---|
{bars}

| {columns} |
|---|---|---:|---|---|---:|---:|---|---:|---|---|
{rows}
"""


def table(rows: Sequence[Row], machine: str) -> str:
    """Return the bars and the table as Markdown."""
    return _HEAD.format(
        machine=machine, columns=" | ".join(_COLUMNS), bars="\n".join(bars(rows)), rows="\n".join(map(line, rows))
    )


def bars(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each bar, over all rows."""
    certified = sum(row.certified for row in rows)
    false = sum(row.false for row in rows)
    worst = max(rows, key=lambda row: row.false / row.lines)
    yield (
        f"| false certificates | at most 5 % of the lines of a row | worst row: {worst.false} of {worst.lines} lines "
        f"({worst.situation}, {worst.scores}, {worst.window:,}); all: {false:,} of {certified:,} certificates |"
    )
    kept, limits = sum(row.limits_kept for row in rows), sum(row.limits for row in rows)
    worst = min((row for row in rows if row.limits), key=lambda row: row.limits_kept / row.limits)
    yield (
        f"| limits without a certificate are kept | at least 95 % of a row | worst row: {worst.limits_kept} of "
        f"{worst.limits} ({worst.situation}, {worst.scores}, {worst.window:,}); all: {kept / max(limits, 1):.1%} |"
    )
    ratios = [row.ratio for row in rows if _guess_counts(row) and row.ratio is not None]
    yield (
        f"| realised / best guess, from 100 good units on | within a factor of 2 | {min(ratios):.2f} to "
        f"{max(ratios):.2f}; {sum(_within(ratio) for ratio in ratios)} of {len(ratios)} rows |"
    )
    shares = [row.recall / row.oracle for row in rows if _recall_counts(row) and row.recall and row.oracle]
    if shares:
        yield (
            f"| recall / an oracle's, certified rows | at least 0.9 | {min(shares):.2f} to {max(shares):.2f}; "
            f"{sum(share >= _LEAST_OF_ORACLE for share in shares)} of {len(shares)} rows |"
        )


def missed(row: Row) -> list[str]:
    """Return the bars that a row misses."""
    found = []
    if row.false > _MOST_FALSE * row.lines:
        found.append("false")
    if row.limits and row.limits_kept < _LEAST_KEPT * row.limits:
        found.append("limit")
    if _guess_counts(row) and row.ratio is not None and not _within(row.ratio):
        found.append("best guess")
    if _recall_counts(row) and row.recall is not None and row.oracle and row.recall < _LEAST_OF_ORACLE * row.oracle:
        found.append("recall")
    return found


def line(row: Row) -> str:
    """Return the line of a row."""
    armed = row.lines - row.stopped - row.rejected
    cells = (
        row.situation,
        row.scores,
        f"{row.window:,}",
        row.budget,
        f"{armed}, {row.stopped}, {row.rejected}",
        str(row.certified),
        str(row.false) if row.certified else "–",
        f"{row.limits_kept} of {row.limits}" if row.limits else "–",
        _ratio_text(row),
        "–" if row.recall is None or row.oracle is None else f"{row.recall:.1%} ({row.oracle:.1%})",
        "missed: " + ", ".join(missed(row)) if missed(row) else "met",
    )
    return f"| {' | '.join(cells)} |"


def _ratio_text(row: Row) -> str:
    if row.ratio is None:
        return "–"
    low, high = row.ratio_range
    return f"{row.ratio:.2f}{' summed' if row.summed else ''} ({low:.2f}–{high:.2f})"


def _guess_counts(row: Row) -> bool:
    """With defects in the window, or after images were kept out, the best guess is not that of good parts."""
    clean = "defects" not in row.situation and ("recalibrated" not in row.situation or "--fresh" in row.situation)
    return row.window >= 100 and clean and "left out" not in row.situation


def _recall_counts(row: Row) -> bool:
    return row.certified > row.lines / 2 and (row.oracle or 0.0) >= _LEAST_RECALL


def _within(ratio: float) -> bool:
    return 1 / _FACTOR <= round(ratio, 2) <= _FACTOR
