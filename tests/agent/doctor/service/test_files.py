"""Files that the sandbox hides from the service, or that its user may not read."""

from __future__ import annotations

from pathlib import Path

from agent.doctor import Level
from agent.doctor.service.files import HIDDEN, check_files
from agent.settings.load import load_settings
from tests.support.check_results import Configure, levels, only


def readable_by_everybody(*paths: Path) -> None:
    """Open a path and the folders above it, as far as they belong to pytest."""
    for path in paths:
        for part in (path, *path.parents):
            if any(above.name.startswith("pytest-") for above in (part, *part.parents)):
                part.chmod(0o755)


def test_files_that_the_unit_hides_are_problems(configure: Configure, tmp_path: Path) -> None:
    config = configure(source=f'{{ kind = "folder", path = "{tmp_path / "parts"}" }}')
    results = list(check_files(load_settings(config), config, hidden=(*HIDDEN, tmp_path)))
    assert f"the unit hides {config} from the service" in results[0].text
    assert f"the unit hides {tmp_path / 'parts'} from the service" in results[-1].text
    assert set(levels(results)) == {Level.PROBLEM}


def test_settings_that_only_their_owner_may_read_are_a_problem(configure: Configure, tmp_path: Path) -> None:
    config = configure()
    settings = load_settings(config)
    readable_by_everybody(config, settings.cameras["line1"].bundle)
    assert only(check_files(settings, config, hidden=())).level is Level.OK
    config.chmod(0o600)
    result = only(check_files(settings, config, hidden=()))
    assert result.text == f"the service may not read {config}"
    assert result.fix == f"sudo chmod -R o+rX {config}"


def test_source_that_does_not_exist_is_a_problem(configure: Configure, tmp_path: Path) -> None:
    config = configure(source=f'{{ kind = "video", path = "{tmp_path / "line.mp4"}" }}')
    settings = load_settings(config)
    readable_by_everybody(config, settings.cameras["line1"].bundle)
    assert only(check_files(settings, config, hidden=())).text == f"{tmp_path / 'line.mp4'}: No such file or directory"
