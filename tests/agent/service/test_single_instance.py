"""Two agents cannot have the same state directory, nor two services the same place in a broker's topic tree."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.service.single_instance import DirectoryLock, SingleInstance
from agent.settings import Settings
from agent.settings.load import load_settings
from tests.support.agent_settings import settings_text
from tests.support.broker import free_port

HOLDER = """
import sys, time
from pathlib import Path
from agent.settings.load import load_settings
from agent.service.single_instance import DirectoryLock, SingleInstance
settings = load_settings(Path(sys.argv[1]))
settings.state_directory.mkdir(exist_ok=True)
lock, instance = DirectoryLock(settings.state_directory), SingleInstance(settings, Path(sys.argv[1]).parent)
print("reserved", flush=True)
time.sleep(60)
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings with a broker that no other test has."""
    source = 'kind = "simulator"'
    (tmp_path / "line1.toml").write_text(settings_text(tmp_path, source, url=f"mqtt://127.0.0.1:{free_port()}"))
    return tmp_path / "line1.toml"


def test_site_is_reserved_until_its_service_is_killed(config: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(config)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "reserved\n"
        settings = load_settings(config)
        with pytest.raises(Permanent, match="another agent uses this state directory"):
            DirectoryLock(settings.state_directory)
        with pytest.raises(Permanent, match=r"site 'plant': another inspectd service .* uses it \(line1, "):
            SingleInstance(_with_other_state(settings), config.parent)
    finally:
        holder.kill()
        holder.communicate()
    SingleInstance(settings).release()
    DirectoryLock(settings.state_directory).release()


def test_name_that_another_program_has_taken_keeps_no_service_from_starting(config: Path) -> None:
    """Any local user can take it. The settings of the services, which root writes, explain it or do not."""
    settings = load_settings(config)
    first = SingleInstance(settings, config.parent)
    (config.parent / "broken.toml").write_text("site = ")
    second = SingleInstance(settings, config.parent)
    (text,) = second.unexplained
    assert re.match(r"site 'plant': another program on this machine has reserved it \(127.0.0.1:\d+ topics", text)
    assert first.unexplained == []
    first.release()
    second.release()


def test_state_directory_is_locked_until_it_is_released(tmp_path: Path) -> None:
    first = DirectoryLock(tmp_path)
    with pytest.raises(Permanent, match=f"{tmp_path}: another agent uses this state directory; stop it, or set"):
        DirectoryLock(tmp_path)
    first.release()
    DirectoryLock(tmp_path).release()
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def _with_other_state(settings: Settings) -> Settings:
    """The settings of another service that differ in the state directory only."""
    return settings.model_copy(update={"state_directory": settings.state_directory / "other"})


@pytest.mark.parametrize("change", [["site=annex", "mqtt.topic_template=inspectd/plant"], ["mqtt.url={localhost}"]])
def test_same_topics_are_the_same_place(config: Path, change: list[str]) -> None:
    first = SingleInstance(load_settings(config), config.parent)
    localhost = load_settings(config).mqtt.url.replace("127.0.0.1", "localhost")
    second = load_settings(config, [override.format(localhost=localhost) for override in change])
    with pytest.raises(Permanent, match="wanted another site for each instance"):
        SingleInstance(_with_other_state(second), config.parent)
    first.release()


@pytest.mark.parametrize("change", ["site=plant-2", "mqtt.prefix=other", "mqtt.url=mqtt://192.0.2.10"])
def test_another_site_or_another_broker_is_another_place(config: Path, change: str) -> None:
    first, second = SingleInstance(load_settings(config)), SingleInstance(load_settings(config, [change]))
    for reserved in (load_settings(config), load_settings(config, [change])):
        assert SingleInstance(reserved).unexplained
    first.release()
    second.release()
