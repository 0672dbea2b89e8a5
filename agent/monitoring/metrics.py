"""What Prometheus may know of the agent. Most of it is read when it is asked for, so that nobody pays otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    Summary,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.core.errors import Temporary
from agent.core.records import Alarm, AlarmEvent, AlarmKind, Phase
from agent.messages import DeliveryPayload
from agent.monitoring.camera_state import phase_of
from agent.monitoring.metrics_server import MetricsServer
from agent.monitoring.temperature import THERMAL_DIRECTORY, temperatures

if TYPE_CHECKING:
    from agent.inspection import CameraLine, Outcome
    from agent.outputs import Output

# A second series for each counter, which says only when the agent was started.
disable_created_metrics()  # type: ignore[no-untyped-call]

# From a fast GPU to a broker that is away; a factor of 2 to 2.5 each.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

# Where good parts lie below the threshold, and defects above it.
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 4.0, 8.0)


class _Instruments:
    """What is counted frame by frame, alarm by alarm."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stages = Histogram(
            "inspectd_latency_seconds",
            "What a frame spends waiting for the engine (queue), in it, in judging (station), and all of it (verdict).",
            ("camera", "stage"),
            buckets=SECONDS,
            registry=registry,
        )
        self.delivery = Histogram(
            "inspectd_delivery_seconds",
            "From the capture of a frame to the broker's PUBACK of its alarm.",
            buckets=SECONDS,
            registry=registry,
        )
        self.scores = Summary(
            "inspectd_score", "Scores of the frames of a camera that is well.", ("camera",), registry=registry
        )
        self.ratios = Histogram(
            "inspectd_score_ratio",
            "What is compared with the threshold, over the threshold, of judged frames: above 1 it alarms.",
            ("camera",),
            buckets=RATIOS,
            registry=registry,
        )
        self.alarms = Counter("inspectd_alarms", "Alarms raised since start.", ("camera", "kind"), registry=registry)


class Metrics:
    """Counts what is only known as it happens; the rest is in `_Snapshot`."""

    def __init__(
        self,
        cameras: Iterable[str],
        lines: Mapping[str, CameraLine],
        outputs: Sequence[Output],
        *,
        port: int | None = None,
        socket: Path | None = None,
        thermal_directory: Path = THERMAL_DIRECTORY,
    ) -> None:
        """Serve the metrics at once, on a port of the loopback interface or on a Unix socket.

        Args:
            cameras: names of all cameras.
            lines: by camera; may be filled after this.
            outputs: deliver the alarms; each reports how long that took.
            port, socket: one of the two.
            thermal_directory: where the kernel tells temperatures.

        Raises:
            Permanent: the port or the socket cannot be had.
        """
        self.registry = CollectorRegistry()
        """Of these metrics alone."""
        self._instruments = _Instruments(self.registry)
        self.registry.register(_Snapshot(lines, outputs, thermal_directory))
        ProcessCollector(registry=self.registry)
        # There from the start: a rate over a counter that appears with its first alarm does not see that alarm.
        for camera in cameras:
            for kind in AlarmKind:
                self._instruments.alarms.labels(camera, kind.value)
        for output in outputs:
            output.delivery_durations.on_add = self._instruments.delivery.observe
        self._server = MetricsServer(self.registry, port=port, socket=socket)

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.close()

    def time(self, camera: str, stage: str, seconds: float) -> None:
        """A frame spent so long in a stage."""
        self._instruments.stages.labels(camera, stage).observe(max(0.0, seconds))

    def take(self, outcome: Outcome) -> None:
        """What a frame led to."""
        if outcome.blind:
            return
        camera = outcome.frame.camera
        self._instruments.scores.labels(camera).observe(outcome.score)
        if outcome.verdict is not None and outcome.verdict.threshold > 0.0:
            self._instruments.ratios.labels(camera).observe(outcome.verdict.statistic / outcome.verdict.threshold)

    def count(self, alarm: Alarm) -> None:
        """An alarm was raised or cleared."""
        if alarm.event is AlarmEvent.RAISED:
            self._instruments.alarms.labels(alarm.camera, alarm.kind.value).inc()


