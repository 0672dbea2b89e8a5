"""Webhooks over real HTTPS: signed, verified, in order, at least once, and apart from other outputs."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.alarms import EvidenceImage
from agent.core.problems import Problems
from agent.core.records import AlarmEvent, Part, PartVerdict
from agent.messages import AlarmPayload, ModelPayload, ResultPayload, VerdictPayload
from agent.outputs import AlarmContext, Output, RecordedAlarm, RecordedResult, build_outputs
from agent.outputs import delivery_thread as delivery_module
from agent.outputs.outbox import Entry, Message, Outbox
from agent.outputs.settings import parse_section
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.certificates import OPENSSL, Authority
from tests.support.delivery import AT, alarm_record, noise_png
from tests.support.webhook_receiver import SECRET, Posted, Receiver

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs openssl")

CONTEXT = AlarmContext(rule=None, calibration=None, model=ModelPayload(name="m", sha256="0" * 64), engine="e")
DOCUMENT = Path(__file__).parents[4] / "docs" / "webhook.md"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "authority")


@pytest.fixture
def receiver(authority: Authority) -> Iterator[Receiver]:
    made = Receiver(authority.issue("receiver"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def start(
    tmp_path: Path,
    authority: Authority,
    outbox: Outbox,
    problems: Problems,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Output]]:
    """Starts a webhook to a receiver, with further sections beside it."""
    monkeypatch.setattr(delivery_module, "RETRY_SECONDS", (0.05, 0.2))
    running: list[Output] = []

    def started(
        to: Receiver,
        beside: dict[str, Any] | None = None,
        results: Outbox | None = None,
        on_built: list[Output] | None = None,
        **more: Any,
    ) -> Output:
        secret = tmp_path / "secret"
        secret.write_text(f"{SECRET}\n")
        values = {"kind": "webhook", "url": to.url, "secret_file": secret, "timeout_seconds": 20.0, **more}
        if to.url.startswith("https:"):
            values.setdefault("ca_file", authority.certificate)
        sections = {"hook": parse_section(values), **(beside or {})}
        outputs = build_outputs(sections, site="plant", outbox=outbox, problems=problems)
        if on_built is not None:
            on_built.extend(outputs)
        for output in outputs:
            running.append(output)
            if results is not None:
                output.deliver_results(results)
            output.start()
        return outputs[0]

    yield started
    for output in running:
        output.stop(1.0)


def record(outbox: Outbox, outputs: list[Output], identity: str, event: AlarmEvent = AlarmEvent.RAISED) -> None:
    """As the recorder does, with an image."""

    def make(sequence: int) -> list[Message]:
        images = (EvidenceImage("heatmap", noise_png(8), "image/png"),)
        recorded = RecordedAlarm(alarm_record(identity, event=event), sequence, "plant", CONTEXT, (), images)
        return [message for output in outputs for message in output.messages_for(recorded)]

    outbox.accept_together([Entry("cam", make, captured_monotonic=time.monotonic())])


def result(outbox: Outbox, output: Output, identity: str) -> None:
    def make(sequence: int) -> list[Message]:
        part = Part(identity, "cam", PartVerdict.OK, None, 1.0, 2.0, "c", 1, 0, AT, time.monotonic())
        model = ModelPayload(name="m", sha256="0" * 64)
        message = output.result_message(RecordedResult(part, identity, sequence, "plant", 0.01, model, "e"))
        return [] if message is None else [message]

    outbox.accept_together([Entry("cam", make)])


def await_empty(outbox: Outbox, output: str = "hook") -> None:
    wait_until(lambda: outbox.waiting(output) == 0, what="an empty outbox")


def test_the_example_of_the_document_verifies_real_messages(
    start: Callable[..., Output], receiver: Receiver, outbox: Outbox
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    record(outbox, [start(receiver, send=["alarms", "images"])], "a1")
    await_empty(outbox)
    document, image = receiver.requests
    for posted in (document, image):
        names["verify"](SECRET, posted.headers, posted.body)
        with pytest.raises(ValueError, match="wrong signature"):
            names["verify"](SECRET, posted.headers, posted.body + b" ")
        with pytest.raises(ValueError, match="wrong signature"):
            names["verify"](SECRET, {**posted.headers, "webhook-id": "a2/raised"}, posted.body)
    assert document.path == "/hook/sesame?key=opensesame"
    assert (document.id, image.id) == ("a1/raised", "a1/heatmap")
    assert (document.headers["content-type"], image.headers["content-type"]) == ("application/json", "image/png")
    alarm = AlarmPayload.model_validate_json(document.body)
    assert (alarm.id, alarm.sequence, alarm.evidence["heatmap"].topic) == ("a1", 1, image.id)
    assert abs(int(document.headers["webhook-timestamp"]) - time.time()) < 60


def test_messages_arrive_in_their_order_over_one_connection(
    start: Callable[..., Output], receiver: Receiver, outbox: Outbox, tmp_path: Path
) -> None:
    results = Outbox(tmp_path / "results.sqlite")
    receiver.stop()
    output = start(receiver, results=results)
    for number in range(5):
        result(results, output, f"r{number}")
        record(outbox, [output], f"a{number}", AlarmEvent.RAISED)
        record(outbox, [output], f"a{number}", AlarmEvent.CLEARED)
    verdict = VerdictPayload(
        id="a0", number=3, site="plant", camera="cam", verdict="true", by="me", at=AT, raised_at=AT
    )
    outbox.add_unnumbered("cam", output.messages_for_verdict(verdict))
    receiver.start()
    await_empty(outbox)
    await_empty(results)
    alarms = [f"a{number}/{event}" for number in range(5) for event in ("raised", "cleared")]
    assert [posted.id for posted in receiver.requests] == [
        *alarms,
        "a0/verdict/3",
        *(f"r{number}/result" for number in range(5)),
    ]
    assert len({posted.connection for posted in receiver.requests}) == 1
    ResultPayload.model_validate_json(receiver.requests[-1].body)
    assert output.report().connected
    results.close()


@pytest.mark.parametrize("status", [500, 502, 503, 408, 425, 429, 401, 403, 404, 405, 410, 301, 307])
def test_a_message_that_is_not_taken_now_is_sent_again(
    start: Callable[..., Output], receiver: Receiver, outbox: Outbox, problems: Problems, status: int
) -> None:
    elsewhere = {"Location": receiver.url.replace("/hook", "/elsewhere")}
    taken = threading.Event()
    receiver.answer = lambda posted: (200, {}) if taken.is_set() else (status, elsewhere)
    output = start(receiver)
    record(outbox, [output], "a1")
    record(outbox, [output], "a2")
    wait_until(lambda: problems.all() != [], what="the problem")
    assert f"127.0.0.1:{receiver.port}: status {status}" in problems.all()[0]
    wait_until(lambda: len(receiver.requests) >= 4, what="several attempts")
    taken.set()
    await_empty(outbox)
    *attempts, last = [posted.id for posted in receiver.requests]
    assert attempts == ["a1/raised"] * len(attempts)
    assert last == "a2/raised"
    assert {posted.path for posted in receiver.requests} == {"/hook/sesame?key=opensesame"}, "no redirect is followed"
    assert len({posted.body for posted in receiver.requests}) == 2, "unchanged"
    wait_until(lambda: problems.all() == [])
    assert outbox.counts().dead_letters == 0


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_a_message_that_is_never_accepted_is_given_up_after_three_attempts(
    start: Callable[..., Output], receiver: Receiver, outbox: Outbox, status: int
) -> None:
    receiver.answer = lambda posted: (status if posted.id == "bad/raised" else 200, {})
    output = start(receiver)
    record(outbox, [output], "bad")
    record(outbox, [output], "good")
    await_empty(outbox)
    assert [posted.id for posted in receiver.requests] == ["bad/raised"] * 3 + ["good/raised"]
    counts = outbox.counts()
    assert (counts.dead_letters, counts.missing) == (1, (1,))


def test_retry_after_is_respected(start: Callable[..., Output], receiver: Receiver, outbox: Outbox) -> None:
    times: list[float] = []

    def answer(posted: Posted) -> tuple[int, dict[str, str]]:
        times.append(time.monotonic())
        return (429, {"Retry-After": "1"}) if len(times) == 1 else (200, {})

    receiver.answer = answer
    record(outbox, [start(receiver)], "a1")
    await_empty(outbox)
    assert times[1] - times[0] >= 1.0


def test_an_idle_connection_that_was_closed_is_no_failure(
    start: Callable[..., Output], receiver: Receiver, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    output = start(receiver)
    record(outbox, [output], "a1")
    await_empty(outbox)
    receiver.drop_connections()
    record(outbox, [output], "a2")
    await_empty(outbox)
    assert [posted.id for posted in receiver.accepted] == ["a1/raised", "a2/raised"]
    assert "wait in the outbox" not in caplog.text


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ({"expired": True}, "certificate has expired"),
        ({"host": "DNS:other.example"}, "IP address mismatch"),
        (None, "unable to get local issuer certificate|self-signed|self signed"),
    ],
    ids=["expired", "other host", "other authority"],
)
def test_a_certificate_that_cannot_be_verified_gets_no_message(
    start: Callable[..., Output],
    authority: Authority,
    outbox: Outbox,
    problems: Problems,
    tmp_path: Path,
    certificate: dict[str, Any] | None,
    reason: str,
) -> None:
    issuer = Authority(tmp_path / "other") if certificate is None else authority
    receiver = Receiver(issuer.issue("bad", **(certificate or {})))
    receiver.start()
    try:
        record(outbox, [start(receiver)], "a1")
        wait_until(lambda: problems.all() != [], what="the problem")
        assert re.search(f"its certificate is rejected: .*({reason})", problems.all()[0])
        assert receiver.requests == []
        assert outbox.waiting("hook") == 1
    finally:
        receiver.stop()


def test_secrets_are_neither_logged_nor_reported(
    start: Callable[..., Output],
    receiver: Receiver,
    outbox: Outbox,
    problems: Problems,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    statuses = iter([500, 401, 404, 302, 400, 429])
    receiver.answer = lambda posted: (next(statuses, 200), {"Location": "https://x/?token=opensesame"})
    output = start(receiver)
    record(outbox, [output], "a1")
    texts = set()
    end = time.monotonic() + 20
    while outbox.waiting("hook") and time.monotonic() < end:
        texts |= set(problems.all())
    assert texts
    shown = caplog.text + " ".join(texts) + output.destination + output.report().model_dump_json()
    for secret in ("sesame", SECRET[6:], "0123456789abcdef"):
        assert secret not in shown
    assert output.destination == f"https://127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("content", ["short", "whsec_!!!", None])
def test_a_secret_that_cannot_be_used_is_reported_without_it(
    start: Callable[..., Output], receiver: Receiver, outbox: Outbox, problems: Problems, tmp_path: Path, content: str
) -> None:
    other = tmp_path / "other-secret"
    if content is not None:
        other.write_text(content)
    record(outbox, [start(receiver, secret_file=other)], "a1")
    wait_until(lambda: problems.all() != [], what="the problem")
    assert receiver.requests == []
    assert "secret" in problems.all()[0]
    assert "short" not in problems.all()[0]


def test_the_secret_may_be_a_credential(
    start: Callable[..., Output], receiver: Receiver, outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "hook-secret").write_text(SECRET)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    record(outbox, [start(receiver, secret_file=None)], "a1")
    await_empty(outbox)


def test_a_dead_webhook_never_holds_mqtt_up_and_the_other_way_round(
    start: Callable[..., Output], receiver: Receiver, outbox: Outbox, mosquitto: Callable[..., Mosquitto]
) -> None:
    """The receiver takes connections and answers nothing, which is the worst that it can do."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/cam/alarm")
    receiver.answer = lambda posted: (time.sleep(3.0), (500, {}))[1]  # type: ignore[func-returns-value]
    mqtt = parse_section({"kind": "mqtt", "url": broker.url})
    (hook, other) = _both(start, receiver, mqtt)
    for number in range(20):
        record(outbox, [hook, other], f"a{number}")
    wait_until(lambda: outbox.waiting("other") == 0, what="everything at the broker")
    wait_until(lambda: len(subscriber.messages) >= 20)
    assert outbox.waiting("hook") == 20
    assert other.report().outbox.waiting == 0, "what waits for the webhook is none of the broker's"
    assert hook.report().outbox.waiting == 20
    broker.stop()
    receiver.answer = lambda posted: (200, {})
    for number in range(20, 40):
        record(outbox, [hook, other], f"a{number}")
    await_empty(outbox)
    assert [posted.id for posted in receiver.accepted] == [f"a{number}/raised" for number in range(40)]
    assert outbox.alarms_waiting("other") == 20
    subscriber.close()


