"""Checks that the services of this machine do not interfere with each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.core.errors import InspectdError
from agent.doctor.check_result import CheckResult, problem
from agent.service import places_of
from agent.settings import Settings, load_settings


def check_other_services(settings: Settings, config: Path) -> Iterator[CheckResult]:
    """No other service of this machine has the same topics on the same broker, the same port or chip for an output, or
    the same port for its metrics.

    The settings of the others are in the same folder as `config`.
    """
    for other in sorted(config.absolute().parent.glob("*.toml")):
        if other != config.absolute():
            # Broken settings of another service are reported when the doctor checks that one.
            with suppress(InspectdError):
                yield from _conflicts(settings, config, load_settings(other), other)


def _conflicts(settings: Settings, config: Path, others: Settings, other: Path) -> Iterator[CheckResult]:
    shared = set(places_of(settings)) & set(places_of(others))
    topics = settings.mqtt.place(settings.site)
    for place in sorted(shared - {topics}):
        fix = "change or remove the output in one of the two: only one service at a time can use it"
        yield problem("outputs", f"{other.stem} uses {place}, too", fix)
    if topics in shared:
        text = f"{other.stem} has the same site {settings.site!r} on the same broker"
        yield problem("site", text, f'choose another name, such as site = "{settings.site}-{config.stem}"')
    port = settings.metrics.port
    if port is not None and others.metrics.port == port:
        yield problem("metrics", f"{other.stem} has the same metrics.port {port}", f"set another, such as {port + 1}")
