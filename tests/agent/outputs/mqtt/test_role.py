"""Commands over MQTT have the role of the settings, at once after a reload."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.commands import ask
from engines.bundles.bundle import Bundle
from tests.support.agents import (
    GOOD_PARTS,
    await_online,
    await_state,
    configure,
    is_armed,
    running_service,
    socket_path,
)
from tests.support.broker import Mosquitto, Subscriber, wait_until

ALLOW = 'allow_insecure_commands = true\nrole = "operate"'


def test_command_beyond_the_role_of_the_settings_is_rejected(
    tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto
) -> None:
    config = configure(tmp_path, tiny_bundle, GOOD_PARTS, broker.url, mqtt=ALLOW)
    subscriber = Subscriber(broker, "inspectd/plant/+/response/#")

    def send(command: str) -> str | None:
        """The reason for which a command is rejected; None if it is carried out."""
        before = len(subscriber.messages)
        subscriber.publish(f"inspectd/plant/line1/command/{command}", b"{}")
        wait_until(lambda: len(subscriber.messages) > before, what="the response")
        error: str | None = json.loads(subscriber.messages[before].payload)["error"]
        return error

    try:
        with running_service(config):
            socket = socket_path(tmp_path)
            await_state(socket, is_armed)
            await_online(broker)
            assert send("pause") is None
            assert send("resume") is None
            assert "this needs the role engineer; mqtt has operate" in str(send("recalibrate"))
            config.write_text(config.read_text().replace('role = "operate"', 'role = "view"'))
            assert ask(socket, "reload")["changed"] == ["mqtt.role"]
            assert send("status") is None
            assert "this needs the role operate; mqtt has view" in str(send("pause"))
    finally:
        subscriber.close()


def test_unknown_role_is_rejected_with_the_known_ones(tmp_path: Path, tiny_bundle: Bundle) -> None:
    from agent.core.errors import Permanent
    from agent.settings import load_settings

    config = configure(tmp_path, tiny_bundle, GOOD_PARTS, mqtt='role = "boss"')
    with pytest.raises(Permanent, match=r"mqtt.role = \"boss\": .*'view', 'operate' or 'engineer'"):
        load_settings(config)
