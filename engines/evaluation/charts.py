"""Charts for the reports of evaluation and comparison; matplotlib is loaded when the first one is drawn."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

INK, MUTED, GRID, NORMAL, ABNORMAL = "#1b263b", "#6c757d", "#e5e7eb", "#1d6fa5", "#d1495b"

REPORT_UNAVAILABLE = "no report: it needs matplotlib (pip install 'inspectd[train]')"
"""The line to print if `charts_available` is false."""

_LINE = "#adb5bd"


def charts_available() -> bool:
    """Whether matplotlib is installed; it comes with the extra `train`, the base install has none."""
    return find_spec("matplotlib") is not None


def chart(width: float, height: float) -> tuple[Any, Any]:
    """Create a figure of this size in inches; returns it and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def roc_chart(width: float, height: float, title: str, *, normal: str, abnormal: str) -> tuple[Any, Any]:
    """Create a chart for ROC curves, with the diagonal of chance; `normal` and `abnormal` name the kinds of images."""
    figure, axes = chart(width, height)
    axes.plot((0, 1), (0, 1), color=_LINE, linewidth=1, linestyle="--", zorder=1)
    axes.set_aspect("equal")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    style(axes, title, f"false alarms among {normal} images", f"found among {abnormal} images")
    return figure, axes


def as_png(figure: Any) -> bytes:
    """Render a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "inspectd"})
    return buffer.getvalue()


def style(axes: Any, title: str, x_label: str, y_label: str) -> None:
    """Set title and labels, and draw a light grid."""
    axes.set_title(title, fontsize=12, color=INK, loc="left", fontweight="bold")
    axes.set_xlabel(x_label, color=MUTED)
    axes.set_ylabel(y_label, color=MUTED)
    axes.tick_params(labelsize=9, colors=MUTED)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)
