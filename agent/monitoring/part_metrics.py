"""Metrics of the parts of the current shift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from agent.core.clock import utc_now
from agent.core.records import PartVerdict

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
