"""Objects in an S3 bucket: moto's service over real HTTP, and what happens when it cannot be used."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

pytest.importorskip("boto3", reason="S3 needs the extra s3")
pytest.importorskip("moto", reason="moto is the service of these tests")

from agent.alarms import EvidenceImage
from agent.core.errors import Permanent
from agent.core.ids import new_id
from agent.core.problems import Problems
from agent.core.records import AlarmEvent, Part, PartVerdict
from agent.doctor.outputs import check_outputs
from agent.messages import ModelPayload, VerdictPayload
from agent.outputs import AlarmContext, Output, RecordedAlarm, RecordedResult, build_outputs
from agent.outputs import delivery_thread as delivery_module
from agent.outputs.outbox import Entry, Outbox
from agent.outputs.settings import parse_section
from agent.settings import load_settings
from tests.support.agent_settings import settings_text
from tests.support.agents import GOOD_PARTS
from tests.support.broker import free_port, wait_until
from tests.support.delivery import AT, alarm_record, noise_png
from tests.support.output_peers import ToyPeer
from tests.support.s3_service import BUCKET, CREDENTIALS, S3Service

MODEL = ModelPayload(name="m", sha256="0" * 64)
CONTEXT = AlarmContext(rule=None, calibration=None, model=MODEL, engine="e")
DOCUMENT = Path(__file__).parents[4] / "docs" / "s3.md"


@pytest.fixture
def service() -> Iterator[S3Service]:
    made = S3Service().start()
    yield made
    made.stop()


@pytest.fixture
def start(
    tmp_path: Path, outbox: Outbox, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Output]]:
    monkeypatch.setattr(delivery_module, "RETRY_SECONDS", (0.05, 0.2))
    running: list[Output] = []

    def started(url: str, **settings: object) -> Output:
        section = parse_section(values(tmp_path, url, **settings))
        outputs = build_outputs({"archive": section}, site="plant", outbox=outbox, problems=problems)
        running.extend(outputs)
        outputs[0].start()
        return outputs[0]

    yield started
    for output in running:
        output.stop(0.5)


def values(directory: Path, url: str, **settings: object) -> dict[str, object]:
    file = directory / "credentials"
    if not file.exists():
        file.write_text(CREDENTIALS)
    given = {"kind": "s3", "bucket": BUCKET, "endpoint": url, "credentials_file": file, "timeout_seconds": 20.0}
    return {**given, **settings}


def record(outbox: Outbox, output: Output, identity: str, event: AlarmEvent = AlarmEvent.RAISED) -> RecordedAlarm:
    recorded: list[RecordedAlarm] = []

    def make(sequence: int):  # type: ignore[no-untyped-def]
        images = () if event is AlarmEvent.CLEARED else (EvidenceImage("heatmap", noise_png(8), "image/png"),)
        recorded[:] = [RecordedAlarm(alarm_record(identity, "cam", event), sequence, "plant", CONTEXT, (), images)]
        return output.messages_for(recorded[0])

    outbox.accept_together([Entry("cam", make, captured_monotonic=time.monotonic())])
    return recorded[0]


def delivered(outbox: Outbox) -> None:
    wait_until(lambda: outbox.waiting("archive") == 0, what="an empty outbox")


def problem(problems: Problems, pattern: str) -> str:
    found: list[str] = []

    def matches() -> bool:
        found[:] = [text for text in problems.all() if re.search(pattern, text)]
        return bool(found)

    wait_until(matches, what=f"the problem {pattern}; got {problems.all()}")
    return found[0]


def test_an_alarm_is_a_folder_with_its_documents_and_images(
    service: S3Service, outbox: Outbox, start: Callable[..., Output]
) -> None:
    output, identity = start(service.url, prefix="line"), new_id()
    record(outbox, output, identity)
    record(outbox, output, identity, AlarmEvent.CLEARED)
    delivered(outbox)
    day = time.strftime("%Y/%m/%d", time.gmtime((UUID(identity).int >> 80) / 1000))
    folder = f"line/plant/cam/{day}/{identity}"
    assert sorted(service.uploaded) == sorted(
        f"{folder}/{name}" for name in ("raised.json", "cleared.json", "heatmap.png")
    )
    document = json.loads(service.get(f"{folder}/raised.json"))
    assert document["evidence"]["heatmap"]["topic"] == f"{folder}/heatmap.png"
    assert document["evidence"]["heatmap"]["sha256"] == hashlib.sha256(service.get(f"{folder}/heatmap.png")).hexdigest()
    head = service.client().head_object(Bucket=BUCKET, Key=f"{folder}/heatmap.png")
    assert head["ContentType"] == "image/png"
    assert head["Metadata"] == {"camera": "cam", "id": identity, "sequence": "1"}


def test_each_object_is_sent_with_its_checksum(
    service: S3Service, outbox: Outbox, start: Callable[..., Output]
) -> None:
    record(outbox, start(service.url), new_id())
    delivered(outbox)
    found = [base64.b64encode(hashlib.sha256(service.get(key)).digest()).decode() for key in service.uploaded]
    assert service.checksums == found


def test_verdicts_and_results_are_uploaded_where_asked_for(
    service: S3Service, outbox: Outbox, start: Callable[..., Output]
) -> None:
    output, identity = start(service.url, send=["alarms", "results", "verdicts"]), new_id()
    verdict = VerdictPayload(
        id=identity, number=3, site="plant", camera="cam", verdict="true", by="anna", at=AT, raised_at=AT
    )
    (message,) = output.messages_for_verdict(verdict)
    assert message.topic.endswith(f"/{identity}/verdict-3.json")
    part = Part("SN1", "cam", PartVerdict.OK, None, 1.0, 2.0, "c", 1, 0, AT, 0.0)
    result = output.result_message(RecordedResult(part, identity, 1, "plant", 0.1, MODEL, "e"))
    assert result is not None
    assert result.topic.endswith(f"/{identity}/result.json")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"bucket": "nowhere"}, "there is no such bucket"),
        ({"profile": "other"}, "no such profile"),
        ({"credentials_file": "/nonexistent/file"}, "/nonexistent/file cannot be read: No such file"),
        ({"ca_file": "/nonexistent/ca"}, "ca_file /nonexistent/ca cannot be read"),
    ],
)
def test_a_wrong_setting_is_one_line_and_loses_nothing(
    service: S3Service,
    outbox: Outbox,
    problems: Problems,
    start: Callable[..., Output],
    settings: dict[str, object],
    wanted: str,
) -> None:
    output = start(service.url, **settings)
    record(outbox, output, new_id())
    assert "\n" not in problem(problems, re.escape(wanted))
    assert outbox.waiting("archive") == 2
    assert not output.report().connected


def test_objects_wait_while_there_are_no_credentials(
    tmp_path: Path, service: S3Service, outbox: Outbox, problems: Problems, start: Callable[..., Output]
) -> None:
    (tmp_path / "credentials").write_text("not of this format\n")
    output = start(service.url, profile=None)
    record(outbox, output, new_id())
    problem(problems, "the credentials are no file like ~/.aws/credentials")
    (tmp_path / "credentials").write_text("[other]\n")
    problem(problems, "no credentials; wanted credentials_file")
    (tmp_path / "credentials").write_text(CREDENTIALS)
    delivered(outbox)


def test_no_secret_is_in_a_log_or_a_problem(
    tmp_path: Path,
    service: S3Service,
    outbox: Outbox,
    problems: Problems,
    start: Callable[..., Output],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    record(outbox, start(service.url, bucket="nowhere"), new_id())
    text = problem(problems, "no such bucket")
    for secret in ("AKIAEXAMPLE", "geheim"):
        assert secret not in text
        assert secret not in caplog.text


def test_objects_wait_while_the_service_is_away(
    service: S3Service, outbox: Outbox, problems: Problems, start: Callable[..., Output]
) -> None:
    service.stop()
    output = start(service.url)
    for _ in range(3):
        record(outbox, output, new_id())
    problem(problems, "no connection")
    service.start(bucket=None)
    delivered(outbox)
    assert sum(key.endswith("raised.json") for key in service.uploaded) == 3


def test_a_service_that_never_answers_delays_no_other_output(
    tmp_path: Path, outbox: Outbox, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and says nothing; the other output gets everything meanwhile."""
    monkeypatch.setattr(delivery_module, "RETRY_SECONDS", (0.05, 0.2))
    toy = ToyPeer(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        sections = {"archive": parse_section(values(tmp_path, url, timeout_seconds=60.0)), "toy": toy.section()}
        outputs = build_outputs(sections, site="plant", outbox=outbox, problems=problems)
        toy.start()
        for output in outputs:
            output.start()
        try:
            for number in range(10):

                def make(sequence: int, number: int = number):  # type: ignore[no-untyped-def]
                    recorded = RecordedAlarm(alarm_record(f"a{number}"), sequence, "plant", CONTEXT, (), ())
                    return [message for output in outputs for message in output.messages_for(recorded)]

                outbox.accept_together([Entry("cam", make)])
            wait_until(lambda: outbox.waiting("toy") == 0, what="everything at the toy")
            assert outbox.waiting("archive") == 10
        finally:
            begun = time.monotonic()
            for output in outputs:
                output.stop(0.5)
            assert time.monotonic() - begun < 20.0
            toy.end()


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"bucket": "UPPER"}, "bucket"),
        ({"endpoint": "ftp://host"}, "wanted https://host"),
        ({"endpoint": "https://user:secret@host"}, "without a login"),
        ({"prefix": "/line"}, "without / at its beginning"),
        ({"prefix": "a//b"}, "wanted a prefix"),
        ({"send": []}, "send"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_settings_that_cannot_be_are_rejected(tmp_path: Path, settings: dict[str, object], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted) as raised:
        parse_section(values(tmp_path, "http://127.0.0.1:9000", **settings))
    assert wanted in str(raised.value)


def test_doctor_asks_for_the_bucket(tmp_path: Path, service: S3Service) -> None:
    def findings(bucket: str, url: str) -> list[str]:
        section = f'[outputs.archive]\nkind = "s3"\nbucket = "{bucket}"\nendpoint = "{url}"\n'
        section += f'credentials_file = "{tmp_path / "credentials"}"'
        config = tmp_path / "inspectd.toml"
        config.write_text(settings_text(tmp_path / "none.bundle", GOOD_PARTS, sections=section))
        return [result.text for result in check_outputs(load_settings(config)) if result.fix is not None]

    (tmp_path / "credentials").write_text(CREDENTIALS)
    assert findings(BUCKET, service.url) == []
    assert "there is no such bucket" in findings("nowhere", service.url)[0]
    assert "does not answer" in findings(BUCKET, f"http://127.0.0.1:{free_port()}")[0]


def test_a_missing_extra_names_the_command_that_installs_it(
    tmp_path: Path, outbox: Outbox, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = parse_section(values(tmp_path, "http://127.0.0.1:9000"))
    monkeypatch.setattr("agent.outputs.settings.find_spec", lambda name: None if name == "boto3" else sys)
    with pytest.raises(Permanent, match=r"output archive: s3 needs boto3: pip install 'inspectd\[s3\]'"):
        build_outputs({"archive": section}, site="plant", outbox=outbox, problems=problems)


def test_the_document_names_every_setting() -> None:
    text = DOCUMENT.read_text()
    fields = type(parse_section({"kind": "s3", "bucket": "abc"})).model_fields
    assert [name for name in fields if f"{name} =" not in text and f"`{name}`" not in text] == []
