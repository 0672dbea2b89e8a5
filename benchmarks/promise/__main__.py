"""Measure certificate and watch and print their tables: `python -m benchmarks.promise [--lines N]`."""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.promise import certificates, watches
from benchmarks.promise.lamp import Noticed, brightening, scores_by_brightness


def main() -> None:
    """Print every table; minutes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.promise", description=__doc__)
    parser.add_argument("--lines", type=int, default=400, help="simulated lines per row (default 400)")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    _certificates(options.lines, options.seed)
    _watch(options.lines, options.seed)
    _lamp(options.seed)


def _certificates(lines: int, seed: int) -> None:
    print("| rate, share of the promised | ours, median | mean | rate known, median | mean | ratio of means |")
    print("|---|---|---|---|---|---|")
    for rate in certificates.RATES:
        row = certificates.ripening(rate, lines=lines // 4, seed=seed)
        ours, known = f"{row.median:.1f} | {row.mean:.1f}", f"{row.known_median:.1f} | {row.known_mean:.1f}"
        print(f"| {rate:g} | {ours} | {known} | {row.mean / row.known_mean:.2f} |")
    print("\n| false alarms at the promised rate | ever certified |\n|---|---|")
    for name, share in certificates.false_certificates(lines=lines, seed=seed):
        print(f"| {name} | {share:.1%} |")


def _watch(lines: int, seed: int) -> None:
    print("\n| times the promised rate | kept before | alarms, median | nine of ten | rate stated |")
    print("|---|---|---|---|---|")
    for rate in watches.RATES:
        for before in watches.BEFORE:
            row = watches.delay(rate, before, lines=lines // 4, seed=seed)
            print(f"| {rate} | {before} | {row.median:.0f} | {row.nine_of_ten:.0f} | {row.stated:.0f} |")
    print("\n| lives at the promised rate | the watch speaks |\n|---|---|")
    for name, share in watches.spoken_in_vain(lines=lines, seed=seed):
        print(f"| {name} | {share:.1%} |")


def _lamp(seed: int) -> None:
    scores = scores_by_brightness()
    print("\n| kept before, hours | watch: alarms, hours | drift: alarms, hours |\n|---|---|---|")
    for quiet in (0.0, 24.0):
        pairs = [brightening(scores, quiet_hours=quiet, seed=seed + run) for run in range(40)]
        print(f"| {quiet:g} | {_medians([watch for watch, _ in pairs])} | {_medians([drift for _, drift in pairs])} |")


def _medians(noticed: list[Noticed]) -> str:
    alarms, hours = (float(np.median(values)) for values in ([n.alarms for n in noticed], [n.hours for n in noticed]))
    return "never" if np.isinf(alarms) else f"{alarms:.0f}, {hours:.1f}"


if __name__ == "__main__":
    main()
