"""Files of a comparison: table and JSON, ROC curves of all systems, and a strip of test images with all heatmaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.comparison.heatmap_strip import draw_heatmap_strip
from engines.comparison.records import Comparison, ComparisonData, SystemScores
from engines.comparison.table import as_text
from engines.errors import EngineError
from engines.evaluation.charts import INK, MUTED, as_png, roc_chart
from engines.evaluation.metrics import roc_curve

# The product's own curve is drawn last and widest.
_COLOURS = {
    "ganomaly": "#1d6fa5",
    "ganomaly-scratch": "#4a93c2",
    "ganomaly-reference": "#7fb7dc",
    "anogan": "#d1495b",
    "egbad": "#edae49",
    "autoencoder": "#6a994e",
    "rapp-sap": "#9a6fb0",
    "rapp-nap": "#5b3a7d",
    "patchcore": "#2a9d8f",
    "padim": "#e76f51",
    "stfpm": "#bc6c25",
    "pca": "#8d99ae",
    "ocsvm": "#495057",
}

# False-positive rates at which the curves of different seeds are averaged.
_RATES = 301


def write_comparison(out: Path, comparison: Comparison, data: ComparisonData, scores: Sequence[SystemScores]) -> None:
    """Write comparison.json, comparison.txt, roc.png and heatmaps.png; EngineError if that is impossible.

    `scores` has one entry for each system of the comparison, in the same order.
    """
    files = {
        "comparison.json": comparison.to_json().encode() + b"\n",
        "comparison.txt": as_text(comparison).encode() + b"\n",
        "roc.png": draw_roc_curves(comparison, scores),
        "heatmaps.png": draw_heatmap_strip(comparison, data, scores),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise EngineError(f"{out}: cannot write the comparison ({error.strerror or error})") from None


def draw_roc_curves(comparison: Comparison, scores: Sequence[SystemScores]) -> bytes:
    """Draw each system's ROC curve, mean and range over the seeds, the best first in the legend; returns a PNG."""
    figure, axes = roc_chart(9.4, 5.6, "ROC curves", normal="good", abnormal="bad")
    ranked = sorted(zip(comparison.systems, scores, strict=True), key=lambda pair: -pair[0].auroc.mean)
    for system, system_scores in ranked:
        rates, curves = _curves(system_scores)
        ours, colour = system.name == "ganomaly", _COLOURS.get(system.name, MUTED)
        axes.plot(
            rates,
            curves.mean(axis=0),
            color=colour,
            linewidth=2.8 if ours else 1.6,
            zorder=4 if ours else 3,
            label=f"{system.title}  {system.auroc}",
        )
        if len(curves) > 1:
            axes.fill_between(rates, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.10, linewidth=0)
    figure.legend(
        frameon=False, loc="outside right upper", title="AUROC", alignment="left", fontsize=9.5, labelcolor=INK
    )
    return as_png(figure)


def _curves(scores: SystemScores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True-positive rates of every seed at the same false-positive rates: ([301], [seeds, 301])."""
    rates = np.linspace(0.0, 1.0, _RATES)
    curves = []
    for good, bad in scores.by_seed:
        false_positives, true_positives = roc_curve(good, bad)
        curves.append(np.interp(rates, false_positives, true_positives))
    return rates, np.stack(curves)
