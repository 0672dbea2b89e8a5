"""The results of all finished runs as Markdown."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection.measure import UNCHANGED

# The targets for each set, of the mean over three seeds.
_TARGETS = {
    "mnist": "AUROC ≥ 0.957 (GANomaly paper 0.78, RaPP 0.929)",
    "deeppcb": "pixel AUROC ≥ 0.96, PRO ≥ 0.90, hits ≥ 0.90",
    "fishbones": "AUROC ≥ 0.99",
    "solar": "AUROC ≥ 0.93",
    "baggage": "AUROC ≥ 0.90, each kind ≥ 0.80",
    "camera": "AUROC ≥ 0.99, pixel AUROC ≥ 0.97",
    "xray": "AUROC ≥ 0.99, pixel AUROC ≥ 0.97",
}
_COLUMNS = ("auroc", "recall", "pixel_auroc", "pro", "hit", "milliseconds", "steps")


def write_tables(work: Path, out: Path, recipe: str) -> None:
    """Write the tables of `work`/*.json to the Markdown file `out`."""
    runs = [json.loads(path.read_text()) for path in sorted(work.glob("*.json"))]
    out.write_text(
        "\n".join([*_head(recipe), *_main_table(runs), *_branches(runs), *_digits(runs), *_ablation_table(runs), ""])
    )


def _head(recipe: str) -> list[str]:
    return [
        f"# Detection by the recipe `{recipe}`",
        "",
        f"`python -m benchmarks.detection`, {date.today().isoformat()}, {_machine()}. Mean ± standard deviation over",
        "the seeds that have finished all tasks of a set (MNIST: ten digits). Training uses good images only, and",
        "held-out good images choose the state that is kept; those that show parts of test images are left out. 95 %:",
        "interval of one run by bootstrap over images, for",
        "baggage over series. Recall: share of bad images above the level that one good test image in a hundred",
        "exceeds. Pixel figures are within bad images. Hit: the hottest place of a bad image is on a defect. DeepPCB's",
        "good and bad images come from two different processes, so its image AUROC says little.",
        "",
    ]


def _main_table(runs: Sequence[dict[str, Any]]) -> list[str]:
    groups = defaultdict(list)
    for run in runs:
        if run["ablation"] == UNCHANGED:
            name = run["set"] if run["set"] == "mnist" else run["images"]
            groups[name, run["length"]].append(run)
    lines = [
        "| set | training | runs | AUROC | 95 % | recall | pixel AUROC | PRO | hit | ms per frame | steps | goal |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, length), group in sorted(groups.items()):
        cells = " | ".join(_spread(_of_seeds(group, column), column) for column in _COLUMNS)
        auroc, rest = cells.split(" | ", 1)
        goal = _TARGETS.get(name.split("-")[0], "")
        lines.append(f"| {name} | {length} | {len(group)} | {auroc} | {_interval(group)} | {rest} | {goal} |")
    return [*lines, "", *_kinds(groups)]


def _interval(group: Sequence[dict[str, Any]]) -> str:
    """Mean of the runs' intervals; none for a set of several tasks."""
    if len({run["images"] for run in group}) > 1:
        return "–"
    low, high = np.mean([run["figures"]["interval"] for run in group], axis=0)
    return f"{low:.3f} … {high:.3f}"


def _kinds(groups: Mapping[tuple[str, str], Sequence[dict[str, Any]]]) -> list[str]:
    lines = []
    for (name, length), group in sorted(groups.items()):
        for kind in sorted(group[0]["figures"]["kinds"]):
            values = [run["figures"]["kinds"][kind] for run in group]
            lines.append(f"| {name}: {kind} | {length} | {_spread(values, 'auroc')} |")
    return ["By the kind of defect:", "", "| kind | training | AUROC |", "|---|---|---|", *lines, ""] if lines else []


def _branches(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Each branch of the score alone, and the score without it; mean over the runs of a set."""
    groups = defaultdict(list)
    for run in runs:
        if run["ablation"] == UNCHANGED and run["figures"].get("branches"):
            name = run["set"] if run["set"] == "mnist" else run["images"]
            groups[name, run["length"]].append(run["figures"])
    if not groups:
        return []
    names = list(next(iter(groups.values()))[0]["branches"])
    lines = ["Branches of the score, AUROC alone / of the score without it:", ""]
    lines += [f"| set | training | all | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
    for (name, length), figures in sorted(groups.items()):
        alone = [np.mean([each["branches"][branch] for each in figures], axis=0) for branch in names]
        cells = " | ".join(f"{one:.3f} / {without:.3f}" for one, without in alone)
        lines.append(f"| {name} | {length} | {np.mean([each['auroc'] for each in figures]):.3f} | {cells} |")
    return [*lines, ""]


def _of_seeds(group: Sequence[dict[str, Any]], column: str) -> list[float | None]:
    """The mean over the tasks of a set, for each seed that has finished all of them."""
    tasks = {run["images"] for run in group}
    by_seed = defaultdict(list)
    for run in group:
        by_seed[run["seed"]].append(run["figures"][column])
    finished = [values for _, values in sorted(by_seed.items()) if len(values) == len(tasks)]
    return [None if None in values else float(np.mean(values)) for values in finished]


def _digits(runs: Sequence[dict[str, Any]]) -> list[str]:
    digits = defaultdict(list)
    for run in runs:
        if run["set"] == "mnist" and run["ablation"] == UNCHANGED:
            digits[run["images"]].append(run["figures"]["auroc"])
    if not digits:
        return []
    lines = ["MNIST, by the digit that is the anomaly:", "", "| digit | AUROC | runs |", "|---|---|---|"]
    lines += [f"| {name[-1]} | {_spread(found, 'auroc')} | {len(found)} |" for name, found in sorted(digits.items())]
    return [*lines, ""]


def _ablation_table(runs: Sequence[dict[str, Any]]) -> list[str]:
    groups = defaultdict(list)
    for run in runs:
        groups[run["ablation"], run["images"], run["length"]].append(run)
    changed = {(images, length) for name, images, length in groups if name != UNCHANGED}
    if not changed:
        return []
    lines = [
        "Ablation:",
        "",
        "| recipe | set | training | runs | AUROC | recall | pixel AUROC | PRO | hit |",
        "|---" * 9 + "|",
    ]
    for (name, images, length), group in sorted(groups.items(), key=lambda item: (item[0][1], item[0][2], item[0][0])):
        if (images, length) in changed:
            cells = " | ".join(_spread([run["figures"][column] for run in group], column) for column in _COLUMNS[:5])
            lines.append(f"| {name} | {images} | {length} | {len(group)} | {cells} |")
    return [*lines, ""]


def _spread(values: Sequence[float | None], column: str) -> str:
    found = [value for value in values if value is not None]
    if not found:
        return "–"
    if column in ("milliseconds", "steps"):
        return f"{np.mean(found):.0f}"
    return f"{np.mean(found):.3f}" + (f" ± {np.std(found):.3f}" if len(found) > 1 else "")


def _machine() -> str:
    try:
        model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
        name = model.split(":", 1)[1].strip()
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores of {name}"
