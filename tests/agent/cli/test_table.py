"""The table of commands: a new command is a file and a row, and `inspectd --help` stays quick."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.table import COMMANDS, GROUPS, HEADINGS

# Loading any of these takes longer than printing a help text may.
HEAVY = ("cv2", "numpy", "scipy", "pydantic", "paho", "torch", "onnxruntime", "engines.runtime", "calibration")

TOY = '''\
"""Commands for weighing."""

from typing import Annotated

import typer


def weigh(part: Annotated[str, typer.Argument(help="Id of the part.")], grams: float = 1.0) -> None:
    """Weigh a part."""
    print(f"{part}: {grams:g} g")
'''
PROGRAM = """\
import toy
from agent.cli import main
from agent.cli.app import build_app
from agent.cli.table import COMMANDS

main(build_app({**COMMANDS, "weigh": toy.weigh, "bundle weigh": toy.weigh}))
"""


def run_toy(folder: Path, *arguments: str) -> str:
    (folder / "toy.py").write_text(TOY)
    (folder / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), "COLUMNS": "120"}
    command = [sys.executable, str(folder / "program.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_new_command_is_a_file_and_a_row(tmp_path: Path) -> None:
    assert run_toy(tmp_path, "weigh", "p17", "--grams", "2.5") == "p17: 2.5 g\n"
    assert run_toy(tmp_path, "bundle", "weigh", "p17") == "p17: 1 g\n"


@pytest.mark.parametrize("group", [(), ("bundle",)])
def test_help_shows_a_new_command(tmp_path: Path, group: tuple[str, ...]) -> None:
    rows = run_toy(tmp_path, *group, "--help").splitlines()
    assert any(row.split()[1:5] == ["weigh", "Weigh", "a", "part."] for row in rows)


def test_every_command_has_a_help_text_and_every_group_has_commands() -> None:
    assert [name for name, command in COMMANDS.items() if not command.__doc__] == []
    around = {" ".join(name.split()[:depth]) for name in COMMANDS for depth in range(len(name.split()))}
    assert around == {"", *GROUPS}


def test_every_command_stands_under_one_heading() -> None:
    listed = [word for words in HEADINGS.values() for word in words]
    assert sorted(listed) == sorted({name.split()[0] for name in COMMANDS})


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys; sys.argv = ['inspectd', '--help']\n"
        "from agent.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert all(title in done.stdout for title in HEADINGS)
    assert done.stderr == "[]\n"


def processor_seconds_of_help() -> float:
    before = os.times()
    subprocess.run([sys.executable, "-m", "agent.cli", "--help"], capture_output=True, timeout=60, check=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_help_takes_less_than_half_a_second() -> None:
    """0.2 s at 2.5 GHz. Processor time, and the best of several: other programs may want the cores."""
    assert any(processor_seconds_of_help() < 0.5 for _ in range(8))


def test_every_command_of_a_running_agent_is_on_the_command_line() -> None:
    from agent.commands.table import AGENT_COMMANDS

    for_people = {name.replace("/", " ") for name, command in AGENT_COMMANDS.items() if not command.screen}
    assert for_people <= set(COMMANDS)


def test_version_is_printed(tmp_path: Path) -> None:
    assert run_toy(tmp_path, "--version").startswith("inspectd ")
