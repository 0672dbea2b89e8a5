"""Checks the groups of cameras that see the same part."""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor.check_result import CheckResult, ok, warning
from agent.settings import Settings


def check_view_groups(settings: Settings) -> Iterator[CheckResult]:
    """The time limit of each group leaves its cameras the time that they may take for a result."""
    for name, group in settings.parts.items():
        cameras = {camera: settings.cameras[camera] for camera in group.cameras}
        subject = f"parts.{name}"
        slowest = max(
            (each.parts.result_timeout_seconds for each in cameras.values() if each.parts.trigger), default=0.0
        )
        if slowest >= group.within_seconds:
            yield warning(
                subject,
                f"within is {group.within_seconds:g} s, and a camera may take {slowest:g} s for a result "
                "(result_timeout_seconds): its view would be missing",
                f'within = "{slowest + 1:g} s" in the settings',
            )
        else:
            sources = {each.id_source for each in cameras.values()}
            yield ok(subject, f"{', '.join(cameras)} see the same part, by {', '.join(map(str, sources))}")
