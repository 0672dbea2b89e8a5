"""Metrics of the parts of the current shift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from agent.core.clock import utc_now
from agent.core.records import PartVerdict
from agent.messages import ViewGroupPayload

if TYPE_CHECKING:
    from agent.inspection import CameraLine
    from agent.outputs import PartCounts


def part_metrics(
    lines: Mapping[str, CameraLine], counts: PartCounts | None, now: Callable[[], datetime] = utc_now
) -> Iterator[Metric]:
    """The parts of each camera and product in this shift, and the first-pass yield; `now`: wall clock, UTC.

    They are gauges: with the next shift they begin at 0.
    """
    parts = GaugeMetricFamily(
        "inspectd_shift_parts", "Parts of the current shift, by verdict.", labels=("camera", "product", "verdict")
    )
    passed = GaugeMetricFamily(
        "inspectd_first_pass_yield",
        "Share of ok among the judged parts of the current shift, by their first verdicts.",
        labels=("camera", "product"),
    )
    for name, line in list(lines.items()):
        if counts is None or not line.settings.parts_known:
            continue
        for product, numbers in counts.shift(name, now()).products.items():
            for verdict in PartVerdict:
                parts.add_metric((name, product or "", verdict.value), getattr(numbers, verdict.value))
            if numbers.first_pass_yield is not None:
                passed.add_metric((name, product or ""), numbers.first_pass_yield)
    yield from (parts, passed)


def view_group_metrics(groups: Mapping[str, ViewGroupPayload]) -> Iterator[Metric]:
    """The parts that several cameras see, by the name of their group."""
    parts = GaugeMetricFamily(
        "inspectd_joined_shift_parts", "Joined parts of the current shift, by verdict.", labels=("group", "verdict")
    )
    waiting = GaugeMetricFamily("inspectd_joined_waiting", "Parts that wait for a view.", labels=("group",))
    late = CounterMetricFamily(
        "inspectd_late_views", "Results of cameras that came after the joined result.", labels=("group",)
    )
    for name, group in groups.items():
        for verdict in PartVerdict:
            parts.add_metric((name, verdict.value), getattr(group.shift_parts, verdict.value))
        waiting.add_metric((name,), group.waiting)
        late.add_metric((name,), group.late_views)
    yield from (parts, waiting, late)
