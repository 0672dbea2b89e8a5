"""Measure the honesty of certificates and figures and write the table of README.md: `python -m benchmarks.honesty`.

The scores of real frames come from `--data`, the folder of the public sets, by models of 60 training steps each; those
of the simulator from the bundles that ship. Models, scores and the rows of each set are kept in `--work`, outside the
repository: a set is measured again where `--sets` names it.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.inspection import training_scores
from benchmarks.honesty.part_rows import PartScores, part_rows
from benchmarks.honesty.real_scores import REAL_SETS, real_scores
from benchmarks.honesty.row import Row, load_rows, save_rows
from benchmarks.honesty.simulated_scores import shipped_training, simulated_scores
from benchmarks.honesty.stream_rows import law_rows, stream_rows
from benchmarks.honesty.table import bars, line, table
from benchmarks.machine import describe_machine
from engines.bundles import read_bundle

MODES, LAWS = ("camera", "xray"), "laws"
EVERY_SET = (*REAL_SETS, *MODES, LAWS)
README = Path(__file__).parent / "README.md"


def main() -> int:
    """Parse the arguments, run, write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.honesty", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public sets")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "inspectd-honesty")
    parser.add_argument("--sets", nargs="*", default=EVERY_SET, choices=EVERY_SET, metavar="SET")
    parser.add_argument("--lines", type=int, default=100, help="lines of each row")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    # Windows that are stopped or rejected are part of the table; the log would repeat each of them.
    logging.disable(logging.CRITICAL)
    for name in options.sets:
        rows = []
        for row in _rows(name, options):
            rows.append(row)
            print(line(row), flush=True)
            save_rows(_kept(options.work, name), rows)
    every = [
        row for name in EVERY_SET if _kept(options.work, name).exists() for row in load_rows(_kept(options.work, name))
    ]
    print("\n".join(bars(every)))
    before, _, _ = README.read_text(encoding="utf-8").partition(TABLE)
    README.write_text(f"{before}{TABLE}\n{table(every, describe_machine())}", encoding="utf-8")
    return 0


TABLE = "<!-- What follows is written by `python -m benchmarks.honesty`. -->"


def _kept(work: Path, name: str) -> Path:
    return work / f"rows-{name}.json"


def _rows(name: str, options: argparse.Namespace) -> Iterator[Row]:
    if name == LAWS:
        yield from law_rows(options.lines)
        return
    found = _simulated(name, options.work) if name in MODES else _real(name, options.data, options.work)
    yield from part_rows(found, options.lines)
    if name in MODES:
        yield from stream_rows(found, options.lines)


def _real(name: str, data: Path, work: Path) -> PartScores:
    found = real_scores(name, data, work)
    bundle = read_bundle(work / name / "model.bundle")
    return PartScores(name, found.good[:, None], found.bad[:, None], training_scores(bundle.manifest), {})


def _simulated(mode: str, work: Path) -> PartScores:
    found = simulated_scores(mode, work)
    return PartScores(f"simulator, {mode}", found.good, found.bad, shipped_training(mode), found.changed)


if __name__ == "__main__":
    raise SystemExit(main())
