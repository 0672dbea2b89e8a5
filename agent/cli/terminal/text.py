"""Results as lines of text for people, and the HTML report of a calibration."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.core.durable_file import write_whole
from agent.core.errors import Permanent
from agent.messages import drift_sentence, frame_rate_text

if TYPE_CHECKING:
    from engines.evaluation.metrics import Interval
    from engines.evaluation.records import Evaluation


def status_lines(result: dict[str, Any]) -> Iterator[str]:
    """The agent, then a block for each camera."""
    delivery = result["delivery"]
    broker = "connected" if delivery["connected"] else "not connected"
    yield f"site {result['site']}, broker {result['broker']} {broker}, {delivery['outbox']['waiting']} messages waiting"
    if delivery["latency_ms"]:
        yield f"  capture to PUBACK: {_percentiles(delivery['latency_ms'])}"
    yield from (f"  problem: {problem}" for problem in delivery["problems"])
    for name, state in result["cameras"].items():
        yield f"{name}: {state['phase']}{_bracketed(state['reason'])}"
        yield from (f"  {line}" for line in _camera_lines(state))
        if name in result.get("recall", {}):
            yield f"  at this threshold {recall_text(result['recall'][name])}"
    for name, group in result.get("parts", {}).items():
        yield f"parts.{name}: {', '.join(group['cameras'])}; {group['waiting']} waiting for a view"
        yield f"  {_shift_line(group['shift_parts'])}"
        if group["late_views"]:
            yield f"  views that came after the result: {group['late_views']}"


def recall_text(recall: dict[str, int]) -> str:
    """How many confirmed defects would raise an alarm.

    >>> recall_text({"confirmed_defects": 12, "still_found": 11})
    '11 of 12 confirmed defects raise an alarm'
    """
    count = recall["confirmed_defects"]
    return f"{recall['still_found']} of {count} confirmed defect{'' if count == 1 else 's'} raise an alarm"


def _bracketed(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _camera_lines(state: dict[str, Any]) -> Iterator[str]:
    rate = frame_rate_text(state["frames_per_second"])
    model = f"model {state['model']['name']} on {state['engine']}{_bracketed(state.get('engine_reason'))}"
    yield f"{state['frames']} frames, {rate}, {state['dropped']} dropped, {model}"
    if state["latency_ms"]:
        yield f"capture to verdict: {_percentiles(state['latency_ms'])}"
    if state["progress"]:
        yield f"calibrating: {state['progress']['frames']} of {state['progress']['wanted']} good frames"
    rule = state["rule"]
    if state["threshold"] is not None:
        of_frames = f"{rule['k']} of {rule['n']} frames"
        yield f"threshold {state['threshold']:.6g}, {of_frames}, calibration {state['calibration']}"
        yield str(state["promise"])
    if state.get("parts"):
        parts = state["parts"]
        waiting = "" if parts["waiting_triggers"] is None else f", {parts['waiting_triggers']} triggers waiting"
        yield f"parts: {parts['ok']} ok, {parts['nok']} nok, {parts['not_judged']} not judged{waiting}"
    if state.get("shift_parts"):
        yield _shift_line(state["shift_parts"])
    if state.get("passed_by_rule"):
        frames = "1 frame" if state["passed_by_rule"] == 1 else f"{state['passed_by_rule']} frames"
        yield f"{frames} above the threshold without an alarm: the rule wants {rule['k']} of {rule['n']}"
    if state.get("damaged"):
        yield f"frames that arrived damaged: {state['damaged']}"
    if state.get("transport"):
        yield from _transport_lines(state["transport"])
    if state.get("left_out"):
        yield f"frames not judged, since the camera was not as usual: {state['left_out']}"
    if state.get("without_part"):
        yield f"frames in which no part was found: {state['without_part']}"
    if state.get("files"):
        yield from _files_lines(state["files"])
    if state.get("certificate"):
        yield str(state["certificate"]["text"])
    if state.get("broken_promise"):
        yield f"PROMISE: {state['broken_promise']['text']}"
    if state["drift"]:
        yield f"DRIFT: {drift_sentence(state['shift'])}"
    if state["alarm"]:
        yield f"ALARM {state['alarm']}"


def _shift_line(shift: dict[str, Any]) -> str:
    """The parts of the shift, which began at a time of this machine's clock."""
    began = datetime.fromisoformat(shift["start"].replace("Z", "+00:00")).astimezone()
    passed = shift["first_pass_yield"]
    share = "" if passed is None else f", first-pass yield {passed:.1%}"
    return f"shift since {began:%H:%M}: {shift['ok']} ok, {shift['nok']} nok, {shift['not_judged']} not judged{share}"


