"""Measure detection on every set and write RESULTS.md: `python -m benchmarks.detection [--sets NAME…] [--minutes M]`.

Each finished run of a set and a seed is a bundle and a JSON file in the work folder; an interrupted benchmark continues
from there. All sets with three seeds at ten minutes take seven and a half hours on two cores. With `--steps` a run does
the same work on any machine, and two of them can run in parallel on one core each (OMP_NUM_THREADS=1): give each its
own seed with `--first-seed`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from benchmarks.detection.measure import ABLATIONS, UNCHANGED, RunLength, run
from benchmarks.detection.sets import Task, find_set, set_names
from benchmarks.detection.siblings import without_siblings
from benchmarks.detection.tables import write_tables
from engines.recipes.recipe import DEFAULT_RECIPE

HERE = Path(__file__).parent


def main() -> int:
    """Parse the arguments, run, write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=set_names(), default=set_names())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10.0, help="training time of a run, export included")
    parser.add_argument("--steps", type=int, help="training steps of a run, instead of minutes")
    parser.add_argument("--recipe", default=DEFAULT_RECIPE)
    parser.add_argument("--images", help="only this task of the sets, such as mnist-4")
    parser.add_argument("--ablations", nargs="+", choices=ABLATIONS, default=[UNCHANGED])
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="folder for images and finished runs")
    parser.add_argument("--out", type=Path, help="RESULTS.md, or RESULTS-RECIPE.md for another recipe than the default")
    parser.add_argument("--table-only", action="store_true", help="only write the tables of finished runs")
    options = parser.parse_args()
    if options.out is None:
        options.out = HERE / ("RESULTS.md" if options.recipe == DEFAULT_RECIPE else f"RESULTS-{options.recipe}.md")
    finished = options.work / "runs" / options.recipe
    finished.mkdir(parents=True, exist_ok=True)
    if not options.table_only:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for name in options.sets:
                _run_set(finished, name, seed, options)
    write_tables(finished, options.out, options.recipe)
    return 0


def _run_set(finished: Path, name: str, seed: int, options: argparse.Namespace) -> None:
    length = RunLength(options.minutes, options.steps)
    for task in find_set(name, options.work):
        if options.images not in (None, task.name):
            continue
        for ablation in options.ablations:
            _run_once(finished, name, task, seed, length, ablation)
            write_tables(finished, options.out, options.recipe)


def _run_once(finished: Path, name: str, task: Task, seed: int, length: RunLength, ablation: str) -> None:
    stem = f"{task.name}-{length}-{ablation}-seed{seed}".replace(" ", "_")
    path = finished / f"{stem}.json"
    if path.exists():
        return
    figures = run(without_siblings(task), seed, length, finished / f"{stem}.bundle", ablation, recipe=finished.name)
    record = {"set": name, "images": task.name, "seed": seed, "length": str(length), "ablation": ablation}
    path.write_text(json.dumps({**record, "figures": dataclasses.asdict(figures)}, indent=1))
    print(f"{stem}: {figures}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
