"""The tables of the README, from the cells."""

from __future__ import annotations

import csv
import platform
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibration.cells import BUDGETS, CORRELATIONS, OURS, Cell
from benchmarks.calibration.rivals import RIVALS

CellRow = dict[str, Any]


def row(cell: Cell) -> CellRow:
    """Return the figures of a cell by column."""
    certified, promised = np.array(cell.certified), np.array(cell.promised)
    ours = cell.realised[OURS]
    key = cell.key
    out: CellRow = {
        "distribution": key.distribution,
        "correlation": key.correlation,
        "frames": key.frames,
        "rule": str(key.rule),
        "budget": str(key.budget),
        "lines": certified.size,
        "oracle could": cell.oracle_could,
        "certified": float(certified.mean()),
        "kept where certified": _mean(ours[certified] <= 1),
        "promise kept": float((ours <= promised).mean()),
        "realised over promised": _median(ours[~certified]) / _median(promised[~certified]),
        "highest realised over promised": _highest(ours / promised),
        "promised over budget": float(np.median(promised)),
        "median over highest realised": _median(ours[~certified]) / _highest(ours[~certified]),
        "spans needed": float(np.median(cell.needed)),
        "oracle detects": cell.oracle_detects,
        "sharpest certificate: detection over oracle": cell.sharpest,
    }
    for name in (OURS, *RIVALS):
        out[f"{name}: budget kept"] = float((cell.realised[name] <= 1).mean())
        out[f"{name}: realised over budget"] = float(np.median(cell.realised[name]))
        out[f"{name}: detection over oracle"] = float(np.mean(cell.detected[name]))
    return out


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if values.size else float("nan")


def _highest(values: np.ndarray) -> float:
    """Return the 95 % quantile."""
    return float(np.quantile(values, 0.95)) if values.size else float("nan")


def write_csv(rows: list[CellRow], path: Path) -> None:
    """Write every cell with four digits."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for each in rows:
            writer.writerow({name: f"{v:.4g}" if isinstance(v, float) else v for name, v in each.items()})


def report(rows: list[CellRow], extra: dict[str, Any]) -> str:
    """Return the Markdown page."""
    parts = [_head(rows), _claims(rows, extra), _certified(rows), _uncertified(rows), _rivals(rows)]
    parts += [_drift(extra["drift"])] if "drift" in extra else []
    return "\n\n".join(parts) + "\n"


def _head(rows: list[CellRow]) -> str:
    windows = sorted({each["frames"] for each in rows})
    return f"""# Does the threshold keep its promise?

Simulated lines: gamma, lognormal, Weibull, bimodal and Student t (4 degrees) scores, lag-1 correlation 0 to 0.98,
windows of {", ".join(f"{w:,}" for w in windows)} frames at 20 frames a second, rules 1 of 1, 2 of 3 and 3 of 5, five
budgets: {len(rows):,} cells of {rows[0]["lines"]} lines each. The true rate of each threshold is measured on 20 million
fresh frames for each correlation and rule. An alarm is an episode: a run of the rule's statistic above the threshold,
counted strictly (a single frame below it ends the run). Every cell is a row of `results.csv`. The latest settings of
`calibration` (how far levels lean to show defects, how much a promise doubts, how much a certificate keeps in reserve)
were chosen on other distributions and other lines than these; [trials.md](trials.md) has what else was
tried.{_caveat(rows)}

