"""Two services on one machine cannot have the same place in a broker's topic tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.service.single_instance import SingleInstance
from agent.settings.load import load_settings
from tests.support.agent_settings import settings_text
from tests.support.broker import free_port

HOLDER = """
import sys, time
from pathlib import Path
from agent.settings.load import load_settings
from agent.service.single_instance import SingleInstance
instance = SingleInstance(load_settings(Path(sys.argv[1])))
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
        with pytest.raises(Permanent, match="site 'plant': another inspectd service on this machine uses it"):
            SingleInstance(load_settings(config))
    finally:
        holder.kill()
        holder.communicate()
    SingleInstance(load_settings(config)).release()


@pytest.mark.parametrize("change", [["site=annex", "mqtt.topic_template=inspectd/plant"], ["mqtt.url={localhost}"]])
def test_same_topics_are_the_same_place(config: Path, change: list[str]) -> None:
    first = SingleInstance(load_settings(config))
    localhost = load_settings(config).mqtt.url.replace("127.0.0.1", "localhost")
    with pytest.raises(Permanent, match="wanted another site for each instance"):
        SingleInstance(load_settings(config, [override.format(localhost=localhost) for override in change]))
    first.release()


@pytest.mark.parametrize("change", ["site=plant-2", "mqtt.prefix=other", "mqtt.url=mqtt://192.0.2.10"])
def test_another_site_or_another_broker_is_another_place(config: Path, change: str) -> None:
    first, second = SingleInstance(load_settings(config)), SingleInstance(load_settings(config, [change]))
    for reserved in (load_settings(config), load_settings(config, [change])):
        with pytest.raises(Permanent):
            SingleInstance(reserved)
    first.release()
    second.release()