def _transport_lines(transport: dict[str, Any]) -> Iterator[str]:
    """What happened on the way from an industrial camera, if anything did."""
    if any(transport.values()):
        packets = f"packets: {transport['packets_resent']} sent again, {transport['packets_missing']} missing"
        yield f"frames lost on the way from the camera: {transport['frames_lost']}; {packets}"


def _files_lines(files: dict[str, Any]) -> Iterator[str]:
    """The files of a folder that were not inspected, if there are any."""
    if files["quarantined"]:
        yield f"files in quarantine: {files['quarantined']}, the latest: {files['latest_quarantined']}"
    if files["overwritten"]:
        yield f"versions of files that were overwritten before they were inspected: {files['overwritten']}"
    if files["skipped"]:
        yield f"files of other formats, and folders below, that were skipped: {files['skipped']}"


def snapshot_lines(result: dict[str, Any]) -> Iterator[str]:
    """One frame: its score and its age."""
    if result["threshold"] is None:
        limit = "no threshold yet"
    else:
        side = "above" if result["score"] > result["threshold"] else "below"
        limit = f"{side} the threshold {result['threshold']:.6g}"
    yield f"{result['camera']}: score {result['score']:.6g}, {limit}; {result['phase']}{_bracketed(result['reason'])}"
    name = f" ({result['origin']})" if result["origin"] else ""
    yield f"frame {result['frame']}{name}, captured {result['captured_at']}, {result['age_seconds']:.1f} s ago"
    if result["heat"] == "reference":
        yield "not calibrated: 1.0 in the heatmap is the hottest spot of the bundle's good reference frames"