- date: {datetime.now(timezone.utc):%Y-%m-%d}
- machine: {platform.machine()}, {_processor()}, Python {platform.python_version()}, numpy {np.__version__}
- command: `{_command(rows[0]["lines"])}`"""


def _caveat(rows: list[CellRow]) -> str:
    lines = rows[0]["lines"]
    if lines >= 200:
        return ""
    return (
        f"\n\n**These tables rest on {lines} lines a cell**, so a share of lines is known to a few per cent; the "
        "full run takes 200. Cells of a run that was stopped early are shown as a dash."
    )


def _command(lines: int) -> str:
    return "python -m benchmarks.calibration" + ("" if lines == 200 else f" --lines {lines}")


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return sys.platform
    return next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "")


def _claims(rows: list[CellRow], extra: dict[str, Any]) -> str:
    """Return each claim of the specification with its worst cell."""
    lines = ["## Claims", "| claim | goal | cells | held in | worst | where |", "|---|---|---:|---:|---:|---|"]
    lines += [_claim(*each) for each in (*_kept_claims(rows), *_promise_claims(rows), *_detection_claims(rows))]
    return "\n".join([*lines, "", _CLAIMS_EXPLAINED, *_speed(extra)])


Claim = tuple[str, str, list[CellRow], str, float]
"""The claim, its goal in words, the cells, the column, and the least value (the highest, if negative)."""


def _kept_claims(rows: list[CellRow]) -> list[Claim]:
    certain = [each for each in rows if each["certified"] * each["lines"] >= 20]
    independent = [each for each in certain if each["correlation"] == 0]
    dependent = [each for each in certain if each["correlation"] > 0]
    could, kept = [each for each in rows if each["oracle could"]], "kept where certified"
    return [
        ("budget kept where certified, independent frames", ">= 95 % of lines", independent, kept, 0.95),
        ("budget kept where certified, correlation 0.5 to 0.98", ">= 90 % of lines", dependent, kept, 0.90),
        ("certified where the oracle can with a quarter of the frames", "all lines", could, "certified", 1.0),
    ]


def _promise_claims(rows: list[CellRow]) -> list[Claim]:
    unsure = [each for each in rows if each["certified"] < 0.5]
    ratio, least = "realised over promised", "median over highest realised"
    return [
        ("not certified: median realised over promised", "<= 3", unsure, ratio, -3.0),
        ("the same, and not far too cautious", ">= 1/3", unsure, ratio, 1 / 3),
        ("... as a promise that knows the line could be", ">= 1/3", unsure, least, 1 / 3),
        ("the promise itself kept, all cells", ">= 95 % of lines", rows, "promise kept", 0.95),
    ]


def _detection_claims(rows: list[CellRow]) -> list[Claim]:
    seen, what = (
        [each for each in rows if each["oracle detects"] >= 0.5],
        "detection of 6 sigma defects over the oracle's",
    )
    sure = [each for each in seen if each["certified"] >= 0.5]
    goal, ours, sharpest = ">= 0.90", f"{OURS}: detection over oracle", "sharpest certificate: detection over oracle"
    could = [each for each in sure if each[sharpest] >= 0.9]
    return [
        (f"{what}, all cells", goal, rows, ours, 0.9),
        ("the same, where it detects at least half of them", goal, seen, ours, 0.9),
        ("... and not certified", goal, [each for each in seen if each["certified"] < 0.5], ours, 0.9),
        ("... and certified", goal, sure, ours, 0.9),
        ("... and certified, where the sharpest certificate keeps it", goal, could, ours, 0.9),
        ("the sharpest certificate itself, in the certified cells", goal, sure, sharpest, 0.9),
    ]


def _claim(claim: str, goal: str, rows: list[CellRow], column: str, limit: float) -> str:
    """Return a line of the table: `limit` is the least value, or if negative, minus the highest."""
    if not rows:
        return f"| {claim} | {goal} | 0 | - | - | - |"
    sign = -1.0 if limit < 0 else 1.0
    worst = min(rows, key=lambda each: sign * each[column])
    held = sum(sign * each[column] >= limit for each in rows) / len(rows)
    where = (
        f"{worst['distribution']}, {worst['correlation']:g}, {worst['frames']:,}, {worst['rule']}, {worst['budget']}"
    )
    return f"| {claim} | {goal} | {len(rows):,} | {held:.1%} | {worst[column]:.3g} | {where} |"


_CLAIMS_EXPLAINED = """*Where*: distribution, correlation, window, rule, budget.

*A promise that knows the line*: half of the lines of a cell realise less than its median, and 95 % less than its 95 %
quantile. An upper limit that is kept in 95 % of the lines, and cannot distinguish the lines of a cell, is at least that
quantile, even if it knows distribution and dependence.

