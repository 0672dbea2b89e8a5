"""Alarms, judgements and exports as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def alarm_lines(result: dict[str, Any]) -> Iterator[str]:
    """The counts, then a line for each alarm."""
    counts = result["counts"]
    if not counts["alarms"]:
        yield "no alarm yet"
        return
    judged = f"{counts['true']} judged true, {counts['false']} judged false, {counts['unjudged']} not judged"
    yield f"{counts['alarms']} alarm{'' if counts['alarms'] == 1 else 's'}: {judged}"
    for alarm in result["alarms"]:
        yield f"{alarm['id']}  {_moment(alarm['raised_at'])}  {alarm['camera']}  {_verdict(alarm)}  {_subject(alarm)}"


def show_alarm_lines(result: dict[str, Any]) -> Iterator[str]:
    """One alarm on one screen."""
    yield f"alarm {result['id']}, camera {result['camera']}, {result['kind']}"
    end = "" if result["cleared_at"] is None else f", cleared {_moment(result['cleared_at'])}"
    yield f"  raised          {_moment(result['raised_at'])}{end}"
    yield f"  {_subject(result)}"
    if result["calibration"] is not None:
        yield f"  calibration     {result['calibration']}, {result['rule']} frames"
    for judgement in result["judgements"]:
        details = ", ".join(filter(None, (judgement["defect"], judgement["note"])))
        colon = f": {details}" if details else ""
        yield f"  judged          {judgement['verdict']} by {judgement['by']}, {_moment(judgement['at'])}{colon}"
    if not result["judgements"]:
        yield "  judged          by nobody yet"
    for path in (*result["images"].values(), result["image"]):
        if path is not None:
            yield f"  image           {path}"
    if not result["images"] and result["image"] is None:
        yield "  image           none is left: deleted because of max_evidence_size and review.max_size"


def judged_line(result: dict[str, Any]) -> str:
    """The judgement that counts now."""
    return f"alarm {result['id']}, camera {result['camera']}: judged {result['verdict']} by {result['by']}"


def export_lines(result: dict[str, Any]) -> Iterator[str]:
    """What was written, and what is missing."""
    false = result["good"] - result["samples"]
    yield f"{result['directory']}/good: {_images(result['good'])}, {false} of false alarms, {result['samples']} sampled"
    yield f"{result['directory']}/bad: {_images(result['bad'])} of confirmed defects"
    if result["missing"]:
        yield (
            f"missing: {_images(len(result['missing']))} of judged alarms, deleted because of max_evidence_size and "
            f"review.max_size ({', '.join(result['missing'][:3])}{', …' if len(result['missing']) > 3 else ''})"
        )
    if result["eight_bit"]:
        yield f"{_images(result['eight_bit'])} only as JPEG of 8 bits, from the evidence"
    for camera in result["cropped"]:
        yield f"camera {camera} inspects only a part of its image (`crop`); these are complete images"


def _subject(alarm: dict[str, Any]) -> str:
    if alarm["reason"] is not None:
        return f"camera: {alarm['reason']}"
    if alarm["score"] is None:
        return "of before this version, only its evidence is known"
    name = f", file {alarm['origin']}" if alarm["origin"] else ""
    return f"score {alarm['score']:.4g}, threshold {alarm['threshold']:.4g}{name}"


def _verdict(alarm: dict[str, Any]) -> str:
    return "not judged" if alarm["verdict"] is None else f"{alarm['verdict']} ({alarm['by']})"


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _moment(at: str) -> str:
    """A time of a document, to the second."""
    return f"{at[:10]} {at[11:19]} UTC"