class _Snapshot(Collector):
    """What is kept elsewhere anyway, read at the moment that it is asked for."""

    def __init__(self, lines: Mapping[str, CameraLine], outputs: Sequence[Output], thermal_directory: Path) -> None:
        self._lines = lines
        self._outputs = outputs
        self._thermal_directory = thermal_directory

    def describe(self) -> list[Metric]:
        """Nothing: the names are known once the service runs."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of it, now."""
        yield InfoMetricFamily("inspectd", "The agent.", {"version": version("inspectd")})
        yield from self._cameras()
        yield from self._delivery()
        celsius = GaugeMetricFamily("inspectd_temperature_celsius", "Of the device, where it tells.", labels=("zone",))
        for zone, value in temperatures(self._thermal_directory):
            celsius.add_metric((zone,), value)
        yield celsius

    def _cameras(self) -> Iterator[Metric]:
        label = ("camera",)
        frames = CounterMetricFamily("inspectd_frames", "Frames scored since start.", labels=label)
        dropped = CounterMetricFamily("inspectd_frames_dropped", "Frames that gave way to newer ones.", labels=label)
        rate = GaugeMetricFamily("inspectd_frames_per_second", "Frames a second, lately.", labels=label)
        threshold = GaugeMetricFamily("inspectd_threshold", "In force; missing until calibrated.", labels=label)
        drift = GaugeMetricFamily("inspectd_drift", "1 while the scores of good parts have shifted.", labels=label)
        shift = GaugeMetricFamily("inspectd_drift_shift", "By how much, in standard deviations.", labels=label)
        standing = GaugeMetricFamily("inspectd_alarm_standing", "1 while an alarm stands.", labels=label)
        phase = GaugeMetricFamily("inspectd_phase", "1 for the phase that it is in.", labels=("camera", "phase"))
        for name, line in list(self._lines.items()):
            station = line.station
            frames.add_metric((name,), line.counters.frames)
            dropped.add_metric((name,), line.dropped)
            rate.add_metric((name,), station.frames_per_second or 0.0)
            if station.calibration is not None:
                threshold.add_metric((name,), station.calibration.threshold.value)
            drift.add_metric((name,), float(station.drifted))
            shift.add_metric((name,), station.drift_shift)
            standing.add_metric((name,), float(station.active_alarm_id is not None))
            now = phase_of(station, line.capture.status)
            for each in Phase:
                phase.add_metric((name, each.value), float(each is now))
        yield from (frames, dropped, rate, threshold, drift, shift, standing, phase)

    def _delivery(self) -> Iterator[Metric]:
        try:
            reports = [output.report() for output in self._outputs]
        except Temporary:
            # The outbox cannot be read: its metrics are missing, and the log and `status` say why.
            return
        connected = all(report.connected for report in reports)
        report = reports[0]
        outbox = report.outbox
        yield GaugeMetricFamily("inspectd_broker_connected", "1 while the broker lets us in.", float(connected))
        yield GaugeMetricFamily("inspectd_outbox_messages", "Waiting to be acknowledged.", outbox.waiting)
        yield GaugeMetricFamily("inspectd_outbox_bytes", "Their size on disk.", outbox.waiting_bytes)
        yield _failures(report)


def _failures(report: DeliveryPayload) -> Metric:
    failures = CounterMetricFamily(
        "inspectd_publish_failures",
        "Messages that will never arrive: refused by the broker, too big for it, or dropped for want of disk quota.",
        labels=("reason",),
    )
    outbox = report.outbox
    for reason, count in (
        ("refused", outbox.dead_letters),
        ("picture_too_big", outbox.omitted_pictures),
        ("picture_dropped", outbox.dropped_pictures),
        ("alarm_dropped", outbox.dropped_alarms),
    ):
        failures.add_metric((reason,), count)
    return failures
