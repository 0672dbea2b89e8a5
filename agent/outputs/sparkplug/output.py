"""The Sparkplug output: a thread that alone owns the connection, and what other threads pass to it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.core.backoff import Backoff
from agent.core.errors import InspectdError, Temporary
from agent.core.problems import Problems
from agent.core.records import Part, PartVerdict
from agent.messages import StatePayload
from agent.mqtt import Broker
from agent.outputs.group_states import GroupStates
from agent.outputs.mqtt.settings import broker_of
from agent.outputs.outbox import Outbox
from agent.outputs.showing_output import ShowingOutput
from agent.outputs.sparkplug.node import NAMESPACE, EdgeNode, Publication
from agent.outputs.sparkplug.payload import asks_for_rebirth
from agent.outputs.sparkplug.primary_host import PrimaryHost
from agent.outputs.sparkplug.settings import SparkplugSettings

log = logging.getLogger(__name__)

# States and results that wait for a broker that reads slowly; the oldest go first.
MOST_WAITING = 1000

RETRY_SECONDS = (1.0, 60.0)
CONNECT_SECONDS = 5.0

# Longest wait for the socket before new states and results are looked at.
LOOP_SECONDS = 0.02


class SparkplugOutput(ShowingOutput):
    """One edge node."""

    def __init__(
        self, name: str, settings: SparkplugSettings, *, site: str, outbox: Outbox, problems: Problems
    ) -> None:
        super().__init__(name, outbox)
        self._broker = broker_of(settings)
        self._group = settings.group_id
        self._node_name = settings.edge_node_id or site
        self._host = None if settings.primary_host is None else PrimaryHost(settings.primary_host)
        self._problems = problems
        self._groups = GroupStates()
        self._counts: dict[str, Counter[PartVerdict]] = {}
        """Joined parts by verdict, for each group."""
        self._waiting: deque[StatePayload | tuple[Part, Mapping[PartVerdict, int]]] = deque(maxlen=MOST_WAITING)
        self._node = EdgeNode(self._group, self._node_name, {})
        self._born = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sparkplug-{name}", daemon=True)

    @property
    def destination(self) -> str:
        return f"{NAMESPACE}/{self._group}/{self._node_name} at {self._broker.name}"

    def announce_view_groups(self, groups: Mapping[str, Sequence[str]]) -> None:
        self._groups.announce(groups)
        known = self._counts
        self._counts = {place: known.get(place, Counter()) for place in self._groups.places}

    def announce(self, cameras: Mapping[str, str]) -> None:
        self._node = EdgeNode(self._group, self._node_name, cameras, self._groups.places)

    def start(self) -> None:
        self._thread.start()

    def stop(self, deadline_seconds: float) -> bool:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(deadline_seconds)
        return not self._thread.is_alive()

    def publish_state(self, state: StatePayload) -> None:
        self._waiting.extend(self._groups.take(state))

    def show_result(self, part: Part) -> None:
        # Counted here: of those that wait for the broker, the oldest go.
        counts = self._counts.get(part.camera, Counter())
        counts[part.verdict] += 1
        self._waiting.append((part, dict(counts)))

    @property
    def connected(self) -> bool:
        return self._born

    # The thread

    def _run(self) -> None:
        backoff, failed = Backoff(*RETRY_SECONDS), False
        while not self._stopping.is_set():
            try:
                self._connected_once(backoff)
            except InspectdError as error:
                text = f"output {self.name}: {self._broker.name}: {error}"
                log.log(logging.DEBUG if failed else logging.WARNING, "%s; trying again", text)
                self._problems.set(f"output {self.name}", text)
                failed = True
            except Exception:
                log.exception("output %s: unexpected error, trying again", self.name)
            else:
                failed = False
            self._born = False
            self._stopping.wait(backoff.next_seconds())

    def _connected_once(self, backoff: Backoff) -> None:
        """One connection, from its will to its end. Raises Temporary where it is lost or not accepted."""
        session = _Session(self._broker, f"{self._group}-{self._node_name}"[:64], self._node, self._host)
        try:
            session.connect()
            while not self._stopping.is_set() and not session.host_lost:
                session.loop(LOOP_SECONDS)
                self._report_birth(session, backoff)
                self._publish_waiting(session) if session.born else self._absorb()
            session.end()
        finally:
            session.close()

    def _report_birth(self, session: _Session, backoff: Backoff) -> None:
        key = f"output {self.name}"
        if session.born and not self._born:
            self._born = True
            backoff.reset()
            self._problems.set(key, None)
            log.info("output %s: edge node %s is born", self.name, self.destination)
        elif session.waits and self._host is not None:
            self._problems.set(key, f"{key}: {self._broker.name}: waits for the primary host {self._host.name}")

    def _publish_waiting(self, session: _Session) -> None:
        """Nothing is put into paho's queue, which has no limit, while the broker does not read."""
        for publication in self._changed_groups():
            session.publish(publication)
        while self._waiting and not session.busy:
            for publication in self._next():
                session.publish(publication)

    def _absorb(self) -> None:
        """Before the births, which then have the latest values; results that nobody has heard of stay in the counts."""
        self._changed_groups()
        while self._waiting:
            self._next()

    def _changed_groups(self) -> list[Publication]:
        return self._node.change_groups(self._groups.places, _now())

    def _next(self) -> list[Publication]:
        each, now = self._waiting.popleft(), _now()
        return self._node.take_result(*each, now) if isinstance(each, tuple) else self._node.take_state(each, now)


