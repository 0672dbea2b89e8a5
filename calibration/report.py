"""One calibration as a page that opens anywhere: self-contained HTML with inline SVG, no scripts, nothing fetched."""

from __future__ import annotations

import base64
from html import escape

from calibration.promise import rate_in_words
from calibration.record import Calibration, LeftOut
from calibration.report_charts import score_trace, tail_chart

# Pictures shown; the record counts the rest.
_MOST_PICTURES = 24

_STYLE = """
:root { --ink:#1d2733; --soft:#5d6b7a; --line:#dde3ea; --paper:#fff; --back:#f4f6f8; --good:#1f6f8b; --alarm:#c8452f;
  --pale:#d5e6ec; --ok:#2c7a4b; --warn:#a15c00; }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e7edf3; --soft:#9aa8b7; --line:#33404d; --paper:#1b242d; --back:#131a21;
  --good:#6db7d1; --alarm:#f08a74; --pale:#274450; --ok:#7cc79b; --warn:#e0a654; } }
* { box-sizing:border-box } body { margin:0; background:var(--back); color:var(--ink);
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif }
main { max-width:1040px; margin:0 auto; padding:40px 24px 64px } h1 { font-size:15px; font-weight:600;
color:var(--soft);
  margin:0 0 8px } h2 { font-size:17px; margin:0 0 4px } .promise { font-size:27px; line-height:1.3; font-weight:600;
  letter-spacing:-.01em; margin:0 0 16px; text-wrap:balance } .badge { display:inline-block; padding:3px 12px;
  border-radius:99px; font-size:14px; font-weight:600; border:1.5px solid } .certified { color:var(--ok) }
  .extrapolated { color:var(--warn) }
.reason { color:var(--soft); margin-left:10px } section { background:var(--paper); border:1px solid var(--line);
  border-radius:12px; padding:22px 24px; margin-top:20px } .note { color:var(--soft); margin:0 0 12px; max-width:74ch }
dl { display:grid; grid-template-columns:repeat(auto-fit,minmax(280px,1fr)); gap:18px 28px; margin:0 } dt {
font-size:13px;
  color:var(--soft) } dd { margin:0; font-size:18px; font-weight:600; font-variant-numeric:tabular-nums;
  overflow-wrap:anywhere }
dd small { font-size:13px; font-weight:400; color:var(--soft); display:block } svg { display:block; width:100%;
height:auto } svg text { font:12px system-ui,sans-serif; fill:var(--soft) } svg .strong { fill:var(--ink);
font-weight:600 } .axis { stroke:var(--line) } .dot { fill:var(--good) } .out { fill:none; stroke:var(--alarm);
stroke-width:1.6 } .bar { fill:var(--good); opacity:.75 } .threshold { stroke:var(--alarm); stroke-width:1.8 } .alarm
{ fill:var(--alarm);
  font-weight:600 } .band { fill:var(--pale) } .curve { fill:none; stroke:var(--good); stroke-width:2 } .budget {
  stroke:var(--soft); stroke-dasharray:5 4 } figure { margin:0 } .pictures { display:grid; gap:14px;
  grid-template-columns:repeat(auto-fill,minmax(104px,1fr)) } .pictures img { width:100%; image-rendering:pixelated;
  border-radius:6px; border:1px solid var(--line); display:block } figcaption { font-size:13px; color:var(--soft);
  font-variant-numeric:tabular-nums } footer { color:var(--soft); font-size:13px; margin-top:24px;
  overflow-wrap:anywhere }
@media print { body { background:#fff } section { break-inside:avoid } }
"""


