"""Everything below the state directory belongs to its owner alone, also after an upgrade."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.service.private_state import keep_private
from engines.bundles import Bundle
from tests.support.agents import GOOD_PARTS, Starter, await_state, configure, is_armed, socket_path, stop
from tests.support.broker import wait_until


@pytest.fixture
def umask() -> Iterator[None]:
    """The usual umask of a system, and afterwards the one of before."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Files and folders below `folder`, and itself, that others may use; the socket, which is for the group, aside."""
    found = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink() and not path.is_socket()]
    return [str(path) for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_files_of_an_agent_are_for_its_owner_only(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, umask: None
) -> None:
    """With calibrations, scores, an outbox with images, evidence, and the engine's kept files."""
    source = GOOD_PARTS.replace("100000", "100") + "\ndefect_rate = 0.2"
    configure(tmp_path, tiny_bundle, source)
    process = start()
    await_state(socket_path(tmp_path), is_armed)
    state = tmp_path / "state"
    wait_until(lambda: list((state / "evidence").rglob("*.jpg")), what="images of an alarm")
    assert stop(process)[0] == 0
    assert {path.name for path in state.iterdir()} >= {"outbox.sqlite", "outbox.sqlite.pictures", "evidence", "cameras"}
    assert list(state.rglob("calibrations/*.json"))
    assert open_to_others(state) == []


def test_files_of_an_earlier_version_are_closed_and_those_of_people_left_alone(tmp_path: Path, umask: None) -> None:
    for folder in ("cameras/line1/calibrations", "evidence/line1", "outbox.sqlite.pictures", "bundles"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("outbox.sqlite", "outbox.sqlite.reserve", "notes.txt"):
        (tmp_path / file).write_text("x")
    (tmp_path / "elsewhere").write_text("x")
    (tmp_path / "outbox.sqlite.link").symlink_to(tmp_path / "elsewhere")
    keep_private(tmp_path)
    assert {path.name for path in tmp_path.iterdir() if str(path) in open_to_others(tmp_path)} == {
        "bundles", "notes.txt", "elsewhere",
    }  # fmt: skip
    (tmp_path / "new").write_text("x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_state_directory_that_does_not_exist_is_created_for_its_owner(tmp_path: Path, umask: None) -> None:
    keep_private(tmp_path / "state")
    (tmp_path / "state").mkdir()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
