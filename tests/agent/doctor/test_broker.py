"""Real brokers: wrong passwords, missing rights, no answer; and a check without side effects for others."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.doctor import Level
from agent.doctor.broker import check_broker
from agent.settings.load import load_settings
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.check_results import Configure, levels, only


def test_wrong_password_is_a_problem(configure: Configure, mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    (tmp_path / "users").write_text("")
    running = mosquitto(lines=["allow_anonymous false", f"password_file {tmp_path / 'users'}"])
    config = configure(url=running.url, mqtt='username = "inspectd"')
    result = only(check_broker(load_settings(config), config))
    assert result.level is Level.PROBLEM
    assert "Not authorized; check the user name 'inspectd' and the password in password_file" in result.text
    assert result.fix == (
        "printf %s 'PASSWORD' | sudo install -D -m 600 /dev/stdin /etc/credstore/inspectd.line1.mqtt-password"
    )


def test_login_is_the_password_that_systemd_passes_to_the_service(
    configure: Configure, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    (tmp_path / "users").write_text("")
    passwords = shutil.which("mosquitto_passwd", path="/usr/bin:/usr/local/bin")
    assert passwords is not None
    subprocess.run([passwords, "-b", str(tmp_path / "users"), "inspectd", "secret1"], check=True, capture_output=True)
    running = mosquitto(lines=["allow_anonymous false", f"password_file {tmp_path / 'users'}"])
    config = configure(url=running.url, mqtt='username = "inspectd"')
    store = tmp_path / "credstore"
    store.mkdir()
    (store / "inspectd.line1.mqtt-password").write_text("secret1")
    results = list(check_broker(load_settings(config), config, (store, tmp_path)))
    assert levels(results) == [Level.OK, Level.OK]
    assert "accepts the login of inspectd" in results[0].text


@pytest.mark.parametrize(
    ("url", "text", "fix"),
    [
        ("mqtt://127.0.0.1:1", "nothing listens there", "sudo apt install mosquitto"),
        ("mqtt://broker.invalid", "cannot be resolved", "nc -vz broker.invalid 1883"),
    ],
)
def test_broker_that_does_not_answer_is_a_problem(configure: Configure, url: str, text: str, fix: str) -> None:
    config = configure(url=url)
    result = only(check_broker(load_settings(config), config))
    assert result.level is Level.PROBLEM
    assert text in result.text
    assert fix in str(result.fix)


def test_missing_right_to_publish_is_a_problem(
    configure: Configure, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    (tmp_path / "rights").write_text("topic read other/#\n")
    config = configure(url=mosquitto(lines=[f"acl_file {tmp_path / 'rights'}"]).url)
    results = list(check_broker(load_settings(config), config))
    assert levels(results) == [Level.OK, Level.PROBLEM]
    assert "may not publish to inspectd/plant/#" in results[1].text


def test_commands_from_any_client_are_a_warning(configure: Configure, mosquitto: Callable[..., Mosquitto]) -> None:
    config = configure(url=mosquitto().url)
    results = list(check_broker(load_settings(config), config))
    assert levels(results) == [Level.OK, Level.WARNING]
    assert "accepts clients without a login" in results[0].text
    assert results[1].fix == "set mqtt.username, or an mqtts:// URL"


def test_check_disturbs_neither_subscribers_nor_the_agent(
    configure: Configure, mosquitto: Callable[..., Mosquitto]
) -> None:
    """One message on a response topic; nothing retained, no status, no alarm; the agent stays connected."""
    running = mosquitto()
    agent = Subscriber(running, "#", client_id="inspectd-plant")
    config = configure(url=running.url, mqtt="allow_insecure_commands = true")
    assert levels(check_broker(load_settings(config), config)) == [Level.OK, Level.OK]
    # The broker may answer the doctor before it has forwarded the doctor's message to the subscriber.
    wait_until(lambda: agent.messages)
    assert [message.topic for message in agent.messages] == ["inspectd/plant/response/doctor"]
    assert agent.client.is_connected()
    late = Subscriber(running, "inspectd/#")
    assert late.messages == []
    agent.close()
    late.close()


def test_broker_that_offers_less_is_a_warning(configure: Configure, mosquitto: Callable[..., Mosquitto]) -> None:
    config = configure(url=mosquitto(lines=["retain_available false", "max_qos 0"]).url)
    results = list(check_broker(load_settings(config), config))
    assert levels(results) == [Level.OK, Level.WARNING, Level.WARNING, Level.WARNING]
    assert "keeps no retained messages" in results[1].text
    assert "offers QoS 0 only" in results[2].text
    assert results[2].fix == "set max_qos 1 in mosquitto.conf"