def report_html(calibration: Calibration) -> str:
    """Return the report as one HTML page, a few hundred kB."""
    parts = [_head(calibration), _facts(calibration), _trace(calibration), _tail(calibration)]
    parts += [_pictures(calibration)] if calibration.left_out else []
    parts.append(_foot(calibration))
    title = f"Calibration of {escape(calibration.camera)}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _head(calibration: Calibration) -> str:
    threshold = calibration.threshold
    name, words = ("certified", "Certified") if threshold.certified else ("extrapolated", "Not certified: extrapolated")
    return (
        f"<h1>Calibration of {escape(calibration.camera)}, {calibration.created_at:%d %B %Y, %H:%M} UTC</h1>"
        f'<p class="promise">{escape(calibration.promise)}</p>'
        f'<p><span class="badge {name}">{words}</span> '
        f'<span class="reason">{escape(_sentence(threshold.reason))}</span></p>'
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _facts(calibration: Calibration) -> str:
    threshold, frames = calibration.threshold, calibration.scores.size
    minutes = frames / calibration.frames_per_second / 60
    facts = [
        ("Threshold", f"{threshold.value:.4g}", f"on {calibration.rule} frames, {threshold.method}"),
        ("Budget", str(calibration.budget), "false alarms allowed"),
        (
            "Promise",
            rate_in_words(threshold.promised_alarms_per_day),
            f"at most, at {calibration.confidence:.0%} confidence; best guess "
            f"{rate_in_words(threshold.expected_alarms_per_day)}",
        ),
        (
            "Window",
            f"{frames:,} frames",
            f"{minutes:.1f} minutes, frames {calibration.first_frame} to {calibration.last_frame}",
        ),
        (
            "Worth",
            f"{threshold.effective_sample_size:,.0f} independent frames",
            f"one for every {frames / max(threshold.effective_sample_size, 1):.1f}; alarms come in bursts of about "
            f"{threshold.dispersion:.1f}",
        ),
        (
            "Left out",
            f"{len(calibration.left_out)} frames",
            "they look unlike the rest" if calibration.left_out else "none looks unlike the rest",
        ),
    ]
    items = "".join(
        f"<div><dt>{escape(a)}</dt><dd>{escape(b)}<small>{escape(c)}</small></dd></div>" for a, b, c in facts
    )
    return f"<section><dl>{items}</dl></section>"


def _trace(calibration: Calibration) -> str:
    return (
        "<section><h2>Scores of the window</h2>"
        '<p class="note">Every frame in the order it came, and how often each score was seen. Frames left out '
        "are ringed. The rule compares its statistic, not single scores, with the threshold: a single frame may pass."
        f"</p>{score_trace(calibration)}</section>"
    )


def _tail(calibration: Calibration) -> str:
    return (
        "<section><h2>How rare alarms get as the threshold rises</h2>"
        '<p class="note">Dots: alarms counted in the window at each level. Line and band: the tail fitted, with its '
        f"{calibration.confidence:.0%} limits, all there is to go by beyond the last dot. Where the line meets "
        f"the budget, the best guess keeps it; where the band's upper edge does, it holds.</p>"
        f"{tail_chart(calibration)}"
        "</section>"
    )


def _pictures(calibration: Calibration) -> str:
    shown = [out for out in calibration.left_out if out.thumbnail_png is not None][:_MOST_PICTURES]
    rest = len(calibration.left_out) - len(shown)
    more = f" {rest} more are in the record." if rest else ""
    return (
        f'<section><h2>Frames left out</h2><p class="note">{escape(calibration.left_out_cost)}{more} If these are good '
        f"parts, calibrate again on a longer window.</p>"
        f'<div class="pictures">{"".join(map(_picture, shown))}</div></section>'
    )


def _picture(out: LeftOut) -> str:
    data = base64.b64encode(out.thumbnail_png or b"").decode()
    words = f"Frame {out.index} of the window, score {out.score:.4g}"
    return (
        f'<figure title="{escape(out.why)}"><img alt="{words}" src="data:image/png;base64,{data}">'
        f"<figcaption>no. {out.index}, score {out.score:.3g}</figcaption></figure>"
    )


def _foot(calibration: Calibration) -> str:
    return (
        f"<footer>{escape(calibration.id)}, made by {escape(calibration.who)} with model "
        f"{escape(calibration.bundle_sha256[:12])} on {escape(calibration.engine)}.</footer>"
    )
