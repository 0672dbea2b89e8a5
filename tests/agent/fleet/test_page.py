"""The page as its process: what it does with a broker, with hostile messages and requests, and who may look."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.fleet.broker.documents import MAX_DOCUMENT_BYTES
from tests.agent.fleet.conftest import Shown
from tests.support.agents import INSPECTD
from tests.support.broker import Mosquitto, wait_until
from tests.support.documents import alarm, state, status
from tests.support.page import Page, running_fleet


def test_broker_that_is_gone_is_reported_and_its_return_too(shown: Shown) -> None:
    client = shown.page.client("vera")
    shown.broker.stop()
    wait_until(lambda: not client.get("/api/cameras").document["connected"], what="the loss of the broker")
    document = client.get("/api/cameras").document
    assert f"127.0.0.1:{shown.broker.port}" in document["problem"]
    assert len(document["cameras"]) == 2, "what was known stays"
    shown.broker.start()
    wait_until(lambda: client.get("/api/cameras").document["connected"], what="the broker's return")


def test_events_bring_all_rows_and_then_what_changes(shown: Shown) -> None:
    client = shown.page.client("vera")
    connection = http.client.HTTPConnection("127.0.0.1", shown.page.port, timeout=30)
    connection.request("GET", "/api/events", headers={"Cookie": client.cookie or ""})
    response = connection.getresponse()
    publisher = shown.publisher()
    publisher.publish("inspectd/berlin/line1/state", state("paused", site="berlin").to_bytes(), retain=True)
    publisher.close()
    names: list[str] = []
    rows: list[Any] = []
    while "rows" not in names:
        line = response.readline().decode().strip()
        if line.startswith("event: "):
            names.append(line[7:])
        elif line.startswith("data: ") and names[-1] == "all":
            rows = json.loads(line[6:])["rows"]
    connection.close()
    assert names[:2] == ["all", "header"]
    assert {row["site"] for row in rows} >= {"berlin", "seoul"}


def test_nobody_sees_anything_without_a_login_and_only_engineers_see_logins(shown: Shown) -> None:
    nobody, vera, anna = shown.page.client(), shown.page.client("vera"), shown.page.client("anna")
    for path in ("/api/events", "/api/cameras", "/api/camera?agent=inspectd/berlin", "/api/alarms", "/api/logins"):
        assert nobody.get(path).status == 401, path
    assert vera.get("/api/logins").status == 403
    wait_until(lambda: len(anna.get("/api/logins").document["logins"]) > 0, what="the login in the history")
    assert anna.get("/api/logins").document["logins"][-1]["address"] == "127.0.0.1"
    assert vera.get("/").headers["content-security-policy"].startswith("default-src 'none'")
    assert vera.get("/", Host="evil.example").status == 421
    assert vera.post("/api/logout", {}, Origin="https://evil.example").status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/api/camera",
        "/api/camera?agent=" + "x" * 2000,
        "/api/camera?agent=a%00b",
        "/api/alarms?before=soon",
    ],
)
def test_requests_that_make_no_sense_are_answered(shown: Shown, path: str) -> None:
    assert shown.page.client("vera").get(path).status == 400


@pytest.mark.parametrize(
    "path", ["/api/camera?agent=%F0%9F%98%80&camera=..%2F..", "/api/alarms?kind=none&camera=%27--"]
)
def test_requests_for_what_does_not_exist_are_empty(shown: Shown, path: str) -> None:
    answer = shown.page.client("vera").get(path)
    assert answer.status == 200
    assert answer.document["alarms"] == []


def test_hostile_messages_are_counted_and_the_page_goes_on(shown: Shown) -> None:
    client, publisher = shown.page.client("vera"), shown.publisher()
    before = client.get("/api/cameras").document["faults"]
    try:
        for topic, payload in (
            ("inspectd/berlin/line1/alarm", b"not JSON"),
            ("inspectd/berlin/line1/event", b"[" * 20_000),
            ("inspectd/berlin/line1/alarm", alarm(site="seoul").to_bytes()),
            ("inspectd/\ufeff/line1/alarm", b"{}"),
            ("inspectd/evil/line1/state", b'{"schema": "inspectd.state/1", "phase": "' + b"x" * 30_000),
            # The broker does not send it: it is larger than this subscriber takes.
            ("inspectd/berlin/line1/alarm", b"x" * (4 * MAX_DOCUMENT_BYTES)),
        ):
            publisher.publish(topic, payload)
        script = "javascript:alert(1)"
        publisher.publish("inspectd/<b>/status", status(site="<b>", page=script).to_bytes(), retain=True)
        wait_until(lambda: client.get("/api/cameras").document["faults"] >= before + 5, what="the faults")
        document = client.get("/api/cameras").document
        assert any(fault["topic"].startswith("inspectd/evil") for fault in document["faults_named"])
        rows = shown.wait_for(lambda rows: "<b>" in rows, "the odd site")
        assert rows["<b>"]["page"] is None
        publisher.publish("inspectd/<b>/status", b"", retain=True)
        shown.wait_for(lambda rows: "<b>" not in rows, "the removal of the odd site")
    finally:
        publisher.close()


def test_alarms_that_arrive_while_the_page_is_down_are_in_the_history(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker").start()
    try:
        with running_fleet(tmp_path, broker.url) as page:
            wait_until(lambda: _connected(page), what="the connection")
        publisher = Shown(page, broker, tmp_path).publisher()
        publisher.publish("inspectd/plant/line1/alarm", alarm(id="while-down").to_bytes())
        publisher.publish("inspectd/plant/line1/state", state().to_bytes(), retain=True)
        publisher.close()
        with running_fleet(tmp_path, broker.url) as page:
            client = page.client("vera")
            wait_until(lambda: client.get("/api/alarms").document["alarms"], what="the alarm")
            assert client.get("/api/alarms").document["alarms"][0]["id"] == "while-down"
    finally:
        broker.end()


def test_two_pages_at_one_broker_do_not_disturb_each_other(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker").start()
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    try:
        with running_fleet(tmp_path / "one", broker.url) as one, running_fleet(tmp_path / "two", broker.url) as two:
            wait_until(lambda: _connected(one) and _connected(two), what="both connections")
            log = (tmp_path / "broker" / "mosquitto.log").read_text()
            assert len(set(re.findall(r"as (inspectd-fleet-\w+)", log))) == 2
            assert "already connected" not in log
    finally:
        broker.end()


def test_page_without_a_broker_says_so_and_ends_on_request(tmp_path: Path) -> None:
    with running_fleet(tmp_path, "mqtt://127.0.0.1:1") as page:
        client = page.client("vera")
        wait_until(lambda: client.get("/api/cameras").document["problem"], what="the reason")
        assert client.get("/api/cameras").document["cameras"] == []
        page.process.send_signal(signal.SIGTERM)
        assert page.process.wait(60) == 0
        assert page.log.read_text().count("trying again") == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[mqtt]\nurl = 'broker'", "mqtt.url"),
        ("[page]\nhost = '0.0.0.0'", "wanted certificate_file"),
        ("[history]\ndatabase = 'mysql://x/y'", "wanted the path of a file for SQLite, or postgresql://"),
        ("[mqtt]\ntopic_template = 'a/{site'", "topic template"),
        ("sites = 3", "unknown setting"),
        ("[mqtt]\nprefix = 'a'\ntopic_template = 'a/{site}'", "wanted one of them"),
    ],
)
def test_mistake_in_the_settings_is_one_clear_line(tmp_path: Path, text: str, line: str) -> None:
    config = tmp_path / "fleet.toml"
    config.write_text(text)
    done = subprocess.run([*INSPECTD, "fleet", "-c", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1


def _connected(page: Page) -> bool:
    return bool(page.client("vera").get("/api/cameras").document["connected"])
