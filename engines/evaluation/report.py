"""Files of an evaluation: the figures as JSON, two charts, and one self-contained HTML page."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import Bundle
from engines.errors import EngineError
from engines.evaluation.charts import ABNORMAL, INK, NORMAL, as_png, chart, charts_available, roc_chart, style
from engines.evaluation.metrics import roc_curve
from engines.evaluation.records import Evaluation, ScoredImages
from engines.images import overlay, prepare, read_image, top_of, viewable

# Images of each kind on the page; each takes about 60 kB.
_WORST = 8
# Images on the page are enlarged to this width, so that small models' frames are visible.
_IMAGE_WIDTH = 224


def write_evaluation(out: Path, bundle: Bundle, result: Evaluation, good: ScoredImages, bad: ScoredImages) -> None:
    """Write evaluation.json into `out`, and roc.png, histogram.png and report.html if charts are available.

    Raises EngineError if the files cannot be written.
    """
    files = {"evaluation.json": result.to_json().encode() + b"\n"}
    if charts_available():
        roc, histogram = draw_roc_curve(result, good.score, bad.score), draw_histogram(result, good.score, bad.score)
        page = _page(bundle, result, roc, histogram, good, bad).encode()
        files |= {"roc.png": roc, "histogram.png": histogram, "report.html": page}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise EngineError(f"{out}: cannot write the report ({error.strerror or error})") from None


def draw_roc_curve(result: Evaluation, normal: NDArray[np.float32], abnormal: NDArray[np.float32]) -> bytes:
    """Draw the ROC curve of scores [N] and [M], with the threshold if there is one; returns a PNG."""
    figure, axes = roc_chart(5.2, 5.2, f"AUROC {result.auroc}", normal="normal", abnormal="abnormal")
    false_positives, true_positives = roc_curve(normal, abnormal)
    axes.plot(false_positives, true_positives, color=NORMAL, linewidth=2.2)
    axes.fill_between(false_positives, true_positives, color=NORMAL, alpha=0.10)
    if result.at_threshold is not None:
        point = result.at_threshold
        axes.plot(point.false_alarm_rate, point.recall, "o", color=ABNORMAL, markersize=8, label="threshold")
        axes.legend(frameon=False, loc="lower right")
    return as_png(figure)


def draw_histogram(result: Evaluation, normal: NDArray[np.float32], abnormal: NDArray[np.float32]) -> bytes:
    """Draw histograms of scores [N] and [M], with the threshold if there is one; returns a PNG."""
    figure, axes = chart(7.4, 5.2)
    low, high = min(normal.min(), abnormal.min()), max(normal.max(), abnormal.max())
    logarithmic = low > 0 and high / low > 30
    edges = np.geomspace(low, high, 41) if logarithmic else np.linspace(low, high if high > low else low + 1, 41)
    for scores, colour, label in ((normal, NORMAL, "normal"), (abnormal, ABNORMAL, "abnormal")):
        weights = np.full(len(scores), 100 / len(scores))
        axes.hist(scores, edges, weights=weights, color=colour, alpha=0.62, label=f"{label} ({len(scores)})")
    if logarithmic:
        axes.set_xscale("log")
    if result.at_threshold is not None:
        axes.axvline(result.at_threshold.threshold, color=INK, linewidth=1.4, linestyle="--", label="threshold")
    axes.legend(frameon=False)
    style(axes, "Scores", "score (latent distance)", "% of images")
    return as_png(figure)


def _page(
    bundle: Bundle, result: Evaluation, roc: bytes, histogram: bytes, good: ScoredImages, bad: ScoredImages
) -> str:
    top = top_of(good.heatmap)
    misses, alarms = np.argsort(bad.score)[:_WORST], np.argsort(good.score)[::-1][:_WORST]
    manifest = bundle.manifest
    recipe = "without a recipe" if manifest.recipe is None else f"recipe {manifest.recipe.name}"
    about = f"{recipe}, {manifest.geometry}, engine {result.engine}, bundle {result.bundle[:12]}"
    return _PAGE.format(
        title=html.escape(manifest.name),
        about=html.escape(about),
        figures="".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in _figures(result)
        ),
        roc=_data_url(roc, "png"),
        histogram=_data_url(histogram, "png"),
        misses=_cards(bundle, bad, misses, top),
        alarms=_cards(bundle, good, alarms, top),
        skipped=_skipped(result.skipped),
    )


def _figures(result: Evaluation) -> list[tuple[str, str]]:
    rows = [
        ("Images", f"{result.normal} normal, {result.abnormal} abnormal"),
        ("AUROC (95 % interval)", str(result.auroc)),
        ("Average precision", f"{result.average_precision}; chance {result.chance_precision:.3f}"),
    ]
    if result.at_threshold is not None:
        point = result.at_threshold
        rows.append(
            (
                f"At threshold {point.threshold:.4g}",
                f"recall {point.recall_text}; false alarms {point.false_alarm_text}",
            )
        )
        rows += [("Rule and budget", point.how)] if point.how else []
        rows += [("Certificate", point.certificate)] if point.certificate else []
    if result.pixels is not None:
        pixels = result.pixels
        rows += [
            ("Pixel AUROC", f"{pixels.auroc:.3f}; within abnormal images {pixels.auroc_within:.3f}"),
            ("Per-region overlap (to 0.3)", f"{pixels.pro:.3f} over {pixels.regions} regions"),
            ("Hottest pixel on a defect", f"{pixels.peak_hits:.1%} of abnormal images"),
        ]
    if result.without_part:
        rows.append(("Without a part", f"{result.without_part} images, which are in none of these figures"))
    return rows


def _cards(bundle: Bundle, images: ScoredImages, chosen: Sequence[int] | NDArray[np.intp], top: float) -> str:
    cards = []
    for index in chosen:
        source = read_image(images.paths[index], bundle.manifest.reading)
        frames: Any = prepare(source, bundle.manifest).pixels[None]
        image = viewable(frames, bundle.manifest.normalisation)
        heatmap = overlay(image, images.heatmap[index : index + 1], top)
        name = html.escape(images.paths[index].name)
        cards.append(
            f'<figure><img alt="{name}" src="{_jpeg_url(image[0])}">'
            f'<img alt="heatmap of {name}" src="{_jpeg_url(heatmap[0])}">'
            f"<figcaption>{name}<br><b>{images.score[index]:.4g}</b></figcaption></figure>"
        )
    return "".join(cards)


def _skipped(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines[:50])
    return f"<h2>{len(lines)} files could not be used</h2><ul>{items}</ul>"


def _jpeg_url(image: NDArray[np.uint8]) -> str:
    height = max(1, round(image.shape[0] * _IMAGE_WIDTH / image.shape[1]))
    method = cv2.INTER_NEAREST if image.shape[1] < _IMAGE_WIDTH else cv2.INTER_AREA
    resized = cv2.resize(image, (_IMAGE_WIDTH, height), interpolation=method)
    _, encoded = cv2.imencode(".jpg", resized[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return _data_url(encoded.tobytes(), "jpeg")


def _data_url(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: evaluation</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1b263b; background: #f8f9fb; max-width: 1120px; margin: 2rem auto; padding: 0 1rem }}
h1 {{ margin: 0 }} h2 {{ margin: 2rem 0 .6rem; font-size: 1.1rem }} p {{ color: #6c757d; margin: .2rem 0 1rem }}
table {{ border-collapse: collapse; background: #fff; border-radius: 8px; box-shadow: 0 1px 3px #0002 }}
th, td {{ text-align: left; padding: .45rem 1rem; border-bottom: 1px solid #eef0f3; font-variant-numeric: tabular-nums }} th {{ font-weight: 500; color: #6c757d }}
.charts {{ display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 1rem }} .charts img {{ height: 360px; max-width: 100%; object-fit: contain; background: #fff; border-radius: 8px; box-shadow: 0 1px 3px #0002 }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: .8rem }}
figure {{ margin: 0; background: #fff; border-radius: 8px; padding: .5rem; box-shadow: 0 1px 3px #0002 }}
figure img {{ width: 50%; image-rendering: pixelated }} figcaption {{ font-size: .82rem; overflow-wrap: anywhere; color: #6c757d }} figcaption b {{ color: #1b263b }}
</style></head><body>
<h1>{title}</h1><p>{about}</p>
<table>{figures}</table>
<div class="charts"><img alt="ROC curve" src="{roc}"><img alt="Histogram of scores" src="{histogram}"></div>
<h2>Worst misses: abnormal images with the lowest scores</h2><div class="cards">{misses}</div>
<h2>Worst false alarms: normal images with the highest scores</h2><div class="cards">{alarms}</div>
{skipped}
<p>All heatmaps on this page have the same scale: one pixel in a thousand of the normal images reaches the brightest colour.</p>
</body></html>
"""  # noqa: E501
