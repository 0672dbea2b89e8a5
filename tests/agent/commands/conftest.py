"""Agents that the tests of commands share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.commands import ask
from agent.service import Service
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.agents import GOOD_PARTS, await_state, is_armed, running_service
from tests.support.broker import wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Service]:
    """An agent in this process, calibrated, without a broker. Tests leave its camera as they find it."""
    config = tmp_path_factory.mktemp("agent") / "inspectd.toml"
    config.write_text(settings_text(tiny_bundle.path, GOOD_PARTS))
    with running_service(config) as running:
        socket = running.settings.socket_path
        await_state(socket, is_armed)
        # The frame that completes the window is not judged by it.
        wait_until(lambda: ask(socket, "snapshot")["statistic"] is not None, what="a judged frame")
        yield running
