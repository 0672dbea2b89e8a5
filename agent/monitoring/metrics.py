"""The metrics of the agent for Prometheus. Most are computed only when they are scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from agent.core.records import Alarm, AlarmEvent, AlarmKind
from agent.messages import DeliveryPayload, ViewGroupPayload
from agent.monitoring.camera_metrics import camera_metrics
from agent.monitoring.metrics_server import MetricsServer
from agent.monitoring.part_metrics import part_metrics, view_group_metrics
from agent.monitoring.temperature import THERMAL_DIRECTORY, temperatures

if TYPE_CHECKING:
    from agent.inspection import CameraLine, Outcome
    from agent.outputs import Output, PartCounts

# prometheus-client's `_created` series would double every counter, only to give the time of the start.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Bucket limits from a fast GPU to a broker that is unreachable; a factor of 2 to 2.5 each.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

# Bucket limits of statistic over threshold: good parts are below 1, defects above.
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 4.0, 8.0)


class _Instruments:
    """Metrics that are updated with every frame, alarm and delivery."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stages = Histogram(
            "inspectd_latency_seconds",
            "Time of a frame from capture to the engine (queue), in engine and station, and in all (verdict).",
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
            "inspectd_score", "Scores of frames from a healthy camera.", ("camera",), registry=registry
        )
        self.ratios = Histogram(
            "inspectd_score_ratio",
            "Statistic of a judged frame divided by the threshold: above 1, the frame is abnormal.",
            ("camera",),
            buckets=RATIOS,
            registry=registry,
        )
        self.alarms = Counter("inspectd_alarms", "Alarms raised since start.", ("camera", "kind"), registry=registry)


class Metrics:
    """Serves the metrics, and takes those that are updated with every event. Any thread may call."""

    def __init__(
        self,
        cameras: Iterable[str],
        lines: Mapping[str, CameraLine],
        outputs: Sequence[Output],
        *,
        port: int | None = None,
        socket: Path | None = None,
        thermal_directory: Path = THERMAL_DIRECTORY,
        counts: PartCounts | None = None,
        view_groups: Callable[[], Mapping[str, ViewGroupPayload]] = dict,
    ) -> None:
        """Serve the metrics at once, on a port of the loopback interface or on a Unix socket.

        Args:
            cameras: names of all cameras.
            lines: every camera, by name; may be filled later.
            outputs: every output; each reports how long its deliveries take.
            port, socket: one of the two.
            thermal_directory: where the kernel reports temperatures.
            counts: the parts in numbers; None where no camera has parts.
            view_groups: what becomes of the parts that several cameras see, by the name of the group.

        Raises:
            Permanent: the port or the socket path is taken or cannot be used.
        """
        self.registry = CollectorRegistry()
        """Holds these metrics only, not those of other libraries in the process."""
        self._instruments = _Instruments(self.registry)
        self.registry.register(_AgentCollector(lines, outputs, thermal_directory, counts, view_groups))
        ProcessCollector(registry=self.registry)
        # From the start: `rate()` over a series that appears with its first alarm does not see that alarm.
        for camera in cameras:
            for kind in AlarmKind:
                self._instruments.alarms.labels(camera, kind.value)
        for output in outputs:
            output.delivery_durations.on_add = self._instruments.delivery.observe
        self._server = MetricsServer(self.registry, port=port, socket=socket)

    def close(self) -> None:
        """Stop serving."""
        self._server.close()

    def observe_stage(self, camera: str, stage: str, seconds: float) -> None:
        """Take the time of one frame in one stage (queue, engine, station, verdict)."""
        self._instruments.stages.labels(camera, stage).observe(max(0.0, seconds))

    def observe_outcome(self, outcome: Outcome) -> None:
        """Take the score of one frame, and its statistic over the threshold; nothing of a camera that is blind."""
        if outcome.blind:
            return
        camera = outcome.frame.camera
        self._instruments.scores.labels(camera).observe(outcome.score)
        if outcome.verdict is not None and outcome.verdict.threshold > 0.0:
            self._instruments.ratios.labels(camera).observe(outcome.verdict.statistic / outcome.verdict.threshold)

    def count_alarm(self, alarm: Alarm) -> None:
        """Count an alarm where it was raised."""
        if alarm.event is AlarmEvent.RAISED:
            self._instruments.alarms.labels(alarm.camera, alarm.kind.value).inc()


class _AgentCollector(Collector):
    """Metrics that other parts of the agent hold anyway; read when they are scraped."""

    def __init__(
        self,
        lines: Mapping[str, CameraLine],
        outputs: Sequence[Output],
        thermal_directory: Path,
        counts: PartCounts | None,
        view_groups: Callable[[], Mapping[str, ViewGroupPayload]],
    ) -> None:
        self._view_groups = view_groups
        self._lines = lines
        self._outputs = outputs
        self._thermal_directory = thermal_directory
        self._counts = counts

    def describe(self) -> list[Metric]:
        """Nothing: the cameras are not known yet when the collector is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Current values."""
        yield InfoMetricFamily("inspectd", "The agent.", {"version": version("inspectd")})
        yield from camera_metrics(self._lines)
        yield from part_metrics(self._lines, self._counts)
        yield from view_group_metrics(self._view_groups())
        yield from self._delivery()
        celsius = GaugeMetricFamily(
            "inspectd_temperature_celsius", "Temperature of a zone of the device.", labels=("zone",)
        )
        for zone, value in temperatures(self._thermal_directory):
            celsius.add_metric((zone,), value)
        yield celsius

    def _delivery(self) -> Iterator[Metric]:
        try:
            reports = [output.report() for output in self._outputs]
        except Temporary:
            # The outbox cannot be read: its metrics are missing; the log and `status` give the reason.
            return
        connected = all(report.connected for report in reports)
        report = reports[0]
        outbox = report.outbox
        yield GaugeMetricFamily(
            "inspectd_broker_connected", "1 while every output is connected to its destination.", float(connected)
        )
        yield GaugeMetricFamily("inspectd_outbox_messages", "Messages not yet acknowledged.", outbox.waiting)
        yield GaugeMetricFamily("inspectd_outbox_bytes", "Their size on disk.", outbox.waiting_bytes)
        yield _failures(report)


def _failures(report: DeliveryPayload) -> Metric:
    failures = CounterMetricFamily(
        "inspectd_publish_failures",
        "Messages that will never arrive: rejected by the broker, too big for it, or dropped to keep the disk quota.",
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