*The sharpest certificate*: a method that does not know the distribution, but knows how dependent the episodes are. Its
window is worth a Poisson count of alarms, and to keep the budget in 95 % of the windows it has to set its level higher
than the oracle's. Where a defect is about as high as the oracle's level, that alone costs more than a tenth of the
detection."""


def _speed(extra: dict[str, Any]) -> list[str]:
    if "speed" not in extra:
        return []
    speed = extra["speed"]
    online = sum(value for name, value in speed.items() if name.endswith("microseconds"))
    return [
        "",
        f"One calibration of 100,000 frames takes {speed['calibration_seconds_100000']:.2f} s of processor "
        f"time (goal: under 1 s); rule, drift and score log together {online:.1f} µs per frame (goal: under 50).",
    ]


def _certified(rows: list[CellRow]) -> str:
    """Return the share of certified lines, and the worst share of those within the budget."""
    lines = [
        "## What it takes to certify",
        "Share of lines certified / share of the certified lines that keep the budget (worst of five distributions and "
        f"three rules). {_spans_needed(rows)}",
        "",
    ]
    for budget in map(str, BUDGETS[:2]):
        lines += [f"**{budget}**", "", "| frames | " + " | ".join(f"correlation {c:g}" for c in CORRELATIONS) + " |"]
        lines.append("|---:|" + "---:|" * len(CORRELATIONS))
        for frames in sorted({each["frames"] for each in rows}):
            cells = [_certified_cell(rows, budget, frames, correlation) for correlation in CORRELATIONS]
            lines.append(f"| {frames:,} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _spans_needed(rows: list[CellRow]) -> str:
    """Return the windows needed for budgets that the longest windows cannot certify."""
    longest = max(each["frames"] for each in rows)
    spans = [
        np.median(
            [each["spans needed"] for each in _pick(rows, frames=longest, correlation=correlation, budget=budget)]
        )
        for correlation in CORRELATIONS
        for budget in map(str, BUDGETS[2:])
        if _pick(rows, frames=longest, correlation=correlation, budget=budget)
    ]
    return (
        f"Budgets per hour, shift and day take more: estimated from {longest:,} frames, a window of "
        f"{min(spans):.1f} to {max(spans):.1f} spans (hours, shifts or days); the longer the dependence between "
        "frames, the more."
    )


def _certified_cell(rows: list[CellRow], budget: str, frames: int, correlation: float) -> str:
    found = _pick(rows, budget=budget, frames=frames, correlation=correlation)
    if not found:
        return "-"
    share = min(each["certified"] for each in found)
    kept = [each["kept where certified"] for each in found if each["certified"] * each["lines"] >= 20]
    return f"{share:.0%} / {min(kept):.1%}" if kept else f"{share:.0%}"


def _uncertified(rows: list[CellRow]) -> str:
    """Return the results of extrapolated thresholds: medians over distributions and rules, with their range."""
    lines = [
        "## Beyond the window",
        "Extrapolated thresholds, not certified. Median realised rate over the budget, in brackets the lowest and "
        "highest of the fifteen cells; then the promise over the budget, and the share of lines that keep the promise "
        "in the worst cell.",
        "",
    ]
    for budget in map(str, BUDGETS[2:]):
        lines += [f"**{budget}**", "", "| frames | " + " | ".join(f"correlation {c:g}" for c in CORRELATIONS) + " |"]
        lines.append("|---:|" + "---:|" * len(CORRELATIONS))
        for frames in sorted({each["frames"] for each in rows}):
            cells = [_uncertified_cell(rows, budget, frames, correlation) for correlation in CORRELATIONS]
            lines.append(f"| {frames:,} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _uncertified_cell(rows: list[CellRow], budget: str, frames: int, correlation: float) -> str:
    found = _pick(rows, budget=budget, frames=frames, correlation=correlation)
    if not found:
        return "-"
    rates = [each[f"{OURS}: realised over budget"] for each in found]
    kept = min(each["promise kept"] for each in found)
    promised = np.median([each["promised over budget"] for each in found])
    return f"{np.median(rates):.2g} ({min(rates):.1g} to {max(rates):.2g}); {promised:.2g}, {kept:.0%}"


def _rivals(rows: list[CellRow]) -> str:
    """Return our results beside those of other methods on the same lines."""
    lines = [
        "## Beside other methods",
        "Same lines, same statistic. Share of lines that keep the budget, and median realised rate over the budget, "
        "for all distributions, windows and rules.",
        "",
        "| budget | correlation | " + " | ".join((OURS, *RIVALS)) + " |",
        "|---|---:|" + "---:|" * (1 + len(RIVALS)),
    ]
    for budget in map(str, BUDGETS):
        for correlation in CORRELATIONS:
            found = _pick(rows, budget=budget, correlation=correlation)
            cells = [_rival_cell(found, name) for name in (OURS, *RIVALS)]
            lines.append(f"| {budget} | {correlation:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rival_cell(found: list[CellRow], name: str) -> str:
    kept = np.mean([each[f"{name}: budget kept"] for each in found])
    rate = np.median([each[f"{name}: realised over budget"] for each in found])
    return f"{kept:.0%}, {rate:.2g}x"


def _drift(rows: list[CellRow]) -> str:
    lines = [
        "## Drift",
        "Weeks of 12.1 million frames of lines that do not change, and lines whose scores rise by one standard "
        "deviation. Goal: at most one false event a week; detection within 2,000 effective frames.",
        "",
        "| correlation | window | false events a week | most in one | median delay | longest delay | too early |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {each['correlation']:g} | {each['reference_frames']:,} | {each['false_events_per_week']:.2g} | "
        f"{each['most_false_events']} | {each['median_delay']:.0f} | {each['longest_delay']:.0f} | "
        f"{each['flagged_before']} of 40 |"
        for each in rows
    ]
    return "\n".join(lines)


def _pick(rows: list[CellRow], **wanted: Any) -> list[CellRow]:
    return [each for each in rows if all(each[name] == value for name, value in wanted.items())]
