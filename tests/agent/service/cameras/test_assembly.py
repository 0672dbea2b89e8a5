"""Cameras built from settings, with a real bundle, real engines and a real outbox."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.alarms import ActiveAlarm
from agent.core.records import AlarmKind
from agent.inspection import Outcome
from agent.outputs import state_key
from agent.outputs.outbox import Entry, Outbox
from agent.service.cameras import Assembly
from agent.service.sd_notify import Notifier
from agent.service.watchdog import Watchdog
from agent.settings import Settings, load_settings
from engines.bundles.bundle import Bundle
from engines.errors import BundleError
from tests.support.agent_settings import settings_text
from tests.support.notified import Manager

SOURCE = 'kind = "simulator"\nmax_frames = 40'


@pytest.fixture
def settings(tmp_path: Path, tiny_bundle: Bundle) -> Settings:
    """An agent with two cameras on one bundle."""
    config = tmp_path / "inspectd.toml"
    text = settings_text(tiny_bundle.path, SOURCE)
    config.write_text(text + text[text.index("[cameras.line1]") :].replace("line1", "line2"))
    return load_settings(config)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Outbox(tmp_path / "outbox.sqlite")
    yield opened
    opened.close()


def assembly(settings: Settings, outbox: Outbox, outcomes: list[Outcome], watchdog: Watchdog | None = None) -> Assembly:
    return Assembly(settings, active_alarms=outbox.state(), watchdog=watchdog or Watchdog(), on_outcome=outcomes.append)


def test_cameras_with_one_bundle_share_an_engine_and_its_thread(settings: Settings, outbox: Outbox) -> None:
    lines = assembly(settings, outbox, []).build()
    first, second = lines.values()
    assert list(lines) == ["line1", "line2"]
    assert (first.engine, first.inspection, first.frames) == (second.engine, second.inspection, second.frames)
    assert first.station is not second.station
    assert first.capture is not second.capture
    assert first.score_log.directory != second.score_log.directory
    first.engine.close()


def test_frames_of_each_camera_are_judged_by_its_own_station(settings: Settings, outbox: Outbox) -> None:
    """Run for real, to the end of both sources; live cameras may drop frames."""
    outcomes: list[Outcome] = []
    lines = assembly(settings, outbox, outcomes).build()
    (inspection,) = {line.inspection for line in lines.values()}
    inspection.start()
    for line in lines.values():
        line.capture.start()
    for line in lines.values():
        line.capture.join(60)
    lines["line1"].frames.close()
    inspection.join(60)
    assert not inspection.is_alive()
    for name, line in lines.items():
        judged = [outcome for outcome in outcomes if outcome.frame.camera == name]
        assert len(judged) + line.dropped == 40
        assert [outcome.frame.index for outcome in judged] == sorted({outcome.frame.index for outcome in judged})
    lines["line1"].engine.close()


@pytest.mark.parametrize("kind", list(AlarmKind))
def test_alarm_that_was_active_is_active_again(settings: Settings, outbox: Outbox, kind: AlarmKind) -> None:
    """From the outbox, as the recorder wrote it before the agent was stopped."""
    state = {state_key("line2", kind): ActiveAlarm("a1", 2.5, "lost: no frames").to_json()}
    outbox.accept_together([Entry("line2", lambda sequence: [], state=state)])
    lines = assembly(settings, outbox, []).build()
    assert lines["line1"].station.active_alarm_id is None
    assert lines["line2"].station.active_alarm_id == "a1"
    lines["line1"].engine.close()


def test_opening_an_engine_extends_the_start_of_the_service(tmp_path: Path, settings: Settings, outbox: Outbox) -> None:
    manager = Manager(tmp_path / "notify")
    lines = assembly(settings, outbox, [], Watchdog(Notifier(manager.address))).build()
    assert "STATUS=line1: opening its engine (auto)" in manager.receive()
    assert manager.messages[0].startswith("EXTEND_TIMEOUT_USEC=")
    manager.close()
    lines["line1"].engine.close()


def test_bundle_that_is_missing_is_an_error(settings: Settings, outbox: Outbox, tmp_path: Path) -> None:
    camera = settings.cameras["line1"].model_copy(update={"bundle": tmp_path / "none"})
    with pytest.raises(BundleError, match="none"):
        assembly(settings.model_copy(update={"cameras": {"line1": camera}}), outbox, []).build()


def test_engine_is_logged_once_with_its_reason(
    settings: Settings, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="agent.service"):
        lines = assembly(settings, outbox, []).build()
    engine = lines["line1"].engine
    assert [text for text in caplog.messages if text.startswith("engine ")] == [
        f"engine {engine.name} ({engine.detail}): {engine.reason}"
    ]
    engine.close()