def _both(start: Callable[..., Output], receiver: Receiver, mqtt: Any) -> tuple[Output, Output]:
    outputs: list[Output] = []
    hook = start(receiver, beside={"other": mqtt}, on_built=outputs, timeout_seconds=1.0)
    return hook, outputs[1]


def test_stop_returns_in_time_while_the_receiver_hangs(start: Callable[..., Output], outbox: Outbox) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        silent = Receiver()
        silent.port = listener.getsockname()[1]
        output = start(silent, timeout_seconds=60.0)
        record(outbox, [output], "a1")
        connection, _ = listener.accept()
        with connection:
            begun = time.monotonic()
            output.stop(0.5)
            assert time.monotonic() - begun < 15.0
    assert outbox.waiting("hook") == 1


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://mes.example/x", "wanted https://; http:// is only for receivers on this machine"),
        ("https://user:pw@mes.example/", "without a login"),
        ("ftp://mes.example", "wanted https://host/path"),
        ("https://", "wanted https://host/path"),
        ("https://mes.example:99999/", "wanted https://host/path"),
        ("https://mes.example/a b", "wanted https://host/path"),
        ("mes.example", "wanted https://host/path"),
    ],
)
def test_addresses_that_are_unsafe_are_rejected(url: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted) as caught:
        parse_section({"kind": "webhook", "url": url})
    assert caught.value.errors()[0]["msg"].count("pw") == 0  # type: ignore[attr-defined]


def test_contents_are_chosen(start: Callable[..., Output], receiver: Receiver, outbox: Outbox) -> None:
    output = start(receiver, send=["verdicts"])
    recorded = RecordedAlarm(alarm_record("a"), 1, "plant", CONTEXT)
    assert output.messages_for(recorded) == []
    verdict = {"id": "a", "number": 1, "site": "plant", "camera": "cam", "verdict": "false", "by": "me"}
    (message,) = output.messages_for_verdict(VerdictPayload.model_validate({**verdict, "at": AT, "raised_at": AT}))
    assert json.loads(message.payload)["verdict"] == "false"
