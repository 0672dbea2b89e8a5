"""The training report: one image that shows a technician whether the model has learned the good parts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.bundles import Frames
from engines.images import as_rgb, overlay, top_of, viewable

if TYPE_CHECKING:
    from engines.recipes.scorer import Scorer
    from engines.runtime import Scores
    from engines.training.trained import TrainedModel

_COLUMNS = 8
_INK, _MUTED, _GRID = "#1b263b", "#6c757d", "#e5e7eb"
_BLUE, _RED = "#1d6fa5", "#d1495b"
# A colour for each loss; more than any recipe has.
_LOSS_COLOURS = ("#1d6fa5", "#edae49", "#5b8e7d", "#8f6aa8", "#b07156", "#2a9d8f", "#e07a9b", "#6d7f99")

# 110 dots per inch: 1,430 pixels wide, sharp on a screen and under 1 MB.
_DPI = 110


def draw_training_report(
    trained: TrainedModel, scorer: Scorer, held_out: Scores, trained_on: Scores, every: int
) -> bytes:
    """Draw losses, score histogram, held-out frames and the strangest training frames; returns a PNG.

    `held_out` and `trained_on` are the scores of all held-out frames and of each `every`-th training frame.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    top = max(top_of(held_out.heatmap), top_of(trained_on.heatmap))
    figure = Figure(figsize=(13, 11.6), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    areas: Any = figure.subfigures(4, 1, height_ratios=(0.62, 3.3, 4.2, 3.0))
    header, charts, good, strange = areas
    _draw_header(header, trained)
    losses, histogram = charts.subplots(
        1,
        2,
        width_ratios=(1, 1),
        gridspec_kw={"left": 0.075, "right": 0.98, "top": 0.88, "bottom": 0.14, "wspace": 0.5},
    )
    _draw_losses(losses, trained)
    _draw_histogram(histogram, held_out.score, trained_on.score, remembers=scorer.remembers_frames)
    _draw_held_out(good, trained, scorer, held_out, top)
    _draw_strangest(strange, trained, trained_on, every, top)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "inspectd"})
    return buffer.getvalue()


def _draw_header(area: Any, trained: TrainedModel) -> None:
    area.text(0.02, 0.62, trained.name, fontsize=20, fontweight="bold", color=_INK, va="center")
    skipped = f", {trained.skipped} files skipped" if trained.skipped else ""
    facts = (
        f"recipe {trained.recipe.name}   ·   {trained.geometry}   ·   {len(trained.train_frames)} good images "
        f"trained on, {len(trained.held_out_frames)} held out{skipped}   ·   "
        f"{trained.steps} steps, state of step {trained.kept_step} kept"
    )
    area.text(0.02, 0.18, facts, fontsize=10.5, color=_MUTED, va="center")


def _draw_losses(axes: Any, trained: TrainedModel) -> None:
    history = trained.history
    for colour, (name, values) in zip(_LOSS_COLOURS * 4, sorted(history.losses.items()), strict=False):
        axes.plot(history.steps, values, color=colour, linewidth=1.3, label=name)
    axes.plot(history.steps, history.held_out, color=_RED, linewidth=2.2, label="held out, total")
    axes.axvline(trained.kept_step, color=_MUTED, linewidth=1, linestyle=":")
    plotted = [value for values in (*history.losses.values(), history.held_out) for value in values if value == value]
    if plotted and min(plotted) > 0:
        axes.set_yscale("log")
    _style(axes, "Losses (dotted: the state that was kept)", "step", "loss")
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))