class _Session:
    """One connection of the node. For one thread."""

    def __init__(self, broker: Broker, client_id: str, node: EdgeNode, host: PrimaryHost | None) -> None:
        self._broker = broker
        self._node = node
        self._host = host
        self._error: str | None = None
        self._subscriptions: set[int] = set()
        self._accepted = self._subscribed = False
        self.born = False
        self.host_lost = False
        """The primary host has gone offline after the births: the session has to end, by the specification."""
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv311, clean_session=True
        )
        client.connect_timeout = CONNECT_SECONDS
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect

    @property
    def waits(self) -> bool:
        """Only the primary host is missing."""
        return self._subscribed and not self.born

    def connect(self) -> None:
        """Open the connection with the will that the specification wants. Raises Temporary."""
        if self._host is not None:
            self._host.forget()
        will = self._node.next_will(_now())
        self._client.will_set(will.topic, will.payload, qos=1, retain=False)
        context = self._broker.tls_context()
        if context is not None:
            self._client.tls_set_context(context)
        if self._broker.username is not None:
            self._client.username_pw_set(self._broker.username, self._broker.password())
        try:
            self._client.connect(self._broker.host, self._broker.port, self._broker.keepalive_seconds)
        except (OSError, ValueError) as error:
            raise Temporary(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None

    def loop(self, seconds: float) -> None:
        """Read and write for so long at most. Raises Temporary where the connection is lost."""
        code = self._client.loop(seconds)
        if self._error is not None:
            raise Temporary(self._error)
        if code != paho.MQTT_ERR_SUCCESS:
            raise Temporary("the connection was lost")

    @property
    def busy(self) -> bool:
        """Whether the broker has not taken yet what was published."""
        return bool(self._client.want_write())

    def publish(self, publication: Publication) -> None:
        """QoS 0, not retained."""
        self._client.publish(publication.topic, publication.payload, qos=0, retain=False)

    def end(self) -> None:
        """A node that ends on purpose publishes its death, since the broker then does not."""
        if self.born:
            self.publish(self._node.death(_now()))
        self._client.disconnect()
        self._client.loop(0.1)

    def close(self) -> None:
        """Close the socket; after an error, the broker publishes the will."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    # Called by paho, within `loop`

    def _on_connect(self, client: paho.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            self._error = f"the broker rejects the connection: {str(reason).lower()}"
            return
        topics = [self._node.topic("NCMD"), self._node.topic("DCMD", "+")]
        self._accepted = True
        for topic in topics if self._host is None else [*topics, self._host.topic]:
            _, number = client.subscribe(topic, qos=1)
            if number is not None:
                self._subscriptions.add(number)

    def _on_subscribe(self, _: Any, __: Any, number: int, reasons: Any, ___: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._error = "the broker rejects the subscription to NCMD, DCMD or STATE: check its access control"
        self._subscriptions.discard(number)
        self._subscribed = not self._subscriptions and self._error is None
        self._follow_host()

    def _on_message(self, _: Any, __: Any, message: Any) -> None:
        try:
            if self._host is not None and message.topic == self._host.topic:
                self._host.take(message.payload)
                self._follow_host()
            elif self.born and message.topic == self._node.topic("NCMD") and asks_for_rebirth(message.payload):
                log.info("a host asks the edge node for its births")
                self._bear()
        except ValueError as error:
            log.debug("%s: %s", message.topic, error)

    def _follow_host(self) -> None:
        """The births come once everything is subscribed and the primary host is online; the end, when it goes."""
        online = self._host is None or self._host.online
        if online and self.waits:
            self._bear()
        elif self.born and not online and not self.host_lost:
            log.info("the primary host is offline: the edge node ends, and waits for it")
            self.host_lost = True

    def _on_disconnect(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        lost = f"the connection was lost: {str(reason).lower()}"
        self._error = self._error or (lost if self._accepted else f"no answer of a broker: {str(reason).lower()}")

    def _bear(self) -> None:
        for publication in self._node.births(_now()):
            self.publish(publication)
        self.born = True


def _now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
