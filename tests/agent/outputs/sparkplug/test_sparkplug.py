"""An edge node at a real Mosquitto, held against the rules of Sparkplug 3.0."""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("google.protobuf", reason="protobuf reads the payloads of these tests")
from hypothesis import given
from hypothesis import strategies as st

from agent.core.problems import Problems
from agent.core.records import PartVerdict, Phase
from agent.messages import PartCountsPayload
from agent.outputs.settings import parse_section
from agent.outputs.sparkplug.node import METRICS
from agent.outputs.sparkplug.payload import DataType, Metric, asks_for_rebirth, encode
from tests.agent.outputs.sparkplug.conftest import AT, NODE, PART, Start, born, names_of, on, state
from tests.support.broker import Mosquitto, Subscriber, free_port, wait_until
from tests.support.sparkplug import read, rebirth, values


def test_births_come_first_with_names_types_and_aliases(host: Subscriber, start: Start) -> None:
    output = start()
    born(host)
    kinds = [message.topic.split("/")[2] for message in host.messages]
    assert kinds == ["NBIRTH", "DBIRTH", "DBIRTH"]
    (node,) = on(host, "NBIRTH")
    assert values(node)["bdSeq"] == 0
    assert {metric.datatype for metric in node.metrics if metric.name == "bdSeq"} == {4}, "Int64"
    assert values(node)["Node Control/Rebirth"] is False
    births = [node, *on(host, "DBIRTH", "top"), *on(host, "DBIRTH", "side")]
    assert [birth.seq for birth in births] == [0, 1, 2]
    aliases = [metric.alias for birth in births for metric in birth.metrics if metric.alias]
    assert len(aliases) == len(set(aliases)) == 2 * len(METRICS), "an alias is one metric of the whole node"
    assert all(metric.name and metric.datatype and metric.timestamp for birth in births for metric in birth.metrics)
    assert set(METRICS) < {metric.name for metric in births[1].metrics}
    assert not any(message.retained for message in host.messages)
    assert output.report().connected


def test_data_have_aliases_only_and_the_next_numbers(host: Subscriber, start: Start) -> None:
    output = start()
    born(host)
    output.publish_state(state(parts=PartCountsPayload(ok=5, nok=1, not_judged=0), threshold=0.5))
    output.show_result(PART)
    wait_until(lambda: len(on(host, "DDATA", "top")) == 2, what="both")
    names = names_of(on(host, "DBIRTH", "top")[0])
    first, second = on(host, "DDATA", "top")
    assert (first.seq, second.seq) == (3, 4)
    assert all(metric.alias and not metric.name for metric in [*first.metrics, *second.metrics])
    assert values(first, names)["Parts/Ok"] == 5
    assert values(first, names)["State/Armed"] is True
    result = values(second, names)
    assert (result["Result/Part"], result["Result/Verdict"], result["Result/Score"]) == ("SN1", "nok", 0.9)
    assert result["Result/Reason"] is None
    assert result["Result/Captured"] == int(AT.timestamp() * 1000)


def test_a_group_of_cameras_is_a_device_with_the_joined_results(host: Subscriber, start: Start) -> None:
    """It is armed when all of its cameras are, and alive without one of them, since it has results then, too."""
    output = start(groups={"p1": ("top", "side")})
    born(host)
    names = names_of(on(host, "DBIRTH", "parts:p1")[0])
    for camera, phase in (("top", Phase.ARMED), ("side", Phase.CAMERA_LOST), ("side", Phase.ARMED)):
        output.publish_state(state(camera, phase))
    for verdict in (PartVerdict.OK, PartVerdict.NOK, PartVerdict.NOK):
        output.show_result(replace(PART, camera="parts/p1", verdict=verdict))
    wait_until(lambda: len(on(host, "DDATA", "parts:p1")) == 5, what="two states and three results")
    lost, armed, *results = [values(payload, names) for payload in on(host, "DDATA", "parts:p1")]
    assert (lost["State/Phase"], armed["State/Phase"], armed["State/Armed"]) == ("camera_lost", "armed", True)
    assert [(each["Parts/Ok"], each["Parts/Nok"]) for each in results] == [(1, 0), (1, 1), (1, 2)]
    assert results[-1]["Result/Part"] == "SN1"
    assert on(host, "DDEATH", "parts:p1") == []


