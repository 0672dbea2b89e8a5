"""The metrics of each camera, as of now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from agent.core.records import PartVerdict, Phase
from agent.monitoring.camera_state import phase_of

if TYPE_CHECKING:
    from agent.inspection import CameraLine

Values = Iterator[tuple[tuple[str, ...], float]]
"""Values of one camera, each with its labels besides the name of the camera."""


def _parts(line: CameraLine) -> Values:
    for verdict in PartVerdict if line.settings.parts_known else ():
        yield (verdict.value,), line.counters.parts[verdict]


def _left_out(line: CameraLine) -> Values:
    yield ("damaged",), line.capture.damaged
    if line.capture.transport is not None:
        yield ("lost",), line.capture.transport.frames_lost
    yield ("camera",), line.station.left_out
    yield ("part",), line.counters.without_part


def _packets(line: CameraLine) -> Values:
    counts = line.capture.transport
    if counts is not None:
        yield ("resent",), counts.packets_resent
        yield ("missing",), counts.packets_missing


def _files(line: CameraLine) -> Values:
    counts = line.capture.files
    for reason in () if counts is None else ("quarantined", "overwritten", "skipped"):
        yield (reason,), getattr(counts, reason)


def _threshold(line: CameraLine) -> Values:
    # Read once: another thread may roll a calibration back.
    calibration = line.station.calibration
    if calibration is not None:
        yield (), calibration.threshold.value


def _phase(line: CameraLine) -> Values:
    now = phase_of(line.station, line.capture.status)
    for each in Phase:
        yield (each.value,), float(each is now)


def _one(read: Callable[[CameraLine], float]) -> Callable[[CameraLine], Values]:
    """A metric with one value for each camera."""

    def values(line: CameraLine) -> Values:
        yield (), read(line)

    return values


# Name, help, a second label or none, and its values for one camera.
_COUNTERS: tuple[tuple[str, str, str | None, Callable[[CameraLine], Values]], ...] = (
    ("inspectd_frames", "Frames scored since start.", None, _one(lambda line: line.counters.frames)),
    ("inspectd_frames_dropped", "Frames dropped in favour of newer ones.", None, _one(lambda line: line.dropped)),
    ("inspectd_parts", "Parts by verdict; missing where parts are not known.", "verdict", _parts),
    (
        "inspectd_frames_passed_by_rule",
        "Frames above the threshold for which the alarm rule raised no alarm.",
        None,
        _one(lambda line: line.counters.passed_by_rule),
    ),
    (
        "inspectd_frames_left_out",
        "Frames that were not judged: damaged on the way, or the camera was not as usual.",
        "reason",
        _left_out,
    ),
    (
        "inspectd_camera_packets",
        "Packets of an industrial camera that it sent again, or that never arrived.",
        "kind",
        _packets,
    ),
    (
        "inspectd_files_not_inspected",
        "Files of a folder that were not inspected: in quarantine, overwritten too soon, or skipped.",
        "reason",
        _files,
    ),
)
_GAUGES: tuple[tuple[str, str, str | None, Callable[[CameraLine], Values]], ...] = (
    (
        "inspectd_frames_per_second",
        "Rate at which frames are scored.",
        None,
        _one(lambda line: line.station.rate_at(time.monotonic()) or 0.0),
    ),
    ("inspectd_threshold", "Threshold in force; missing until calibrated.", None, _threshold),
    (
        "inspectd_drift",
        "1 while the scores of good parts have shifted.",
        None,
        _one(lambda line: float(line.station.drifted)),
    ),
    (
        "inspectd_drift_shift",
        "Size of the shift, in standard deviations.",
        None,
        _one(lambda line: line.station.drift_shift),
    ),
    (
        "inspectd_alarm_standing",
        "1 while an alarm is active.",
        None,
        _one(lambda line: float(line.station.active_alarm_id is not None)),
    ),
    ("inspectd_phase", "1 for the current phase of the camera.", "phase", _phase),
)


def camera_metrics(lines: Mapping[str, CameraLine]) -> Iterator[Metric]:
    """The metrics of these cameras, by name."""
    for family, table in ((CounterMetricFamily, _COUNTERS), (GaugeMetricFamily, _GAUGES)):
        for name, text, label, values in table:
            metric = family(name, text, labels=("camera",) if label is None else ("camera", label))
            for camera, line in list(lines.items()):
                for labels, value in values(line):
                    metric.add_metric((camera, *labels), value)
            yield metric
