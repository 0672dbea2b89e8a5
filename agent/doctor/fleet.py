"""Checks what the page for many agents needs: its settings, accounts, broker and history."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from agent.core.errors import InspectdError, Temporary
from agent.doctor.check_result import CheckResult, ok, problem, unreadable_settings, warning
from agent.doctor.people import check_accounts
from agent.fleet.broker.topic_tree import TopicTree
from agent.fleet.history.database import is_postgres, probe
from agent.messages import Presence, StatusPayload, parse
from agent.mqtt import Broker, Connected, Connection, Protocol, Received, Subscribed, UnsupportedVersion
from agent.outputs.mqtt.settings import broker_of
from agent.settings import CREDENTIAL_STORE, FLEET_SERVICE_SETTINGS, FleetSettings, accounts_file, load_fleet_settings

# The credential of the service, as its unit names it.
_PASSWORD = CREDENTIAL_STORE / "inspectd-fleet.mqtt-password"

# The broker sends what it keeps at once after the subscription.
_LISTEN_SECONDS = 2.0

_ANSWER_SECONDS = 5.0


def examine_fleet(config: Path) -> Iterator[CheckResult]:
    """Check this machine against the settings in `config`; yields each result as soon as it is known.

    A check never changes anything, and never raises for what it finds.
    """
    try:
        settings = load_fleet_settings(config)
        tree = TopicTree(settings.mqtt.agents, settings.mqtt.camera_topic_template)
    except InspectdError as error:
        edit = f"sudoedit {config}  (fleet.example.toml shows every setting)"
        yield from unreadable_settings(error, config, edit)
        return
    yield ok("settings", f"{config}: agents at {settings.mqtt.agents}, client id {settings.client_id}")
    add = f"inspectd fleet user add NAME --config {config}"
    yield check_accounts(accounts_file(settings, config), add, anybody_looks=settings.page.view_without_login)
    yield from _check_broker(settings, tree, config)
    yield _check_history(settings)


def _check_broker(settings: FleetSettings, tree: TopicTree, config: Path) -> Iterator[CheckResult]:
    try:
        broker = _broker(settings, config)
        try:
            yield from _listen(broker, tree, Protocol.MQTT_5)
        except UnsupportedVersion:
            yield from _listen(broker, tree, Protocol.MQTT_3_1_1)
    except InspectdError as error:
        yield problem("broker", str(error), f"check mqtt.url and the login in {config}")


def _broker(settings: FleetSettings, config: Path) -> Broker:
    """With the password that systemd passes to the service, to log in as the service does."""
    mqtt = settings.mqtt
    if mqtt.username and mqtt.password_file is None and config.absolute().parent == FLEET_SERVICE_SETTINGS:
        mqtt = mqtt.model_copy(update={"password_file": _PASSWORD})
    return broker_of(mqtt)


def _listen(broker: Broker, tree: TopicTree, protocol: Protocol) -> Iterator[CheckResult]:
    """Subscribe as the page does, and count the agents whose status the broker keeps."""
    # Not the page's client id: the broker would disconnect it.
    connection = Connection(broker, client_id=f"inspectd-doctor-{uuid.uuid4().hex[:8]}", protocol=protocol)
    wanted = dict(tree.filters())
    agents: dict[str, Presence | None] = {}
    end = time.monotonic() + _ANSWER_SECONDS
    try:
        connection.open()
        while time.monotonic() < end:
            for event in connection.turn(0.2):
                if isinstance(event, Connected):
                    yield from _check_offer(event, broker)
                    for topic_filter, qos in wanted.items():
                        connection.subscribe(topic_filter, qos)
                elif isinstance(event, Subscribed):
                    wanted.pop(event.topic_filter, None)
                    if event.code >= 0x80:
                        text = f"{broker.name} does not allow to subscribe to {event.topic_filter}: {event.reason}"
                        yield problem("broker", text, "allow it in the acl_file that mosquitto.conf names")
                        return
                    if not wanted:
                        end = time.monotonic() + _LISTEN_SECONDS
                elif isinstance(event, Received):
                    _note(event, tree, agents)
        connection.disconnect()
    finally:
        connection.close()
    if wanted:
        raise Temporary(f"broker {broker.name}: no answer within {_ANSWER_SECONDS:g} s")
    yield _found(broker, tree, agents)


def _check_offer(connected: Connected, broker: Broker) -> Iterator[CheckResult]:
    if not connected.retain_available:
        text = f"{broker.name} keeps no retained messages: after a start the page waits for the next ones"
        yield warning("broker", text, "set retain_available true in mosquitto.conf")


def _note(message: Received, tree: TopicTree, agents: dict[str, Presence | None]) -> None:
    place = tree.read(message.topic)
    if place is None or place.document != "status":
        return
    try:
        agents[place.agent] = parse(StatusPayload, message.payload).status
    except InspectdError:
        agents[place.agent] = None


def _found(broker: Broker, tree: TopicTree, agents: dict[str, Presence | None]) -> CheckResult:
    online = sum(presence is Presence.ONLINE for presence in agents.values())
    if not agents:
        filters = ", ".join(topic_filter for topic_filter, _ in tree.filters() if topic_filter.endswith("/status"))
        fix = "set mqtt.prefix or mqtt.topic_template as in the settings of the agents"
        return warning("broker", f"{broker.name} keeps no status of an agent at {filters}", fix)
    return ok("broker", f"{broker.name} knows {len(agents)} agent(s), {online} of them online")


def _check_history(settings: FleetSettings) -> CheckResult:
    address = settings.history.address
    if is_postgres(address):
        try:
            return ok("history", probe(address))
        except InspectdError as error:
            return problem("history", str(error), "psql with the same connection string; then check pg_hba.conf")
    folder = next(path for path in Path(address).absolute().parents if path.exists())
    checked = Path(address) if Path(address).exists() else folder
    if os.access(checked, os.W_OK):
        return ok("history", f"SQLite in {address}")
    return problem("history", f"{checked} cannot be written by this user", f"ls -ld {checked}")
