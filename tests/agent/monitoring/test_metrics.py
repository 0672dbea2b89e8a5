"""The metrics of a running agent, the dashboard that shows them and the page that describes them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from agent.inspection import CameraState
from agent.service import Service
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.agents import agent_processes, running_service, stop
from tests.support.broker import Mosquitto, free_port, wait_until
from tests.support.scraping import Families, parsed, scrape_port, scrape_socket, value

DASHBOARD = Path(__file__).parents[3] / "docs" / "grafana-dashboard.json"

# A fifth of the parts is bad, and the camera is black for two seconds: alarms of both kinds are raised and delivered.
FRAMES = 700
SOURCE = f"""\
kind = "simulator"
frames_per_second = 100.0
good_frames = 100
defect_rate = 0.2
max_frames = {FRAMES}
faults = [{{ kind = "black", start_frame = 300, duration_seconds = 2.0 }}]"""
CALIBRATION = 'frames = 60\nmax_frames = 60\nfalse_alarms = "1 per 50 frames"'


def metrics_settings(bundle: Bundle, broker: Mosquitto, place: str) -> str:
    """Settings of an agent that serves its metrics at `place`."""
    return settings_text(bundle.path, SOURCE, url=broker.url, calibration=CALIBRATION, sections=f"[metrics]\n{place}")


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Families:
    """The metrics of an agent that has inspected every frame of its source and delivered every alarm."""
    directory = tmp_path_factory.mktemp("metrics")
    broker = Mosquitto(directory / "broker").start()
    port, config = free_port(), directory / "inspectd.toml"
    config.write_text(metrics_settings(tiny_bundle, broker, f"port = {port}"))
    try:
        with running_service(config) as service:
            await_end(service, port)
            return parsed(scrape_port(port))
    finally:
        broker.end()


def await_end(service: Service, port: int) -> None:
    """Until nothing is under way any more, so that all counts are exact."""
    line, (output,) = service.lines["line1"], service.outputs
    wait_until(lambda: line.capture.status.state is CameraState.ENDED, seconds=120, what="the end of the source")
    wait_until(lambda: not line.frames.busy, what="every frame taken")
    # This call runs after the frame that was taken last; then the recorder has every alarm.
    line.call(lambda: None)
    found = parsed(scrape_port(port))
    messages = 2 * value(found, "inspectd_alarms_total") - value(found, "inspectd_alarm_standing")
    wait_until(lambda: output.report().outbox.sequence == messages, what=f"{messages:g} alarm messages recorded")
    wait_until(lambda: output.report().outbox.waiting == 0, what="every message acknowledged")


def test_frames_latency_and_scores_are_exact(scraped: Families) -> None:
    frames = value(scraped, "inspectd_frames_total", camera="line1")
    assert frames > 80, "the window and more"
    assert frames + value(scraped, "inspectd_frames_dropped_total", camera="line1") == FRAMES
    stages = ("queue", "engine", "station", "verdict")
    counts = [value(scraped, "inspectd_latency_seconds_count", camera="line1", stage=stage) for stage in stages]
    assert counts == [frames] * 4
    *parts, verdict = [value(scraped, "inspectd_latency_seconds_sum", camera="line1", stage=stage) for stage in stages]
    assert sum(parts) == pytest.approx(verdict)
    assert value(scraped, "inspectd_threshold", camera="line1") > 0
    scores = value(scraped, "inspectd_score_count", camera="line1")
    assert 0 < scores < frames, "without the black frames"
    assert 0 < value(scraped, "inspectd_score_ratio_count", camera="line1") < scores, "without the window"
    assert value(scraped, "inspectd_frames_per_second", camera="line1") > 0


def test_alarms_and_their_delivery_are_exact(scraped: Families) -> None:
    raised = {kind: value(scraped, "inspectd_alarms_total", camera="line1", kind=kind) for kind in ("defect", "camera")}
    assert min(raised.values()) > 0
    active = value(scraped, "inspectd_alarm_standing", camera="line1")
    assert value(scraped, "inspectd_delivery_seconds_count") == 2 * sum(raised.values()) - active
    assert value(scraped, "inspectd_broker_connected") == 1
    assert value(scraped, "inspectd_outbox_messages") == 0
    reasons = {sample.labels["reason"]: sample.value for sample in scraped["inspectd_publish_failures"].samples}
    assert reasons == {"refused": 0, "picture_too_big": 0, "picture_dropped": 0, "alarm_dropped": 0}
    assert value(scraped, "inspectd_info") == 1


def test_camera_has_one_phase(scraped: Families) -> None:
    samples = {s.labels["phase"]: s.value for s in scraped["inspectd_phase"].samples if s.labels["camera"] == "line1"}
    assert {"armed", "blind", "camera_lost"} <= samples.keys()
    assert {phase for phase, current in samples.items() if current} == {"stopped"}, "the source is at its end"


def queries() -> set[str]:
    document = json.loads(DASHBOARD.read_text())
    found: list[str] = [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]
    found += [variable["query"]["query"] for variable in document["templating"]["list"] if variable["type"] == "query"]
    return {name for query in found for name in re.findall(r"\b(?:inspectd|process)_\w+", query)}


def series_of(family: Metric) -> set[str]:
    """The names under which a family of this kind is stored."""
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
    return {family.name + ending for ending in endings.get(family.type, ("",))}


def test_dashboard_queries_only_metrics_that_exist(scraped: Families) -> None:
    known = set().union(*map(series_of, scraped.values()))
    assert queries() - known == set()


def test_every_metric_is_on_the_dashboard(scraped: Families) -> None:
    ours = [family for family in scraped.values() if family.name.startswith("inspectd")]
    assert len(ours) >= 19
    assert [family.name for family in ours if not series_of(family) & queries()] == []


def test_every_metric_is_documented(scraped: Families) -> None:
    text = (DASHBOARD.parent / "metrics.md").read_text()
    listed = set(re.findall(r"^\| `(inspectd_\w+)`", text, re.MULTILINE))
    ours = {family.name + ("_total" if family.type == "counter" else "") for family in scraped.values()}
    assert listed == {name for name in ours if name.startswith("inspectd")}


def test_dashboard_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    document = json.loads(DASHBOARD.read_text())
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])


def test_prometheus_client_is_loaded_only_with_the_setting() -> None:
    code = "import sys, agent.service.service, agent.cli; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_agent_serves_a_socket_beside_its_settings(
    tmp_path: Path, tiny_bundle: Bundle, mosquitto: Callable[..., Mosquitto]
) -> None:
    settings = metrics_settings(tiny_bundle, mosquitto(), 'socket = "metrics.sock"')
    (tmp_path / "inspectd.toml").write_text(settings)
    with agent_processes(tmp_path / "inspectd.toml") as start:
        process = start()
        wait_until((tmp_path / "metrics.sock").exists, what="the socket")
        wait_until(lambda: value(parsed(scrape_socket(tmp_path / "metrics.sock")), "inspectd_frames_total") > 0)
        assert stop(process)[0] == 0
    assert not (tmp_path / "metrics.sock").exists()