def test_a_group_that_is_new_is_born_and_one_that_is_gone_dies(host: Subscriber, start: Start) -> None:
    output = start({"p1": ("top", "side")})
    born(host)
    wait_until(lambda: len(on(host, "DBIRTH", "parts:p1")) == 1)
    output.announce_view_groups({"p2": ("top", "side")})
    wait_until(lambda: len(on(host, "DDEATH", "parts:p1")) == len(on(host, "DBIRTH", "parts:p2")) == 1)
    aliases = [alias for device in ("top", "parts:p1", "parts:p2") for alias in names_of(on(host, "DBIRTH", device)[0])]
    assert len(set(aliases)) == len(aliases), "an alias is that of one metric of one device"
    output.show_result(replace(PART, camera="parts/p2"))
    wait_until(lambda: len(on(host, "DDATA", "parts:p2")) == 1)


def test_only_what_has_changed_is_sent(host: Subscriber, start: Start) -> None:
    output = start()
    born(host)
    output.publish_state(state())
    output.publish_state(state())
    output.publish_state(state(alarm="a1"))
    wait_until(lambda: len(on(host, "DDATA", "top")) == 2, what="two")
    names = names_of(on(host, "DBIRTH", "top")[0])
    assert values(on(host, "DDATA", "top")[1], names) == {"State/Alarm": "a1"}


def test_numbers_go_on_from_255_with_0(host: Subscriber, start: Start) -> None:
    output = start()
    born(host)
    for number in range(300):
        output.show_result(replace(PART, part=f"SN{number}"))
    wait_until(lambda: len(on(host, "DDATA", "top")) == 300, what="all results")
    assert [payload.seq for payload in on(host, "DDATA", "top")] == [(3 + number) % 256 for number in range(300)]


def test_a_host_gets_new_births_with_the_latest_values(host: Subscriber, start: Start) -> None:
    output = start()
    born(host)
    output.publish_state(state(threshold=0.25))
    wait_until(lambda: len(on(host, "DDATA", "top")) == 1, what="the state")
    for nonsense in (b"", b"\xff\xff", rebirth(value=False)):
        host.publish(NODE.format("NCMD"), nonsense)
    host.publish(NODE.format("NCMD"), rebirth())
    born(host, 2)
    first, second = on(host, "NBIRTH")
    assert second.seq == 0
    assert values(first)["bdSeq"] == values(second)["bdSeq"], "the connection is the same"
    assert values(on(host, "DBIRTH", "top")[1])["State/Threshold"] == 0.25
    assert len(on(host, "NBIRTH")) == 2


def test_a_lost_camera_is_a_dead_device_until_it_is_back(host: Subscriber, start: Start) -> None:
    output = start()
    born(host)
    output.publish_state(state())
    output.publish_state(state(phase=Phase.CAMERA_LOST))
    output.publish_state(state(phase=Phase.CAMERA_LOST, reason="no frames"))
    output.publish_state(state())
    wait_until(lambda: len(on(host, "DBIRTH", "top")) == 2, what="the second birth")
    (death,) = on(host, "DDEATH", "top")
    assert (death.seq, len(death.metrics)) == (4, 0)
    assert values(on(host, "DBIRTH", "top")[1])["State/Phase"] == "armed"


def test_an_agent_that_ends_publishes_its_death(host: Subscriber, start: Start) -> None:
    output = start()
    born(host)
    assert output.stop(20.0)
    wait_until(lambda: len(on(host, "NDEATH")) == 1, what="the death")
    (death,) = on(host, "NDEATH")
    assert values(death) == {"bdSeq": 0}
    assert not death.HasField("seq")


