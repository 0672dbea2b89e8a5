"""The page beside a whole agent: log in, look, judge; and who may not."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agent.commands import ask
from agent.page.server.files import STATIC
from tests.agent.page.conftest import Line
from tests.support.broker import wait_until
from tests.support.page import Client, Page, running_page

HEADERS = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy")


def an_alarm(line: Line) -> str:
    """The id of an alarm that has its images, of which the frame is the last."""
    found: list[str] = []

    def with_images() -> bool:
        listed = ask(line.socket, "alarms/list", verdict="unjudged", limit=20)["alarms"]
        shown = (ask(line.socket, "alarms/show", alarm=each["id"]) for each in listed)
        found[:] = [each["id"] for each in shown if "frame" in each["images"]]
        return bool(found)

    wait_until(with_images, what="an alarm")
    return found[0]


@contextmanager
def _alone(line: Line) -> Iterator[Page]:
    config = line.directory / "alone" / "inspectd.toml"
    config.parent.mkdir()
    text = (line.directory / "inspectd.toml").read_text()
    config.write_text(text.partition("[page]")[0])
    with running_page(config) as page:
        yield page


def events(line: Line, client: Client, wanted: set[str], seconds: float = 60.0) -> dict[str, Any]:
    """The first event of each wanted name."""
    connection = http.client.HTTPConnection("127.0.0.1", line.page.port, timeout=seconds)
    connection.request("GET", "/api/events", headers={"Cookie": client.cookie or ""})
    response = connection.getresponse()
    assert response.status == 200
    found: dict[str, Any] = {}
    end = time.monotonic() + seconds
    while not wanted <= set(found) and time.monotonic() < end:
        text = response.readline().decode().strip()
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
            data = response.readline().decode().removeprefix("data: ")
            found.setdefault(name, json.loads(data))
    connection.close()
    return found


def test_page_and_its_files_have_the_headers(line: Line) -> None:
    client = line.page.client()
    for path in ("/", "/app.js", "/translations/en.json", "/api/session", "/nothing"):
        answer = client.get(path)
        assert answer.status == (404 if path == "/nothing" else 200), path
        assert all(answer.headers.get(name) for name in HEADERS), path
    assert b"<script>" not in client.get("/").body


def test_page_names_all_its_modules_at_once(line: Line) -> None:
    """Else the browser learns of each module from the one that imports it."""
    index = line.page.client().get("/").body.decode()
    modules = [path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js") if path.parent.name != "uplot"]
    assert len(modules) > 20
    assert [name for name in modules if f'<link rel="modulepreload" href="/{name}">' not in index] == []


def test_file_that_the_browser_has_is_not_sent_again(line: Line) -> None:
    client = line.page.client()
    tag = client.get("/app.js").headers["etag"]
    assert client.get("/app.js", If_None_Match=tag).status == 304


def test_nothing_is_shown_before_the_login(line: Line) -> None:
    client = line.page.client()
    for path in ("/api/events", "/api/alarms", "/api/cameras/line1/live", "/api/commands", "/api/alarms.csv"):
        assert client.get(path).status == 401, path


def test_cookie_cannot_be_read_by_scripts_or_sent_by_other_sites(line: Line) -> None:
    cookie = line.page.client().log_in("vera").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert (
        "secure"
        in line.page.client()
        .post("/api/login", {"name": "vera", "password": "correct horse"}, X_Forwarded_Proto="https")
        .headers["set-cookie"]
        .lower()
    )


def test_viewer_sees_status_scores_and_device_as_events(line: Line) -> None:
    found = events(line, line.page.client("vera"), {"status", "scores", "device"})
    assert found["status"]["cameras"]["line1"]["phase"] == "armed"
    assert found["scores"]["cameras"]["line1"]["points"]
    assert found["device"]["cores"] > 0


def test_viewer_sees_the_live_image_and_no_image_twice(line: Line) -> None:
    client = line.page.client("vera")
    found = client.get("/api/cameras/line1/live?side=480").document
    assert found["image"]
    assert found["heat"]
    answer = client.get(f"/api/cameras/line1/live?side=480&after={found['frame']}")
    assert answer.status in (200, 204)
    assert client.get("/api/cameras/line1/live?side=481").status == 400
    assert client.get("/api/cameras/nothing/live").status == 409


def test_alarms_are_listed_filtered_and_shown_with_images(line: Line) -> None:
    identity, client = an_alarm(line), line.page.client("vera")
    listed = client.get("/api/alarms?limit=5").document["alarms"]
    assert 0 < len(listed) <= 5
    older = client.get(f"/api/alarms?limit=5&before={listed[0]['id']}").document["alarms"]
    assert all(each["id"] != listed[0]["id"] and each["raised_at"] <= listed[0]["raised_at"] for each in older)
    assert client.get("/api/alarms?since=2100-01-01T00:00:00Z").document["alarms"] == []
    assert client.get("/api/alarms?score_from=1e30").document["alarms"] == []
    assert client.get("/api/alarms?verdict=perhaps").status == 409
    shown = client.get(f"/api/alarms/{identity}").document
    assert shown["images"] == ["frame", "heatmap", "overlay"]
    assert str(line.directory) not in json.dumps(shown)
    assert client.get(f"/api/alarms/{identity}/images/heatmap").body.startswith(b"\x89PNG")
    small = client.get(f"/api/alarms/{identity}/images/overlay?side=240")
    assert small.headers["content-type"] == "image/jpeg"
    assert small.body == client.get(f"/api/alarms/{identity}/images/overlay?side=240").body


def test_alarm_of_this_moment_is_shown_once_its_images_are_there(line: Line) -> None:
    """Its images are written after it is listed."""
    client = line.page.client("vera")
    an_alarm(line)
    for _ in range(10):
        (newest,) = client.get("/api/alarms?limit=1").document["alarms"]
        assert client.get(f"/api/alarms/{newest['id']}").document["images"] == ["frame", "heatmap", "overlay"]


def test_table_of_alarms_is_for_a_spreadsheet(line: Line) -> None:
    identity, client = an_alarm(line), line.page.client("otto")
    assert client.post(f"/api/alarms/{identity}/verdict", {"verdict": "false", "note": "=1+1"}).status == 200
    answer = client.get("/api/alarms.csv?limit=10000")
    assert answer.body.decode("utf-8-sig").startswith("id,camera,kind,")
    assert "'=1+1" in answer.body.decode()


def test_judgement_has_the_person_and_is_published(line: Line) -> None:
    identity, subscriber = an_alarm(line), line.verdicts()
    try:
        judged = line.page.client("otto").post(
            f"/api/alarms/{identity}/verdict", {"verdict": "true", "kind": "scratch", "note": "upper edge"}
        )
        assert judged.status == 200, judged.body
        assert judged.document["by"] == "otto"
        wait_until(
            lambda: any(json.loads(each.payload)["id"] == identity for each in subscriber.messages), what="the verdict"
        )
    finally:
        subscriber.close()
    latest = ask(line.socket, "alarms/show", alarm=identity)["judgements"][-1]
    assert (latest["verdict"], latest["by"], latest["defect"], latest["note"]) == (
        "true", "otto", "scratch", "upper edge",
    )  # fmt: skip


def test_operator_pauses_and_resumes(line: Line) -> None:
    client = line.page.client("otto")
    assert client.post("/api/cameras/line1/pause").document == {"phase": "paused"}
    assert client.post("/api/cameras/line1/resume").document == {"phase": "armed"}


@pytest.mark.parametrize(
    ("person", "path", "role"),
    [
        ("vera", "/api/cameras/line1/pause", "operate"),
        ("vera", "/api/alarms/1/verdict", "operate"),
        ("otto", "/api/alarms/export", "engineer"),
    ],
)
def test_role_that_does_not_suffice_is_denied_with_the_role_that_does(
    line: Line, person: str, path: str, role: str
) -> None:
    answer = line.page.client(person).post(path)
    assert answer.status == 403
    assert f"this needs the role {role}" in answer.document["error"]


def test_engineer_exports_images_for_training(line: Line) -> None:
    identity, client = an_alarm(line), line.page.client("anna")
    client.post(f"/api/alarms/{identity}/verdict", {"verdict": "true"})
    assert client.post("/api/alarms/export").document["bad"] >= 1


def test_logout_ends_the_session_and_its_tokens_are_worth_nothing(line: Line) -> None:
    client = line.page.client("otto")
    kept = Client(line.page.port, client.cookie, client.csrf)
    assert kept.get("/api/alarms").status == 200
    assert client.post("/api/logout").document["person"] is None
    assert kept.get("/api/alarms").status == 401
    assert kept.post("/api/cameras/line1/pause").status == 401


def test_new_password_ends_the_sessions_of_the_old_one(line: Line) -> None:
    from agent.core.roles import Role
    from agent.page.security.accounts import Accounts

    accounts = Accounts(line.directory / "state" / "page-accounts.json")
    accounts.set("temp", Role.VIEW, "correct horse")
    client = line.page.client("temp")
    assert client.get("/api/alarms").status == 200
    accounts.set("temp", Role.VIEW, "another password")
    assert client.get("/api/alarms").status == 401
    accounts.remove("temp")
    assert line.page.client().log_in("temp", "another password").status == 401


def test_wrong_passwords_have_to_wait_and_say_so(line: Line) -> None:
    client = line.page.client()
    answers = [client.log_in("nobody", "wrong password") for _ in range(6)]
    assert [answer.status for answer in answers] == [401] * 5 + [429]
    assert answers[-1].document["wait_seconds"] > 0
    assert client.log_in("vera").status == 200


def test_logins_and_actions_are_in_the_audit_log_with_the_person(line: Line) -> None:
    client = line.page.client("anna")
    client.post("/api/cameras/line1/pause")
    client.post("/api/cameras/line1/resume")

    def logged() -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = client.get("/api/audit").document["entries"]
        return entries

    wait_until(lambda: any(each["action"] == "login" and each["by"] == "anna" for each in logged()), what="the login")
    resumed = next(each for each in logged() if each["action"] == "resume")
    assert resumed["by"] == "anna (page)"
    assert resumed["changed"]["phase"] == ["paused", "armed"]
    assert line.page.client("otto").get("/api/audit").status == 403


def test_recalibration_is_a_dry_run_and_a_calibration_takes_effect_by_a_click(line: Line) -> None:
    client = line.page.client("anna")
    assert client.get("/api/cameras/line1/window").document["in_force"], "nothing waits for a decision"
    before = client.get("/api/cameras/line1/calibrations").document
    assert client.post("/api/cameras/line1/recalibrate", {"frames": 5000}).document["dry_run"] is True
    assert client.post("/api/cameras/line1/recalibrate", {"cancel": True}).document == {"cancelled": True}
    assert client.get("/api/cameras/line1/calibrations").document["active"] == before["active"]
    assert client.post("/api/cameras/line1/rollback", {"to": before["active"]}).document["id"] == before["active"]
    assert client.post("/api/cameras/line1/rollback", {"to": "nothing"}).status == 409
    assert line.page.client("otto").post("/api/cameras/line1/recalibrate").status == 403


def test_agent_that_has_gone_is_reported_as_such(line: Line) -> None:
    """A page beside no agent at all: it says so, and lets people log in."""
    with _alone(line) as page:
        client = page.client("vera")
        answer = client.get("/api/alarms")
        assert answer.status == 503
        assert answer.document["temporary"] is True
