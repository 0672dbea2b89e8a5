"""A strip of test images, one per row, with the heatmap of every system beside each."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.comparison.records import Comparison, ComparisonData, FolderFrames, SystemScores, frames_in_strip
from engines.evaluation.charts import INK, MUTED, as_png
from engines.evaluation.evaluate import inspected_defects
from engines.images import viewable
from engines.recipes.scorer import normalisation_of

# RGB of the outlines of defects.
_DEFECT = (255, 64, 64)

# Side of an image in the strip, in pixels, so that small frames are visible, and in inches.
_CELL_PIXELS = 224
_CELL_INCHES = 1.42
# Characters of the legend that fit below one image.
_CHARACTERS_PER_CELL = 22

_LEGEND = (
    "Each system's heatmaps have one scale: the brightest colour is the hottest place of all good test images. "
    "Below each: the share of good test images with a lower score."
)


def draw_heatmap_strip(comparison: Comparison, data: ComparisonData, scores: Sequence[SystemScores]) -> bytes:
    """Draw test images, one per row, each with every system's heatmap; returns a PNG.

    `scores` has one entry for each system of the comparison, in the same order.
    """
    rows = frames_in_strip(data)
    figure, axes = _grid(len(rows), 1 + len(scores))
    for row, (folder, index) in enumerate(rows):
        is_good = folder is data.test_normal
        image = _image(data, folder, index)
        mask = None if is_good else data.masks[index]
        defects = None if mask is None else inspected_defects(mask, data.good.view, folder.pose(index))
        _show(axes[row][0], _outlined(image, defects))
        axes[row][0].set_ylabel("good" if is_good else "bad", color=INK, fontsize=10)
        for column, system_scores in enumerate(scores, start=1):
            assert system_scores.heatmaps is not None
            _show(axes[row][column], _coloured(system_scores.heatmaps[row] / system_scores.top, image.shape))
            axes[row][column].set_xlabel(_rank(system_scores, is_good, index), color=MUTED, fontsize=8)
    _draw_titles(axes[0], comparison)
    width = int(_CHARACTERS_PER_CELL * (1 + len(scores)))
    figure.supxlabel(textwrap.fill(_LEGEND, width), fontsize=8, color=MUTED, x=0.01, ha="left")
    return as_png(figure)


def _draw_titles(axes: Any, comparison: Comparison) -> None:
    axes[0].set_title("image", fontsize=9, color=INK)
    for column, system in enumerate(comparison.systems, start=1):
        axes[column].set_title(
            f"{system.title}\nAUROC {system.auroc.mean:.3f}",
            fontsize=9,
            color=INK,
            fontweight="bold" if system.name == "ganomaly" else "normal",
        )


def _rank(scores: SystemScores, is_good: bool, index: int) -> str:
    """Share of good test images that the first seed scores lower than this one."""
    good, bad = scores.by_seed[0]
    return f"{np.mean(good < (good if is_good else bad)[index]):.0%}"


def _image(data: ComparisonData, folder: FolderFrames, index: int) -> NDArray[np.uint8]:
    """One frame as RGB [H, W, 3], enlarged if it is small."""
    image = viewable(folder.frames[index : index + 1], normalisation_of(data.good.frames))[0]
    scale = max(1.0, _CELL_PIXELS / max(image.shape[:2]))
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _coloured(heatmap: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A heatmap [h, w] as RGB of the image's shape: 0 is black, 1 and more the brightest colour."""
    values = cv2.resize(heatmap, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR).clip(0, 1)
    coloured = cv2.applyColorMap((values * 255).round().astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(coloured[:, :, ::-1], dtype=np.uint8)


def _outlined(image: NDArray[np.uint8], defects: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """The image with the outlines of its defects [H, W], if they are known."""
    if defects is None:
        return image
    inside: Any = cv2.resize(
        defects.astype(np.uint8), (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST
    )
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    result: NDArray[np.uint8] = image.copy()
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


def _show(axes: Any, image: NDArray[np.uint8]) -> None:
    axes.imshow(image)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
