"""Settings for the doctor to check."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.bundles.bundle import Bundle
from tests.support.check_results import Configure

SETTINGS = """\
site = "plant"
state_directory = "{state}"
max_evidence_size = "10 MiB"
max_outbox_size = "10 MiB"
[mqtt]
url = "{url}"
{mqtt}
[cameras.line1]
bundle = "{bundle}"
source = {source}
"""
SIMULATOR = '{ kind = "simulator", frames_per_second = 50.0 }'


@pytest.fixture
def configure(tmp_path: Path, tiny_bundle: Bundle) -> Configure:
    """Writes settings. Without arguments everything in them works, except that no broker is running."""

    def write(source: str = SIMULATOR, url: str = "mqtt://127.0.0.1:1", mqtt: str = "", bundle: object = None) -> Path:
        config = tmp_path / "line1.toml"
        text = SETTINGS.format(
            state=tmp_path / "state", url=url, mqtt=mqtt, bundle=bundle or tiny_bundle.path, source=source
        )
        config.write_text(text)
        return config

    return write
