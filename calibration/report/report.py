"""The report of a calibration: one self-contained HTML page with inline SVG, no scripts and no other files."""

from __future__ import annotations

import base64
from html import escape

from calibration.budgets import percent, plural
from calibration.report.report_charts import RateCurve, rate_chart, score_trace
from calibration.statistics import CONFORMAL, StatedRates, promise
from calibration.store import Calibration, LeftOut

# Images shown; the record has the others.
_MOST_IMAGES = 24

# Alarms are reported as coming in bursts if their counts vary by this many times as much as those of single alarms.
_BURSTS = 1.5

_STYLE = """
:root { --ink:#1d2733; --soft:#5d6b7a; --line:#dde3ea; --paper:#fff; --back:#f4f6f8; --good:#1f6f8b; --alarm:#c8452f;
  --pale:#d5e6ec; --ok:#2c7a4b; --warn:#a15c00 }
@media (prefers-color-scheme: dark) { :root { --ink:#e7edf3; --soft:#9aa8b7; --line:#33404d; --paper:#1b242d;
  --back:#131a21; --good:#6db7d1; --alarm:#f08a74; --pale:#274450; --ok:#7cc79b; --warn:#e0a654 } }
* { box-sizing:border-box }
body { margin:0; background:var(--back); color:var(--ink);
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif }
main { max-width:1040px; margin:0 auto; padding:40px 24px 64px }
h1 { font-size:15px; font-weight:600; color:var(--soft); margin:0 0 8px }
h2 { font-size:17px; margin:0 0 4px }
section { background:var(--paper); border:1px solid var(--line); border-radius:12px; padding:22px 24px;
  margin-top:20px }
.promise { font-size:27px; line-height:1.3; font-weight:600; letter-spacing:-.01em; margin:0 0 16px;
  text-wrap:balance }
.badge { display:inline-block; padding:3px 12px; border-radius:99px; font-size:14px; font-weight:600;
  border:1.5px solid }
.certified { color:var(--ok) } .extrapolated { color:var(--warn) }
.reason { color:var(--soft); margin-left:10px }
.note { color:var(--soft); margin:0 0 12px; max-width:74ch }
dl { display:grid; grid-template-columns:repeat(auto-fit,minmax(280px,1fr)); gap:18px 28px; margin:0 }
dt { font-size:13px; color:var(--soft) }
dd { margin:0; font-size:18px; font-weight:600; font-variant-numeric:tabular-nums; overflow-wrap:anywhere }
dd small { font-size:13px; font-weight:400; color:var(--soft); display:block }
svg { display:block; width:100%; height:auto }
svg text { font:12px system-ui,sans-serif; fill:var(--soft) }
svg .strong { fill:var(--ink); font-weight:600 }
.axis { stroke:var(--line) }
.dot { fill:var(--good) } .bar { fill:var(--good); opacity:.75 }
.out { fill:none; stroke:var(--alarm); stroke-width:1.6 }
.threshold { stroke:var(--alarm); stroke-width:1.8 } .stated { fill:var(--alarm) }
svg .alarm { fill:var(--alarm); font-weight:600 }
.band { fill:var(--pale) } .curve { fill:none; stroke:var(--good); stroke-width:2 }
.budget { stroke:var(--soft); stroke-dasharray:5 4 }
figure { margin:0 }
.images { display:grid; gap:14px; grid-template-columns:repeat(auto-fill,minmax(104px,1fr)) }
.images img { width:100%; image-rendering:pixelated; border-radius:6px; border:1px solid var(--line); display:block }
figcaption { font-size:13px; color:var(--soft); font-variant-numeric:tabular-nums }
footer { color:var(--soft); font-size:13px; margin-top:24px; overflow-wrap:anywhere }
@media print { body { background:#fff } section { break-inside:avoid } }
"""


def report_html(calibration: Calibration) -> str:
    """Return the report as one HTML page, a few hundred kB."""
    parts = [_head(calibration), _facts(calibration), _trace(calibration), _tail(calibration)]
    parts += [_images(calibration)] if calibration.left_out else []
    parts.append(_foot(calibration))
    title = f"Calibration of {escape(calibration.camera)}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _head(calibration: Calibration) -> str:
    threshold = calibration.threshold
    name, words = ("certified", "Certified") if threshold.certified else ("extrapolated", "Not certified")
    return (
        f"<h1>Calibration of {escape(calibration.camera)}, {calibration.created_at:%d %B %Y, %H:%M} UTC</h1>"
        f'<p class="promise">{escape(_promise(calibration))}</p>'
        f'<p><span class="badge {name}">{words}</span> '
        f'<span class="reason">{escape(_sentence(threshold.reason))}</span></p>'
    )