def _draw_histogram(
    axes: Any, held_out: NDArray[np.float32], trained_on: NDArray[np.float32], *, remembers: bool
) -> None:
    low, high = min(held_out.min(), trained_on.min()), max(held_out.max(), trained_on.max())
    edges = np.linspace(low, high if high > low else low + 1, 31)
    for scores, colour, label in ((trained_on, _GRID, "trained on"), (held_out, _BLUE, "held out")):
        weights = np.full(len(scores), 100 / len(scores))
        edge = "#adb5bd" if colour == _GRID else colour
        alpha = 1.0 if colour == _GRID else 0.72
        axes.hist(
            scores, edges, weights=weights, color=colour, edgecolor=edge, alpha=alpha, label=f"{label} ({len(scores)})"
        )
    expected = "those trained on are lower: the model remembers them" if remembers else "the two should overlap"
    _style(axes, f"Scores of good frames: {expected}", "score (latent distance)", "% of frames")
    axes.legend(frameon=False, fontsize=9)


def _draw_held_out(area: Any, trained: TrainedModel, scorer: Scorer, scores: Scores, top: float) -> None:
    count = min(_COLUMNS, len(scores.score))
    chosen = np.argsort(scores.score)[np.linspace(0, len(scores.score) - 1, count).round().astype(int)]
    frames = trained.held_out_frames[chosen]
    reconstructions = _reconstructions(scorer, frames)
    shown = "image, heatmap" if reconstructions is None else "image, reconstruction, heatmap"
    _title(area, f"Held-out good frames, from the lowest score to the highest: {shown}")
    rows = [viewable(frames, trained.normalisation)]
    if reconstructions is not None:
        rows.append(reconstructions)
    rows.append(overlay(rows[0], scores.heatmap[chosen], top))
    captions = [f"{score:.3g}" for score in scores.score[chosen]]
    _draw_rows(area, rows, captions)


def _draw_strangest(area: Any, trained: TrainedModel, scores: Scores, every: int, top: float) -> None:
    _title(area, "The training frames with the highest scores: is there a defect among them?")
    chosen = np.argsort(scores.score)[::-1][:_COLUMNS]
    images = viewable(trained.train_frames[chosen * every], trained.normalisation)
    names = [_short(trained.train_paths[index * every].name) for index in chosen]
    captions = [f"{name}\n{score:.3g}" for name, score in zip(names, scores.score[chosen], strict=True)]
    _draw_rows(area, [images, overlay(images, scores.heatmap[chosen], top)], captions)


def _draw_rows(area: Any, rows: list[NDArray[np.uint8]], captions: list[str]) -> None:
    grid = {"left": 0.02, "right": 0.98, "top": 0.86, "bottom": 0.13, "wspace": 0.06, "hspace": 0.06}
    axes = area.subplots(len(rows), _COLUMNS, squeeze=False, gridspec_kw=grid)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, images in zip(axes, rows, strict=True):
        for axis, image in zip(row, images, strict=False):
            axis.imshow(image, interpolation="nearest")
    for axis, caption in zip(axes[-1], captions, strict=False):
        axis.text(0.5, -0.06, caption, transform=axis.transAxes, ha="center", va="top", fontsize=8.5, color=_INK)


def _reconstructions(scorer: Scorer, frames: Frames) -> NDArray[np.uint8] | None:
    with torch.inference_mode():
        reconstructions = scorer.reconstruction(scorer.normalise(torch.from_numpy(frames)))
    if reconstructions is None:
        return None
    values = (reconstructions.float().clamp(-1, 1).permute(0, 2, 3, 1).numpy() + 1) * 127.5
    return as_rgb(values.round().astype(np.uint8))


def _style(axes: Any, title: str, x_label: str, y_label: str) -> None:
    axes.set_title(title, fontsize=11, color=_INK, loc="left", fontweight="bold")
    axes.set_xlabel(x_label, fontsize=9, color=_MUTED)
    axes.set_ylabel(y_label, fontsize=9, color=_MUTED)
    axes.tick_params(labelsize=8, colors=_MUTED)
    axes.grid(color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#adb5bd")


def _title(area: Any, text: str) -> None:
    area.text(0.02, 0.93, text, fontsize=11, fontweight="bold", color=_INK, va="center")


def _short(name: str, limit: int = 20) -> str:
    return name if len(name) <= limit else f"…{name[-limit + 1 :]}"