def save_images(result: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Write the images of a snapshot and yield their paths, `<folder>/<camera>-<time of capture>-<kind>.<png|jpg>`."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = result["captured_at"].replace(":", "").replace("-", "")
    for name, image in result["pictures"].items():
        ending = "png" if image["media_type"] == "image/png" else "jpg"
        path = folder / f"{result['camera']}-{stamp}-{name}.{ending}"
        write_whole(path, base64.b64decode(image["base64"]))
        yield path


def save_suspects(result: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Write the images of a stopped window and yield their paths, `<folder>/<number>-<score>.jpg`."""
    folder.mkdir(parents=True, exist_ok=True)
    for suspect in result["suspects"]:
        path = folder / f"{suspect['number']:02}-{suspect['score']:.4g}.jpg"
        write_whole(path, base64.b64decode(suspect["base64"]))
        yield path


def _percentiles(latency: dict[str, float]) -> str:
    return ", ".join(f"{name} {latency[name]:.1f} ms" for name in ("p50", "p95", "p99"))


def calibration_lines(result: dict[str, Any]) -> Iterator[str]:
    """A line for each calibration; a star marks the active one."""
    if not result["calibrations"]:
        yield "no calibration yet"
    for entry in result["calibrations"]:
        star = "*" if entry["id"] == result["active"] else " "
        kind = "certified" if entry["certified"] else "not certified"
        asked = f"{entry['budget']}, {entry['rule']}, {kind}, by {entry['by']}"
        yield f"{star} {entry['id']}  threshold {entry['threshold']:.6g}  {asked}"


def show_lines(result: dict[str, Any]) -> Iterator[str]:
    """One calibration on one screen."""
    yield f"calibration {result['id']}, {result['created_at']}, by {result['by']}"
    yield result["promise"]
    yield f"  threshold       {result['threshold']:.6g} ({result['method']})"
    yield f"  budget, rule    {result['budget']}; {result['rule']} frames"
    count = f"{result['effective_sample_size']:.0f} of {result['frames']} images count"
    yield f"  window          {count}, {result['left_out']} left out"
    yield f"  engine, bundle  {result['engine']}, {result['bundle'][:12]}"
    if result.get("confirmed_defects"):
        yield f"  recall          finds {result['still_found']} of {result['confirmed_defects']} confirmed defects"
    yield f"  file            {result['file']}"


def review_lines(result: dict[str, Any], camera: str) -> Iterator[str]:
    """A window and its hottest images, or what was decided."""
    if result["reason"] is None:
        if result["calibration"] is None:
            yield "the window was discarded; a new one is filled, or the old threshold stays in force"
        else:
            yield str(result["promise"])
            yield f"active: threshold {result['threshold']:.6g}, calibration {result['calibration']}"
        return
    yield str(result["reason"])
    for suspect in result["suspects"]:
        name = f"  {suspect['origin']}" if suspect["origin"] else ""
        yield f"{suspect['number']:4}  score {suspect['score']:<10.6g} frame {suspect['frame']}{name}"
    more = result["suspected"] - len(result["suspects"])
    if more > 0:
        yield f"      and {more:,} more with lower scores"
    yield f"save the images to look at them:         inspectd calibration review {camera} --out DIR"
    if result["in_force"]:
        yield f"all show good parts:                     inspectd calibration review {camera} --confirm-good"
        yield f"some show bad parts:                     inspectd calibration review {camera} --throw-out --only 1,2"
        return
    yield f"all parts are good, the model is right:  inspectd calibration review {camera} --confirm-good"
    yield f"these are bad parts:                     inspectd calibration review {camera} --throw-out [--only 1,2]"


def evaluation_lines(result: Evaluation) -> Iterator[str]:
    """The figures of an evaluation, with 95 % intervals: by bootstrap, and exact ones of shares."""
    from calibration import LEAST_FRAMES

    yield f"{result.normal} normal and {result.abnormal} abnormal images on {result.engine}"
    yield f"  image AUROC        {result.auroc}{_against_chance(result.auroc)}"
    yield f"  average precision  {result.average_precision}, chance {result.chance_precision:.3f}"
    if result.at_threshold is not None:
        at = result.at_threshold
        yield f"  threshold          {at.threshold:.4g}{f' for {at.how}' if at.how else ''}"
        yield f"    finds            {at.recall_text}"
        yield f"    false alarms     {at.false_alarm_text}"
        if at.certificate:
            yield f"    certificate      {at.certificate}"
    else:
        yield f"  no threshold       wanted {LEAST_FRAMES} different scores in half of the normal images"
    if result.pixels is not None:
        within = f"within abnormal images {result.pixels.auroc_within:.3f}"
        yield f"  pixel AUROC        {result.pixels.auroc:.3f}, {within}"
        yield f"  PRO                {result.pixels.pro:.3f}; hottest pixel on a defect {result.pixels.peak_hits:.0%}"
    if result.without_part:
        yield f"  without a part     {result.without_part} images, which are in none of these figures"
    yield from (f"  skipped: {line}" for line in result.skipped)


def _against_chance(auroc: Interval) -> str:
    """A remark where the interval does not lie above 0.5, at which scores say nothing."""
    if auroc.low > 0.5:
        return ""
    return ", no better than chance" if auroc.high >= 0.5 else ", worse than chance: good parts score higher"


def write_calibration_report(record: Path, html: Path) -> None:
    """Write the self-contained HTML report of a calibration's file. Raises Permanent if the file cannot be read."""
    from calibration import Calibration, report_html

    try:
        text = record.read_text(encoding="utf-8")
    except OSError as error:
        raise Permanent(
            f"{record}: {error.strerror}; wanted to read the calibration (same user as the agent?)"
        ) from None
    html.write_text(report_html(Calibration.from_json(text)), encoding="utf-8")
