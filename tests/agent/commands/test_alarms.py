"""A whole agent whose alarms are judged: over MQTT and the command line, running, restarted and stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from agent.commands import ask
from agent.core.errors import Permanent
from engines.bundles.bundle import Bundle
from tests.support.agents import (
    await_online,
    await_state,
    await_status,
    configure,
    inspectd,
    running_service,
    socket_path,
    write_good_and_bad_parts,
)
from tests.support.broker import Mosquitto, Subscriber, wait_until

# A folder: good parts for the window and the sample; then six bad ones.
GOOD, BAD = 150, 6


@pytest.fixture
def config(tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto) -> Path:
    write_good_and_bad_parts(tmp_path / "parts", good=GOOD, bad=BAD)
    source = f'kind = "folder"\npath = "{tmp_path / "parts"}"\nfollow = true\nframes_per_second = 50'
    allow = "allow_insecure_commands = true"
    return configure(tmp_path, tiny_bundle, source, broker.url, mqtt=allow, sections="[review]\nsamples_per_shift = 4")


def listed(tmp_path: Path, *more: str) -> dict[str, Any]:
    done = inspectd("alarms", "list", "--json", "--config", tmp_path / "inspectd.toml", *more)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def await_alarms(tmp_path: Path) -> list[dict[str, Any]]:
    socket = socket_path(tmp_path)
    await_state(socket, lambda state: state["frames"] == GOOD + BAD)
    wait_until(lambda: ask(socket, "alarms/list")["counts"]["alarms"] >= BAD, what="the alarms")
    wait_until(lambda: ask(socket, "alarms/list")["alarms"][0]["peak"] is not None)
    alarms: list[dict[str, Any]] = ask(socket, "alarms/list")["alarms"]
    return alarms


def test_judgement_is_published_listed_exported_and_survives(config: Path, tmp_path: Path, broker: Mosquitto) -> None:
    subscriber = Subscriber(broker, "inspectd/plant/line1/alarm/+/verdict")
    with running_service(config) as service:
        alarms = await_alarms(tmp_path)
        bad, good = alarms[0], alarms[1]
        assert bad["origin"] is not None
        await_online(broker)
        request = {"alarm": bad["id"], "verdict": "true", "by": "Anna", "kind": "chequer", "note": "deep"}
        subscriber.publish("inspectd/plant/line1/command/alarms/judge", json.dumps(request).encode())
        wait_until(lambda: subscriber.messages, what="the verdict")
        done = inspectd("alarms", "judge", good["id"][-9:], "--false", "--by", "Ben", "--config", config)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: len(subscriber.messages) == 2, what="the second verdict")
        first, second = (json.loads(message.payload) for message in subscriber.messages)
        assert subscriber.messages[0].topic == f"inspectd/plant/line1/alarm/{bad['id']}/verdict"
        assert (first["schema"], first["verdict"], first["by"]) == ("inspectd.verdict/1", "true", "Anna")
        assert (first["kind"], first["note"], first["origin"]) == ("chequer", "deep", bad["origin"])
        assert (second["id"], second["verdict"], second["number"]) == (good["id"], "false", first["number"] + 1)
        counts = ask(socket_path(tmp_path), "alarms/list")["counts"]
        assert (counts["true"], counts["false"]) == (1, 1)
        status = ask(socket_path(tmp_path), "status")["delivery"]["outbox"]
        assert status["sequence"] == 2 * counts["alarms"] - (service.lines["line1"].station.active_alarm_id is not None)
    subscriber.close()
    assert [alarm["id"] for alarm in listed(tmp_path, "--verdict", "true")["alarms"]] == [bad["id"]], "stopped"
    assert inspectd("alarms", "judge", bad["id"], "--true", "--config", config).returncode == 1, "needs a running agent"
    shown = json.loads(inspectd("alarms", "show", bad["id"], "--json", "--config", config).stdout)
    assert [each["by"] for each in shown["judgements"]] == ["Anna"]
    check_export(config, tmp_path, bad, good)


def check_export(config: Path, tmp_path: Path, bad: dict[str, Any], good: dict[str, Any]) -> None:
    out = tmp_path / "out"
    done = json.loads(inspectd("alarms", "export", out, "--json", "--config", config).stdout)
    assert (done["bad"], done["good"], done["samples"], done["missing"]) == (1, 5, 4, [])
    exported = cv2.imread(str(out / "bad" / f"line1-{bad['id']}.png"), cv2.IMREAD_UNCHANGED)
    original = cv2.imread(str(tmp_path / "parts" / bad["origin"]), cv2.IMREAD_UNCHANGED)
    assert (exported == original).all(), "the image of the source, bit for bit"
    assert (out / "good" / f"line1-{good['id']}.png").exists()
    assert len((out / "alarms.csv").read_text().splitlines()) == 3
    again = inspectd("alarms", "export", out, "--config", config)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    evict(tmp_path, bad["id"])
    done = json.loads(inspectd("alarms", "export", tmp_path / "late", "--json", "--config", config).stdout)
    assert done["missing"] == [bad["id"]]


def evict(tmp_path: Path, alarm: str) -> None:
    """As the limits on disk space do it."""
    for path in (tmp_path / "state").rglob(f"*{alarm}*"):
        for file in [path] if path.is_file() else list(path.iterdir()):
            file.unlink()


def test_certificate_and_broken_promise_are_in_status_state_and_event(
    config: Path, tmp_path: Path, broker: Mosquitto
) -> None:
    """The budget is 1 per 100 frames, and six of the last frames alarm."""
    subscriber = Subscriber(broker, "inspectd/plant/line1/event")
    with running_service(config):
        alarms = await_alarms(tmp_path)
        socket = socket_path(tmp_path)
        state = await_state(socket, lambda state: state["broken_promise"] is not None)
        assert "the promise is broken: about" in state["broken_promise"]["text"]
        wait_until(lambda: subscriber.messages, what="the event")
        event = json.loads(subscriber.messages[0].payload)
        assert (event["event"], event["calibration"]) == ("promise_broken", state["calibration"])
        assert event["rate"] > 2
        printed = inspectd("status", "--config", config).stdout
        assert "PROMISE: the promise is broken" in printed
        for alarm in alarms:
            ask(socket, "alarms/judge", alarm=alarm["id"], verdict="true")
        state = await_state(socket, lambda state: state["broken_promise"] is None)
        spans = state["certificate"]["spans"]
        assert spans == pytest.approx((GOOD + BAD - 60) / 100), "those judged since the window of 60"
    with running_service(config):
        again = await_status(socket_path(tmp_path), lambda status: status["cameras"]["line1"]["phase"] == "armed")
        assert again["cameras"]["line1"]["broken_promise"] is None
    subscriber.close()


@pytest.mark.parametrize(
    ("command", "fields", "error"),
    [
        ("alarms/judge", {"alarm": "0195", "verdict": "true"}, "no alarm has the id 0195"),
        ("alarms/judge", {"alarm": "0195", "verdict": "maybe"}, "verdict"),
        ("alarms/show", {"alarm": "../x"}, "wanted one from `inspectd alarms list`"),
        ("alarms/export", {"name": "../../etc"}, "name"),
        ("alarms/export", {"name": ".hidden"}, "name"),
        ("alarms/list", {"limit": 0}, "limit"),
    ],
)
def test_bad_request_is_one_line(service: Any, command: str, fields: dict[str, Any], error: str) -> None:
    with pytest.raises(Permanent, match=error) as raised:
        ask(service.settings.socket_path, command, **fields)
    assert str(raised.value).isprintable()


def test_command_line_explains_a_missing_state_directory(tmp_path: Path, tiny_bundle: Bundle) -> None:
    config = configure(tmp_path, tiny_bundle, 'kind = "simulator"')
    for command in (("list",), ("show", "0195"), ("export", str(tmp_path / "out"))):
        done = inspectd("alarms", *command, "--config", config)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert "no such file; wanted the state directory of an agent" in done.stderr


def test_judged_alarms_enter_the_next_calibration_and_measure_its_recall(tmp_path: Path, tiny_bundle: Bundle) -> None:
    """Confirmed false alarms raise the threshold; the preview counts the confirmed defects that it still finds."""
    source = 'kind = "simulator"\nframes_per_second = 100.0\ngood_frames = 120\ndefect_rate = 0.2'
    config = configure(tmp_path, tiny_bundle, source)
    with running_service(config):
        socket = socket_path(tmp_path)
        wait_until(lambda: ask(socket, "alarms/list")["counts"]["alarms"] >= 12, what="alarms")
        alarms = [alarm for alarm in ask(socket, "alarms/list")["alarms"] if alarm["cleared_at"] is not None][:10]
        by_peak = sorted(alarms, key=lambda alarm: alarm["peak"])
        for index, alarm in enumerate(by_peak):
            # The second highest is good, and with it all below but the lowest.
            ask(
                socket, "alarms/judge", alarm=alarm["id"], verdict="true" if index in (0, len(by_peak) - 1) else "false"
            )
        ask(socket, "recalibrate", false_alarms="1 per 100000 frames", fresh=True, dry_run=True, frames=60)
        status = await_status(socket, lambda status: status["recalibrations"].get("line1") is not None)
        preview = status["recalibrations"]["line1"]
        assert preview["threshold"] >= by_peak[-2]["peak"]
        assert preview["confirmed_defects"] == 2
        found = sum(by_peak[at]["peak"] > preview["threshold"] for at in (0, -1))
        assert preview["still_found"] == found < 2
        assert f"it finds {found} of 2 confirmed defects" in preview["sentence"]
        shown = ask(socket, "calibration/show", of=preview["calibration"])
        assert (shown["confirmed_defects"], shown["still_found"]) == (2, found)