def test_an_agent_that_dies_has_its_will_published(
    tmp_path: Path, broker: Mosquitto, host: Subscriber, start: Start
) -> None:
    """The connection is cut from outside; the next one has the next number in will and birth."""
    relay = Relay(broker)
    start(url=f"mqtt://127.0.0.1:{relay.port}")
    born(host)
    relay.cut()
    wait_until(lambda: len(on(host, "NDEATH")) == 1, what="the will")
    assert values(on(host, "NDEATH")[0]) == {"bdSeq": 0}
    born(host, 2)
    # An attempt that the broker never saw may have used a number: it is that of the will, whichever it is.
    number = values(on(host, "NBIRTH")[1])["bdSeq"]
    assert number > 0
    relay.cut()
    wait_until(lambda: len(on(host, "NDEATH")) == 2, what="the second will")
    assert values(on(host, "NDEATH")[1]) == {"bdSeq": number}
    relay.close()


def test_a_broker_that_comes_later_gets_the_latest_values(tmp_path: Path, start: Start, problems: Problems) -> None:
    later = Mosquitto(tmp_path / "later")
    output = start(url=later.url)
    output.publish_state(state(threshold=0.75))
    wait_until(lambda: any("refused" in text for text in problems.all()), what="the problem")
    later.start()
    subscriber = Subscriber(later, "spBv1.0/#")
    wait_until(lambda: output.report().connected and problems.all() == [], what="the birth")
    subscriber.publish(NODE.format("NCMD"), rebirth())
    wait_until(lambda: len(on(subscriber, "DBIRTH", "top")) >= 1, what="a birth")
    assert values(on(subscriber, "DBIRTH", "top")[-1])["State/Threshold"] == 0.75
    subscriber.close()
    output.stop(5.0)
    later.end()


def test_a_broker_that_never_answers_delays_nobody(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        output = start(url=f"mqtt://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        for number in range(5000):
            output.publish_state(state())
            output.show_result(replace(PART, part=f"SN{number}"))
        assert time.monotonic() - begun < 15.0
        begun = time.monotonic()
        output.stop(0.5)
        assert time.monotonic() - begun < 4.0


def test_no_password_is_in_a_log_or_a_problem(
    tmp_path: Path, start: Start, problems: Problems, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "password").write_text("geheim")
    start(url=f"mqtt://127.0.0.1:{free_port()}", username="anna", password_file=tmp_path / "password")
    wait_until(lambda: problems.all() != [], what="the problem")
    caplog.set_level(logging.DEBUG)
    assert "geheim" not in caplog.text + "".join(problems.all())


@pytest.mark.parametrize(
    "settings", [{"group_id": "a/b"}, {"edge_node_id": "#"}, {"url": "http://x"}, {"group_id": ""}]
)
def test_settings_that_cannot_be_are_rejected(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        parse_section({"kind": "sparkplug", **settings})


metrics = st.builds(
    Metric,
    st.just(DataType.STRING),
    st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=40)),
    st.one_of(st.none(), st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)),
    st.one_of(st.none(), st.integers(1, 2**63)),
) | st.builds(Metric, st.just(DataType.UINT64), st.integers(0, 2**64 - 1), st.just("n"), st.none())


@given(st.lists(metrics, max_size=8), st.integers(0, 2**63), st.one_of(st.none(), st.integers(0, 255)))
def test_payloads_are_those_of_protobuf(given_metrics: list[Metric], timestamp: int, seq: int | None) -> None:
    payload = read(encode(timestamp, given_metrics, seq))
    assert payload.timestamp == timestamp
    assert (payload.seq if payload.HasField("seq") else None) == seq
    assert [each.alias or None for each in payload.metrics] == [each.alias for each in given_metrics]
    found = [None if each.is_null else each.string_value or each.long_value for each in payload.metrics]
    assert found == [each.value or (0 if each.value is not None else None) for each in given_metrics] or all(
        (a or None) == (b.value or None) for a, b in zip(found, given_metrics, strict=True)
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_value_error(data: bytes) -> None:
    try:
        assert asks_for_rebirth(data) in (True, False)
    except ValueError as error:
        assert "not a payload" in str(error)  # noqa: PT017


class Relay:
    """A connection between node and broker that can be cut."""

    def __init__(self, broker: Mosquitto) -> None:
        self._broker = broker
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection((self._broker.host, self._broker.port))
            except OSError:
                return
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass(one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65_536):
                other.sendall(data)
        except OSError:
            pass

    def cut(self) -> None:
        ends, self._ends = self._ends, []
        for end in ends:
            end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.close()
        self.cut()
