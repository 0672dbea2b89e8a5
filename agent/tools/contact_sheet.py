"""A picture of the alarms: what the camera saw beside where the model looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

# Three alarms abreast fill a screen; more than eight rows nobody looks at.
COLUMNS = 3
MAX_ALARMS = 24

_BACKGROUND, _TEXT, _QUIET = "#14171c", "#e8eaed", "#9aa0a6"


@dataclass(frozen=True, slots=True)
class ContactSheetEntry:
    """One alarm on the sheet."""

    title: str
    caption: str
    frame: Path
    """The frame with the hot regions marked, or the frame as it was."""
    heatmap: Path


def write_contact_sheet(path: Path, heading: str, entries: Sequence[ContactSheetEntry]) -> None:
    """Write the sheet as PNG: frame and heatmap of each alarm side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(entries)[:MAX_ALARMS]
    rows = max(1, -(-len(shown) // COLUMNS))
    figure = Figure(figsize=(5.2 * COLUMNS, 2.95 * rows + 0.6), facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    figure.suptitle(heading, color=_TEXT, fontsize=15, x=0.012, y=1.0 - 0.16 / (2.95 * rows + 0.6), ha="left", va="top")
    axes = figure.subplots(rows, 2 * COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
        axis.set_anchor("N")
    for i, entry in enumerate(shown):
        left, right = axes[i // COLUMNS, 2 * (i % COLUMNS)], axes[i // COLUMNS, 2 * (i % COLUMNS) + 1]
        left.imshow(_rgb(entry.frame))
        right.imshow(_rgb(entry.heatmap))
        left.set_title(entry.title, color=_TEXT, fontsize=11, loc="left", pad=4)
        right.set_title(entry.caption, color=_QUIET, fontsize=9, loc="left", pad=4)
    figure.subplots_adjust(
        left=0.012, right=0.988, bottom=0.012, top=1.0 - 0.75 / (2.95 * rows + 0.6), wspace=0.04, hspace=0.14
    )
    figure.savefig(path, dpi=100, facecolor=_BACKGROUND)


def _rgb(path: Path) -> NDArray[np.uint8]:
    """The picture for matplotlib; a gray field where it did not arrive."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.exists() else None
    if image is None:
        return np.full((64, 64, 3), 40, np.uint8)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
