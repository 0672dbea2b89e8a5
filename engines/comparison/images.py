"""A comparison as pictures: ROC curves of all systems, and a strip of test images with every system's heat."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.comparison.records import Comparison, FolderFrames, Looks, Sets, shown
from engines.comparison.table import as_text
from engines.errors import EngineError
from engines.evaluation.charts import INK, MUTED, chart, png, style
from engines.evaluation.metrics import roc_curve
from engines.images import read_image, viewable
from engines.recipes.scorer import normalisation_of

# The product's own line is drawn last and widest.
_COLOURS = {
    "ganomaly": "#1d6fa5",
    "ganomaly-reference": "#7fb7dc",
    "anogan": "#d1495b",
    "egbad": "#edae49",
    "autoencoder": "#6a994e",
    "rapp-sap": "#9a6fb0",
    "rapp-nap": "#5b3a7d",
    "pca": "#8d99ae",
    "ocsvm": "#495057",
}
_DEFECT = (255, 64, 64)

# Pixels of an image in the strip, so that small frames can be seen.
_CELL = 224
_CELL_INCHES = 1.42
# Of the line below, at its size.
_CHARACTERS_A_CELL = 22

_HOW_TO_READ = (
    "Each system's heat has one scale: its brightest is the hottest place of all good test images. "
    "Below each: the share of good test images with a lower score."
)


def write_comparison(out: Path, comparison: Comparison, sets: Sets, looks: Sequence[Looks]) -> None:
    """Write comparison.json, comparison.txt, roc.png and heatmaps.png; EngineError where that is impossible."""
    files = {
        "comparison.json": comparison.to_json().encode() + b"\n",
        "comparison.txt": as_text(comparison).encode() + b"\n",
        "roc.png": draw_roc(comparison, looks),
        "heatmaps.png": draw_strip(comparison, sets, looks),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise EngineError(f"{out}: cannot write the comparison ({error.strerror or error})") from None


def draw_roc(comparison: Comparison, looks: Sequence[Looks]) -> bytes:
    """ROC curves as PNG, best first in the legend: the mean over the seeds, and their range as a shade."""
    figure, axes = chart(9.4, 5.6)
    axes.plot((0, 1), (0, 1), color="#adb5bd", linewidth=1, linestyle="--", zorder=1)
    ranked = sorted(zip(comparison.systems, looks, strict=True), key=lambda pair: -pair[0].auroc.mean)
    for system, look in ranked:
        rates, curves = _curves(look)
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
    axes.set_aspect("equal")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    style(axes, "ROC curves", "false alarms among good images", "found among bad images")
    figure.legend(
        frameon=False, loc="outside right upper", title="AUROC", alignment="left", fontsize=9.5, labelcolor=INK
    )
    return png(figure)


def draw_strip(comparison: Comparison, sets: Sets, looks: Sequence[Looks]) -> bytes:
    """Test images, one a row, with every system's heat on its own one scale, as PNG."""
    rows = shown(sets)
    figure, axes = _grid(len(rows), 1 + len(looks))
    for row, (images, index) in enumerate(rows):
        picture = _picture(sets, images, index)
        _cell(axes[row][0], _outlined(picture, _mask(sets, images, index)))
        axes[row][0].set_ylabel("good" if images is sets.test_normal else "bad", color=INK, fontsize=10)
        for column, look in enumerate(looks, start=1):
            assert look.heat is not None
            _cell(axes[row][column], _heat(look.heat[row] / look.top, picture.shape))
            axes[row][column].set_xlabel(_rank(look, images is sets.test_normal, index), color=MUTED, fontsize=8)
    axes[0][0].set_title("image", fontsize=9, color=INK)
    for column, system in enumerate(comparison.systems, start=1):
        axes[0][column].set_title(
            f"{system.title}\nAUROC {system.auroc.mean:.3f}",
            fontsize=9,
            color=INK,
            fontweight="bold" if system.name == "ganomaly" else "normal",
        )
    width = int(_CHARACTERS_A_CELL * (1 + len(looks)))
    figure.supxlabel(textwrap.fill(_HOW_TO_READ, width), fontsize=8, color=MUTED, x=0.01, ha="left")
    return png(figure)


def _curves(look: Looks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True-positive rates of every seed at the same false-positive rates: ([301], [seeds, 301])."""
    rates = np.linspace(0.0, 1.0, 301)
    curves = []
    for good, bad in look.scores:
        false_positives, true_positives = roc_curve(good, bad)
        curves.append(np.interp(rates, false_positives, true_positives))
    return rates, np.stack(curves)


def _rank(look: Looks, good: bool, index: int) -> str:
    """Share of good test images that the first seed scores lower than this frame."""
    scores = look.scores[0]
    return f"{np.mean(scores[0] < scores[0 if good else 1][index]):.0%}"


def _picture(sets: Sets, images: FolderFrames, index: int) -> NDArray[np.uint8]:
    """A frame as RGB, large enough to look at."""
    picture = viewable(images.frames[index : index + 1], normalisation_of(sets.good.frames))[0]
    scale = max(1.0, _CELL / max(picture.shape[:2]))
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _heat(shares: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Heat [h, w] as RGB of the picture's size: 0 is black, 1 and more as bright as it gets."""
    values = cv2.resize(shares, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR).clip(0, 1)
    coloured = cv2.applyColorMap((values * 255).round().astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(coloured[:, :, ::-1], dtype=np.uint8)


def _mask(sets: Sets, images: FolderFrames, index: int) -> Path | None:
    return sets.masks[index] if images is sets.abnormal else None


def _outlined(picture: NDArray[np.uint8], mask: Path | None) -> NDArray[np.uint8]:
    """Draw the defects' outlines where there is a mask."""
    if mask is None:
        return picture
    inside: Any = (read_image(mask).max(axis=2) > 0).astype(np.uint8)
    inside = cv2.resize(inside, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    result: NDArray[np.uint8] = picture.copy()
    cv2.drawContours(result, contours, -1, _DEFECT, 2)
    return result


def _grid(rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = (_CELL_INCHES * columns + 0.3, (_CELL_INCHES + 0.16) * rows + 0.75)
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.02, wspace=0.0, hspace=0.0)
    figure = Figure(figsize=size, dpi=130, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _cell(axes: Any, picture: NDArray[np.uint8]) -> None:
    axes.imshow(picture)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
