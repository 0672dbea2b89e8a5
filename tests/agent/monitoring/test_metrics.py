"""What Prometheus reads from a running agent, and whether the dashboard shows it."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from agent.core.errors import Permanent
from agent.monitoring.metrics_server import MetricsServer
from agent.monitoring.temperature import temperatures
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.broker import Mosquitto, free_port, wait_until

DASHBOARD = Path(__file__).parents[3] / "docs" / "grafana-dashboard.json"

# One of fifty good frames alarms: something is raised and delivered within seconds.
CALIBRATION = 'frames = 60\nmax_frames = 60\nfalse_alarms = "1 per 50 frames"'
SOURCE = """\
kind = "simulator"
frames_per_second = 100.0
good_frames = 100
defect_rate = 0.2
faults = [{ kind = "black", start_frame = 300, duration_seconds = 2.0 }]"""

Families = dict[str, Metric]


def parsed(text: str) -> Families:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: Families, name: str, **labels: str) -> float:
    samples = [sample for family in families.values() for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def over_port(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def over_socket(path: Path) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200"), head
    return body.decode()


def metrics_settings(bundle: Bundle, broker: Mosquitto, where: str) -> str:
    """Settings of an agent that can be asked there."""
    return settings_text(bundle.path, SOURCE, url=broker.url, calibration=CALIBRATION, sections=f"[metrics]\n{where}")


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Families:
    """The metrics of a real agent that has calibrated, alarmed, gone blind and delivered."""
    directory = tmp_path_factory.mktemp("metrics")
    broker = Mosquitto(directory / "broker").start()
    port = free_port()
    settings = metrics_settings(tiny_bundle, broker, f"port = {port}")
    (directory / "inspectd.toml").write_text(settings)
    command = [sys.executable, "-m", "agent.cli", "run", "--config", str(directory / "inspectd.toml")]
    with (directory / "log").open("w") as log:
        agent = subprocess.Popen(command, stderr=log)
    found: Families = {}

    def settled() -> bool:
        nonlocal found
        try:
            found = parsed(over_port(port))
        except OSError:
            assert agent.poll() is None, (directory / "log").read_text()
            return False
        alarms = [value(found, "inspectd_alarms_total", kind=kind) for kind in ("defect", "camera")]
        return min(alarms) > 0 and value(found, "inspectd_phase", phase="armed") == 1

    try:
        wait_until(settled, seconds=60, what="an alarm of each kind, and inspecting again")
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(20)
        broker.stop()
    return found


def test_frames_latency_and_scores_are_told(scraped: Families) -> None:
    frames = value(scraped, "inspectd_frames_total", camera="line1")
    assert frames > 80, "the window and more"
    assert frames + value(scraped, "inspectd_frames_dropped_total", camera="line1") > 300
    for stage in ("queue", "engine", "station", "verdict"):
        count = value(scraped, "inspectd_latency_seconds_count", camera="line1", stage=stage)
        assert abs(count - frames) <= 2, "a frame may be under way"
    parts = [value(scraped, "inspectd_latency_seconds_sum", stage=stage) for stage in ("queue", "engine", "station")]
    assert sum(parts) == pytest.approx(value(scraped, "inspectd_latency_seconds_sum", stage="verdict"), rel=0.05)
    assert value(scraped, "inspectd_threshold", camera="line1") > 0
    assert 0 < value(scraped, "inspectd_score_count", camera="line1") < frames, "without the black ones"
    assert 0 < value(scraped, "inspectd_score_ratio_count", camera="line1") < frames, "judged ones only"
    assert value(scraped, "inspectd_frames_per_second", camera="line1") > 0


def test_delivery_is_told(scraped: Families) -> None:
    assert value(scraped, "inspectd_broker_connected") == 1
    assert value(scraped, "inspectd_delivery_seconds_count") > 0
    reasons = {sample.labels["reason"] for sample in scraped["inspectd_publish_failures"].samples}
    assert reasons == {"refused", "picture_too_big", "picture_dropped", "alarm_dropped"}
    assert value(scraped, "inspectd_info") == 1


def test_a_camera_is_in_one_phase(scraped: Families) -> None:
    samples = [sample for sample in scraped["inspectd_phase"].samples if sample.labels["camera"] == "line1"]
    assert {"armed", "blind", "camera_lost"} <= {sample.labels["phase"] for sample in samples}
    assert sum(sample.value for sample in samples) == 1


def queries() -> set[str]:
    document = json.loads(DASHBOARD.read_text())
    found: list[str] = [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]
    found += [variable["query"]["query"] for variable in document["templating"]["list"] if variable["type"] == "query"]
    return {name for query in found for name in re.findall(r"\b(?:inspectd|process)_\w+", query)}


def series_of(family: Metric) -> set[str]:
    """The names under which a family of this kind is stored."""
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
    return {family.name + ending for ending in endings.get(family.type, ("",))}


def test_every_metric_that_the_dashboard_queries_exists(scraped: Families) -> None:
    known = set().union(*map(series_of, scraped.values()))
    assert queries() - known == set()


def test_every_metric_is_on_the_dashboard(scraped: Families) -> None:
    ours = [family for family in scraped.values() if family.name.startswith("inspectd")]
    assert len(ours) >= 19
    assert [family.name for family in ours if not series_of(family) & queries()] == []


def test_every_metric_is_in_the_table(scraped: Families) -> None:
    text = (DASHBOARD.parent / "metrics.md").read_text()
    listed = set(re.findall(r"^\| `(inspectd_\w+)`", text, re.MULTILINE))
    ours = {family.name + ("_total" if family.type == "counter" else "") for family in scraped.values()}
    assert listed == {name for name in ours if name.startswith("inspectd")}


def test_panels_of_the_dashboard_do_not_overlap() -> None:
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


@pytest.fixture
def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("parts", "Parts.", registry=made).inc(3)
    return made


def test_a_unix_socket_serves_owner_and_group(tmp_path: Path, registry: CollectorRegistry) -> None:
    path = tmp_path / "run" / "metrics.sock"
    server = MetricsServer(registry, socket=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert value(parsed(over_socket(path)), "parts_total") == 3
    server.close()
    assert not path.exists()


def test_the_socket_of_a_killed_agent_is_replaced(tmp_path: Path, registry: CollectorRegistry) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    server = MetricsServer(registry, socket=path)
    assert value(parsed(over_socket(path)), "parts_total") == 3
    server.close()


def test_the_port_is_one_of_this_machine_alone(registry: CollectorRegistry) -> None:
    port = free_port()
    server = MetricsServer(registry, port=port)
    assert value(parsed(over_port(port)), "parts_total") == 3
    with socket.socket() as outside:
        # Any other address of this machine: 127.0.0.2 is its own too.
        assert outside.connect_ex(("127.0.0.2", port)) != 0
    server.close()


@pytest.mark.parametrize("place", ["taken port", "file", "long"])
def test_a_place_that_cannot_be_had_is_one_line(tmp_path: Path, registry: CollectorRegistry, place: str) -> None:
    (tmp_path / "file").write_text("somebody's")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where: dict[str, dict[str, Any]] = {
            "taken port": {"port": taken.getsockname()[1]},
            "file": {"socket": tmp_path / "file"},
            "long": {"socket": tmp_path / ("x" * 120)},
        }
        with pytest.raises(Permanent, match="metrics") as caught:
            MetricsServer(registry, **where[place])
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "somebody's"


def test_temperatures_are_read_where_the_kernel_tells(tmp_path: Path) -> None:
    zones = {"0": ("CPU-therm", "51500"), "1": ("GPU-therm", ""), "2": ("PMIC", "hot"), "10": ("CPU-therm", "-4000")}
    for number, (kind, degrees) in zones.items():
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(f"{kind}\n")
        if degrees:
            (zone / "temp").write_text(f"{degrees}\n")
    assert list(temperatures(tmp_path)) == [("CPU-therm", 51.5), ("CPU-therm-10", -4.0)]
    assert list(temperatures(tmp_path / "nothing")) == []


def test_without_the_setting_nothing_of_it_is_loaded() -> None:
    code = "import sys, agent.service.service, agent.cli; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_agent_serves_a_socket_beside_its_settings(
    tmp_path: Path, tiny_bundle: Bundle, mosquitto: Callable[..., Mosquitto]
) -> None:
    settings = metrics_settings(tiny_bundle, mosquitto(), 'socket = "metrics.sock"')
    (tmp_path / "inspectd.toml").write_text(settings)
    command = [sys.executable, "-m", "agent.cli", "run", "--config", str(tmp_path / "inspectd.toml")]
    agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until((tmp_path / "metrics.sock").exists, seconds=60, what="the socket")
        wait_until(lambda: value(parsed(over_socket(tmp_path / "metrics.sock")), "inspectd_frames_total") > 0)
    finally:
        agent.terminate()
        agent.wait(20)
    assert not (tmp_path / "metrics.sock").exists()
