"""Measure the honesty of certificates and figures and write README.md: `python -m benchmarks.honesty`.

The scores of real frames come from `--data`, the folder of the public sets, by models that are trained for a minute
each; both are kept in `--work`, outside the repository.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agent.inspection.review import training_scores
from benchmarks.honesty.real_scores import CHOSEN_ON, CONFIRMED_ON, real_scores
from benchmarks.honesty.rows import Row, real_rows, simulated_rows
from benchmarks.machine import describe_machine
from engines.bundles import read_bundle

HERE = Path(__file__).parent
SIMULATED = "simulated"

_HEAD = """# Are the figures honest?

The agent's `Station`, with its windows, left-out frames, reviews and recalibrations, on scores of real frames and on
simulated lines. A line is a random order of a set's good images; its true rate is that of all of them. Models were
trained on other images of the set, for a minute. Constants were chosen on {chosen} and five distributions, and
confirmed on {confirmed}.

- {machine}
- command: `python -m benchmarks.honesty --data DIR --lines {lines} --sets {sets}`

| bar | wanted | found |
|---|---|---|
{bars}

*Threshold*: lines that got one; the others were stopped for review or rejected. *False*: certified lines above their
budget. *Limit kept*: of the lines that are not certified, those at or below the stated 95 % limit. *Realised / best
guess*: median, where the window carries a best guess. *Recall* of the bad images, in brackets that of a threshold that
knows the rate and realises the row's mean.

| situation | scores | window | budget | threshold | certified | false | limit kept | realised / best guess | recall |
|---|---|---:|---|---:|---:|---:|---:|---:|---:|
"""


def main() -> int:
    """Parse the arguments, run, write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.honesty", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public sets")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "inspectd-honesty")
    parser.add_argument("--sets", nargs="+", default=[*CHOSEN_ON, *CONFIRMED_ON, SIMULATED])
    parser.add_argument("--lines", type=int, default=40, help="lines of each row")
    parser.add_argument("--out", type=Path, default=HERE / "README.md")
    options = parser.parse_args()
    # Windows that are stopped or rejected are part of the table; the log would repeat each of them.
    logging.disable(logging.CRITICAL)
    rows = []
    for row in _rows(options):
        rows.append(row)
        print(_line(row), flush=True)
    head = _HEAD.format(
        chosen=" and ".join(CHOSEN_ON),
        confirmed=", ".join(CONFIRMED_ON),
        machine=describe_machine(),
        lines=options.lines,
        sets=" ".join(options.sets),
        bars="\n".join(_bars(rows)),
    )
    options.out.write_text(head + "\n".join(map(_line, rows)) + "\n")
    return 0


def _rows(options: argparse.Namespace) -> Iterator[Row]:
    for name in options.sets:
        if name == SIMULATED:
            yield from simulated_rows(options.lines)
            continue
        found = real_scores(name, options.data, options.work)
        bundle = read_bundle(options.work / name / "model.bundle")
        yield from real_rows(found, training_scores(bundle.manifest), options.lines)


def _bars(rows: list[Row]) -> Iterator[str]:
    worst = max(rows, key=lambda row: row.false_certificates / row.lines)
    share = worst.false_certificates / worst.lines
    yield f"| false certificates, worst row | at most 5 % of lines | {share:.1%} ({worst.situation}, {worst.scores}) |"
    everything = sum(row.false_certificates for row in rows) / sum(row.lines for row in rows)
    yield f"| the same, all rows | at most 5 % of lines | {everything:.1%} |"
    kept = [each for row in rows for each in row.limits_kept]
    yield f"| limits without a certificate kept, all rows | at least 95 % | {np.mean(kept):.1%} |"
    guessed = [
        row for row in rows if row.frames >= 100 and len(row.ratios) > row.lines / 2 and row.situation == "good parts"
    ]
    medians = [float(np.median(row.ratios)) for row in guessed]
    found = f"{min(medians):.2f} to {max(medians):.2f}"
    yield f"| realised / best guess from 100 good parts on | within a factor of 2 | {found} |"


def _recall(row: Row) -> str:
    if not row.recalls:
        return "–"
    knowing = "" if row.oracle is None else f" ({row.oracle(float(np.mean(row.realised))):.1%})"
    return f"{np.mean(row.recalls):.1%}{knowing}"


def _line(row: Row) -> str:
    kept, certified = row.limits_kept, len(row.certified)
    cells = (
        row.situation,
        row.scores,
        f"{row.frames:,}",
        row.budget,
        f"{len(row.windows)} of {row.lines}",
        str(certified),
        str(row.false_certificates) if certified else "–",
        f"{np.mean(kept):.0%}" if kept else "–",
        f"{np.median(row.ratios):.2f}" if row.ratios else "–",
        _recall(row),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
