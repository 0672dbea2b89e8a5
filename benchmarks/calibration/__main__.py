"""Run the calibration benchmark and write its tables: `python -m benchmarks.calibration [--quick] [--lines N]`.

Each pair of correlation and window is written to a JSON file in the work folder when it is done, so a stopped run
continues where it stopped. At the end, the tables beside this file are written from all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.calibration import steady, tables
from benchmarks.calibration.cells import ALARM_RULES, CORRELATIONS, WINDOWS, run_cells, seconds_per_calibration
from benchmarks.calibration.lines import LineTruth
from calibration import Rule

_HERE = Path(__file__).parent

# Change the name if the content of the parts changes, so that older parts are not mixed in.
_WORK = _HERE / ".work" / "2"


def main() -> int:
    """Parse the options, run the benchmark and write its tables. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--lines", type=int, default=200, help="simulated lines per cell (default 200)")
    parser.add_argument("--quick", action="store_true", help="20 lines, windows up to 10,000: a few minutes")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--work", type=Path, default=_WORK, help="folder for finished parts")
    parser.add_argument("--tables-only", action="store_true", help="write the tables from the finished parts")
    options = parser.parse_args()
    lines = min(options.lines, 20) if options.quick else options.lines
    windows = tuple(window for window in WINDOWS if not options.quick or window <= 10_000)
    work = options.work / f"lines-{lines}-seed-{options.seed}"
    work.mkdir(parents=True, exist_ok=True)
    if not options.tables_only:
        _run(work, windows, lines=lines, seed=options.seed)
    _tables(work, quick=options.quick)
    return 0


def _run(work: Path, windows: tuple[int, ...], *, lines: int, seed: int) -> None:
    truths: dict[float, dict[Rule, LineTruth]] = {}
    for name, measured in (("drift", steady.measure_drift), ("speed", _speed)):
        path = work / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(measured()))
    for frames in windows:
        for correlation in CORRELATIONS:
            path = work / f"grid-{frames:06d}-{correlation:.2f}.json"
            if path.exists():
                continue
            if correlation not in truths:
                truths[correlation] = {rule: _truth(work.parent, correlation, rule) for rule in ALARM_RULES}
            start = time.monotonic()
            cells = run_cells(correlation, frames, truths[correlation], lines=lines, seed=seed)
            path.write_text(json.dumps([tables.row(cell) for cell in cells]))
            print(f"{frames} frames, correlation {correlation}: {time.monotonic() - start:.0f} s", file=sys.stderr)


def _truth(folder: Path, correlation: float, rule: Rule) -> LineTruth:
    path = folder / f"truth-{correlation:.2f}-{rule.k}-of-{rule.n}.npz"
    return LineTruth.stored(path, correlation, rule, frames=20_000_000, seed=17)


def _speed() -> dict[str, float]:
    return {"calibration_seconds_100000": seconds_per_calibration(100_000), **steady.microseconds_per_frame()}


def _tables(work: Path, *, quick: bool) -> None:
    rows = [row for path in sorted(work.glob("grid-*.json")) for row in json.loads(path.read_text())]
    extra = {
        name: json.loads(path.read_text()) for name in ("drift", "speed") if (path := work / f"{name}.json").exists()
    }
    text = tables.report(rows, extra)
    if quick:
        print(text)
        return
    tables.write_csv(rows, _HERE / "results.csv")
    (_HERE / "README.md").write_text(text)
    print(_HERE / "README.md")


if __name__ == "__main__":
    raise SystemExit(main())
