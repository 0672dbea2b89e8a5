"""The time limit of cameras that see the same part."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.doctor import Level
from agent.doctor.view_groups import check_view_groups
from agent.settings.load import load_settings
from tests.support.check_results import Configure, only


@pytest.mark.parametrize(("within", "level"), [("3 s", Level.OK), ("2 s", Level.WARNING)])
def test_time_limit_leaves_triggered_cameras_their_time(configure: Configure, within: str, level: Level) -> None:
    config: Path = configure()
    triggered = '{source={kind="simulator"}, bundle="x.bundle", parts={trigger=true}}'
    group = f'{{cameras=["line1", "line2"], within="{within}"}}'
    more = [f"cameras={{line1={triggered}, line2={triggered}}}", f"parts.p1={group}"]
    result = only(check_view_groups(load_settings(config, more)))
    assert (result.level, result.subject) == (level, "parts.p1")
    assert result.fix == (None if level is Level.OK else 'within = "3 s" in the settings')
