"""A disk that is full when the agent starts, or at any folder that it writes to: a line with advice, or it goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engines.bundles import Bundle
from tests.support.agents import INSPECTD, Starter, await_state, configure, is_armed, socket_path, stop
from tests.support.agents import write_good_and_bad_parts as write_parts
from tests.support.small_disk import fill, mounted

GOOD, BAD = 70, 3
ADVICE = "the disk is full; free some space on"


@pytest.fixture
def full(tmp_path: Path, tiny_bundle: Bundle) -> Iterator[Path]:
    """Settings for a folder of parts; the test fills what it likes below the state directory."""
    parts = tmp_path / "parts"
    write_parts(parts, good=GOOD, bad=BAD)
    configure(tmp_path, tiny_bundle, f'kind = "folder"\npath = "{parts}"\nfollow = true')
    return tmp_path


@pytest.fixture
def disks() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def fill_disk(disks: ExitStack, folder: Path) -> None:
    fill(disks.enter_context(mounted(folder, "64k")) / "filler")


@pytest.mark.parametrize("place", [".", "review"])
def test_agent_that_needs_the_full_disk_ends_with_one_line(full: Path, disks: ExitStack, place: str) -> None:
    """Where alarms are kept, and where they are judged."""
    fill_disk(disks, full / "state" / place)
    done = subprocess.run(
        [*INSPECTD, "run", "--config", str(full / "inspectd.toml")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert ADVICE in done.stderr.splitlines()[-1]
    assert str(full / "state") in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("place", "reported"),
    [
        ("audit", False),
        ("engines", False),
        ("evidence", True),
        ("cameras", True),
        # By `problems` in `status`, once the first 128 scores are written.
        ("cameras/line1/scores", False),
        ("cameras/line1/calibrations", True),
    ],
)
def test_agent_inspects_beside_a_full_disk_and_stops_without_an_error(
    full: Path, start: Starter, disks: ExitStack, place: str, reported: bool
) -> None:
    """Ledger, window, product and attempts are in `cameras`. Nothing is raised at the end, when files are closed."""
    fill_disk(disks, full / "state" / place)
    process = start()
    await_state(socket_path(full), lambda state: is_armed(state) and state["frames"] == GOOD + BAD, 120.0)
    code, log = stop(process)
    assert code == 0, log
    assert "Traceback" not in log
    assert ("free some space" in log) is reported, log
