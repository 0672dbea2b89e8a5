"""Ctrl-C while the program loads, at the moments that matter: inside an import, and before a command begins."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.terminal.interrupts import is_interrupt, quiet_while_loading

LAUNCHER = Path(__file__).parents[4] / "packaging" / "inspectd"

# Interrupts its own process while it is imported, as a user does who is quick; then goes on, as imports of
# extension modules do that lose the exception.
INTERRUPTING = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000): pass
except KeyboardInterrupt:
    raise ImportError("initialization failed")
"""


def interrupted_while_importing(module: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `inspectd`; a module that it imports is replaced by one that interrupts the process."""
    place = folder.joinpath(*module.split("."))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.with_suffix(".py").write_text(INTERRUPTING)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    # A new session has the default SIGINT, also where the tests run in the background of a shell.
    return subprocess.run(
        [sys.executable, "-c", "from agent.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("typer", ["--help"]),
        ("pydantic", ["run", "--config", "none.toml"]),
        ("paho", ["watch", "mqtt://127.0.0.1:1"]),
        ("pydantic", ["status"]),
        ("numpy", ["score", "x.bundle", "x.png"]),
    ],
)
def test_interrupt_while_a_library_is_imported_is_exit_code_130_without_a_word(
    tmp_path: Path, module: str, arguments: list[str]
) -> None:
    done = interrupted_while_importing(module, tmp_path, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """The command as it is installed, beside a Python."""
    python, installed = tmp_path / "bin" / "python3", tmp_path / "bin" / "inspectd"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    shutil.copy(LAUNCHER, installed)
    return installed


def launched(
    launcher: Path, *arguments: str, interrupts: signal.Handlers = signal.SIG_DFL
) -> subprocess.CompletedProcess[str]:
    """Run the launcher where Python is interrupted while it starts, long before the first line of ours."""
    folder = launcher.parent / "early"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(INTERRUPTING)
    return subprocess.run(
        [launcher, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, interrupts) and None,
    )


def test_interrupt_while_python_starts_is_exit_code_130_without_a_word(launcher: Path) -> None:
    done = launched(launcher, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ignored_interrupt_stays_ignored_by_the_launcher(launcher: Path) -> None:
    done = launched(launcher, "--version", interrupts=signal.SIG_IGN)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("inspectd ")


def test_launcher_is_found_through_links_and_without_a_word_of_its_own(launcher: Path, tmp_path: Path) -> None:
    """As `/usr/bin/inspectd` leads to the release of the package; arguments arrive as they are."""
    (tmp_path / "link").symlink_to(launcher)
    done = subprocess.run(
        [tmp_path / "link", "score", "* a b", "c"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    wanted = "inspectd: * a b: found nothing, wanted a bundle directory with manifest.json\n"
    assert (done.returncode, done.stderr) == (1, wanted)


def test_interrupt_after_loading_is_an_exception_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with quiet_while_loading():
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_ignored_interrupt_stays_ignored_while_loading() -> None:
    """As under `nohup`, or in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with quiet_while_loading():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_error_that_an_interrupt_caused_is_an_interrupt() -> None:
    error = ImportError("initialization failed")
    error.__cause__ = KeyboardInterrupt()
    assert is_interrupt(error)
    assert not is_interrupt(ImportError("no module named numpy"))
