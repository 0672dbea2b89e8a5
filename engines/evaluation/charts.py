"""How charts look: shared by the reports. matplotlib is imported when the first one is drawn."""

from __future__ import annotations

import io
from typing import Any

INK, MUTED, GRID, NORMAL, ABNORMAL = "#1b263b", "#6c757d", "#e5e7eb", "#1d6fa5", "#d1495b"


def chart(width: float, height: float) -> tuple[Any, Any]:
    """A figure of this size in inches, and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def png(figure: Any) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "inspectd"})
    return buffer.getvalue()


def style(axes: Any, title: str, x_label: str, y_label: str) -> None:
    """Title, labels, a light grid."""
    axes.set_title(title, fontsize=12, color=INK, loc="left", fontweight="bold")
    axes.set_xlabel(x_label, color=MUTED)
    axes.set_ylabel(y_label, color=MUTED)
    axes.tick_params(labelsize=9, colors=MUTED)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#adb5bd")