def _promise(calibration: Calibration) -> str:
    """Today's sentence, also for a record with an older one: the page states every rate in the unit of the budget."""
    return promise(
        calibration.threshold,
        budget=calibration.budget,
        frames_per_second=calibration.frames_per_second,
        confidence=calibration.confidence,
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _facts(calibration: Calibration) -> str:
    facts = (
        _threshold_fact(calibration),
        ("You asked for", f"{calibration.budget.alarms:g} per {calibration.budget.span}", "false alarms, at most"),
        _rate_fact(calibration),
        _window_fact(calibration),
        _count_fact(calibration),
        _left_out_fact(calibration),
    )
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, value, note in facts
    )
    return f"<section><dl>{items}</dl></section>"


Fact = tuple[str, str, str]
"""Its name, its value and a note in small print."""


def _threshold_fact(calibration: Calibration) -> Fact:
    rule, threshold = calibration.rule, calibration.threshold
    many = (
        f"{rule.k} of {rule.n} images above it raise an alarm" if rule.n > 1 else "one image above it raises an alarm"
    )
    method = "within the scores of the window" if threshold.method == CONFORMAL else "beyond the scores of the window"
    return "Threshold", f"{threshold.value:.4g}", f"{many}; {method} ({threshold.method})"


def _rate_fact(calibration: Calibration) -> Fact:
    rates = StatedRates.of(
        calibration.threshold, budget=calibration.budget, frames_per_second=calibration.frames_per_second
    )
    if not rates.carried:
        sure = f"with {percent(calibration.confidence)} confidence"
        note = f"false alarms, {sure}; the window is too short for a best guess"
        return "At worst", f"{rates.worst_text} per {calibration.budget.span}", note
    note = f"false alarms; at worst {rates.worst_text}, with {percent(calibration.confidence)} confidence"
    return "Likely", f"{rates.likely_text} per {calibration.budget.span}", note


def _window_fact(calibration: Calibration) -> Fact:
    frames = calibration.scores.size
    span = f"{frames / calibration.frames_per_second / 60:.1f} minutes"
    return "Window", f"{frames:,} images", f"{span}, frames {calibration.first_frame} to {calibration.last_frame}"


def _count_fact(calibration: Calibration) -> Fact:
    threshold = calibration.threshold
    frames, count = threshold.frames, threshold.effective_sample_size
    note = "the more alike successive images are, the fewer count"
    if threshold.dispersion >= _BURSTS:
        note += f"; alarms come in bursts of about {threshold.dispersion:.1f}"
    return "Images that count", f"{count:,.0f} of {frames:,}", note


def _left_out_fact(calibration: Calibration) -> Fact:
    note = "unlike the rest" if calibration.left_out else "none is unlike the rest"
    return "Left out", plural(len(calibration.left_out), "image"), note


def _trace(calibration: Calibration) -> str:
    return (
        "<section><h2>Scores of the window</h2>"
        '<p class="note">Every image in order of capture, and how often each score occurred. Images left out are '
        f"circled.{_rule_note(calibration)}</p>{score_trace(calibration)}</section>"
    )


def _rule_note(calibration: Calibration) -> str:
    rule = calibration.rule
    if rule.n == 1:
        return ""
    return f" An alarm takes {rule.k} of {rule.n} images above the threshold: a single one is not enough."


def _tail(calibration: Calibration) -> str:
    curve = RateCurve.of(calibration)
    kind = "counted in the window" if curve.certified else "fitted to the highest scores"
    return (
        "<section><h2>False alarms at each threshold</h2>"
        f'<p class="note">Dots: alarms in the window. Line: the likely rate, {kind}. Shaded: up to the highest rate '
        f"that the window allows, with {percent(calibration.confidence)} confidence."
        f"{_LEVEL_NOTE if curve.raised else ''}</p>{rate_chart(calibration, curve)}</section>"
    )


_LEVEL_NOTE = (
    " Both stay level where the threshold was raised for the images left out: if those show good parts, the rate does "
    "not fall as the other images suggest."
)


def _images(calibration: Calibration) -> str:
    shown = [out for out in calibration.left_out if out.thumbnail_png is not None][:_MOST_IMAGES]
    rest = len(calibration.left_out) - len(shown)
    more = f" {rest} more {'is' if rest == 1 else 'are'} in the record." if rest else ""
    return (
        f'<section><h2>Images left out</h2><p class="note">{escape(calibration.left_out_cost)}{more} If they show good '
        f"parts, calibrate again with <code>inspectd recalibrate --fresh</code>, which takes every image.</p>"
        f'<div class="images">{"".join(map(_image, shown))}</div></section>'
    )


def _image(out: LeftOut) -> str:
    data = base64.b64encode(out.thumbnail_png or b"").decode()
    words = f"Image {out.index} of the window, score {out.score:.4g}"
    return (
        f'<figure title="{escape(out.why)}"><img alt="{words}" src="data:image/png;base64,{data}">'
        f"<figcaption>no. {out.index}, score {out.score:.3g}</figcaption></figure>"
    )


def _foot(calibration: Calibration) -> str:
    return (
        f"<footer>{escape(calibration.id)}, requested by {escape(calibration.who)}, model "
        f"{escape(calibration.bundle_sha256[:12])} on {escape(calibration.engine)}.</footer>"
    )
