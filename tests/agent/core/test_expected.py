"""One rule separates expected errors from bugs: every exception class of ours, through every way out."""

from __future__ import annotations

import ast
import builtins
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli import main
from agent.cli.app import build_app
from agent.cli.table import COMMANDS
from agent.commands import AGENT_COMMANDS, Call, Command, Control
from agent.core.errors import InspectdError, Permanent, Temporary
from agent.core.expected import ISSUES_URL, error_text, is_expected
from agent.messages import StatusRequest
from agent.service.thread_crash import ThreadCrash
from agent.sources.source import EndOfStream
from calibration import CalibrationError
from engines.bundles.bundle import Bundle
from engines.errors import BundleError, EngineError, ImageError, SigningError, TrainingError
from tests.support.agents import GOOD_PARTS, configure, running_service

ROOT = Path(__file__).parents[3]

# They steer control flow inside a module, where they are caught. One that escapes is a bug.
INTERNAL = {
    "ArchiveError",
    "_Cancelled",
    "DamagedFrame",
    "DamagedImage",
    "_NoFrame",
    "EndOfStream",
    "Malformed",
    "OnnxFormatError",
    "Rejected",
}

EXPECTED = (
    (InspectdError("camera line1 is calibrating"), "camera line1 is calibrating"),
    (Temporary("no broker at mqtt://broker"), "no broker at mqtt://broker"),
    (Permanent("line1.toml: no such file"), "line1.toml: no such file"),
    (EngineError("tensorrt engine: no GPU"), "tensorrt engine: no GPU"),
    (BundleError("model.onnx: altered"), "model.onnx: altered"),
    (SigningError("plant.key: not a key"), "plant.key: not a key"),
    (ImageError("003.png: damaged"), "003.png: damaged"),
    (TrainingError("3 images, wanted 10"), "3 images, wanted 10"),
    (CalibrationError("window: 3 frames, wanted 50"), "window: 3 frames, wanted 50"),
    (OSError(28, "No space left on device"), "the disk: no space is left; free some, then try again"),
    (PermissionError(13, "Permission denied", "/etc/inspectd"), "/etc/inspectd: Permission denied"),
)
BUGS = (KeyError("threshold"), ValueError("negative"), AssertionError(), EndOfStream("folder"))

expected = pytest.mark.parametrize(("error", "text"), EXPECTED, ids=lambda value: type(value).__name__)
bugs = pytest.mark.parametrize("error", BUGS, ids=lambda value: type(value).__name__)


def exception_classes() -> Iterator[tuple[str, set[str], bool]]:
    """(name, names of its bases, sets `expected`) of every exception class in our packages, read from the source."""
    classes: dict[str, tuple[set[str], bool]] = {}
    for package in ("agent", "engines", "calibration"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
                    marks = any(
                        isinstance(line, ast.Assign) and ast.unparse(line) == "expected = True" for line in node.body
                    )
                    classes[node.name] = bases, marks
    raisable = {
        name for name, thing in vars(builtins).items() if isinstance(thing, type) and issubclass(thing, BaseException)
    }
    while found := {name for name, (bases, _) in classes.items() if bases & raisable} - raisable:
        raisable |= found
    yield from ((name, *classes[name]) for name in classes if name in raisable)


def test_every_exception_class_is_expected_or_known_as_internal() -> None:
    """A new class derives from one of the three bases; or it is listed above, and caught where it is raised."""
    classes = list(exception_classes())
    marked = {name for name, _, marks in classes if marks}
    assert marked == {"InspectdError", "EngineError", "CalibrationError"}
    while more := {name for name, bases, _ in classes if bases & marked} - marked:
        marked |= more
    assert {name for name, _, _ in classes} - marked == INTERNAL
    assert {type(error).__name__ for error, _ in EXPECTED} >= {"InspectdError", "EngineError", "CalibrationError"}


@expected
def test_expected_error_has_its_own_text(error: Exception, text: str) -> None:
    assert is_expected(error)
    assert error_text(error) == text


@bugs
def test_bug_asks_for_a_report(error: Exception) -> None:
    assert not is_expected(error)
    assert error_text(error) == f"{error!r}: this is a bug; please report it with its traceback: {ISSUES_URL}"


def test_foreign_exception_with_an_attribute_of_this_name_is_a_bug() -> None:
    """`asyncio.IncompleteReadError.expected` is a number of bytes."""
    error = RuntimeError("3 bytes missing")
    error.expected = 3  # type: ignore[attr-defined]
    assert not is_expected(error)


def run_command_that_raises(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    """`inspectd fail`, a command that raises the error; its exit code."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["inspectd", "fail"])
    with pytest.raises(SystemExit) as exit_:
        main(build_app({**COMMANDS, "fail": fail}))
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


@expected
def test_command_line_prints_an_expected_error_as_one_line(
    error: Exception, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_that_raises(error, monkeypatch) == 1
    assert capsys.readouterr() == ("", f"inspectd: {text}\n")


@bugs
def test_command_line_prints_a_bug_with_its_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_that_raises(error, monkeypatch) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == f"inspectd: {error_text(error)}"


def test_ctrl_c_is_exit_code_130_without_a_word() -> None:
    """As a process: the handler of SIGINT is the interpreter's own."""
    program = (
        "import os, signal; from agent.cli import main\n"
        "from agent.cli.app import build_app; from agent.cli.table import COMMANDS\n"
        "def wait(): os.kill(os.getpid(), signal.SIGINT); signal.pause()\n"
        "main(build_app({**COMMANDS, 'wait': wait}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "wait"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Control]:
    """The control of a whole agent."""
    with running_service(configure(tmp_path_factory.mktemp("agent"), tiny_bundle, GOOD_PARTS)) as service:
        yield service.control


def records_of_control(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "agent.commands.control"]


def response_to_command_that_raises(error: Exception, control: Control, monkeypatch: pytest.MonkeyPatch) -> str | None:
    def fail(call: Call) -> dict[str, object]:
        raise error

    monkeypatch.setitem(AGENT_COMMANDS, "status", Command(StatusRequest, fail))
    response = control.execute("status", None, b"{}", by="anna")
    assert not response.ok
    return response.error


@expected
def test_response_to_a_command_has_the_text_of_an_expected_error(
    error: Exception,
    text: str,
    control: Control,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert response_to_command_that_raises(error, control, monkeypatch) == text
    (record,) = records_of_control(caplog)
    assert record.levelname == "INFO"
    assert not record.exc_info


@bugs
def test_response_to_a_command_asks_for_a_report_and_the_log_has_the_traceback(
    error: Exception, control: Control, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert response_to_command_that_raises(error, control, monkeypatch) == error_text(error)
    (record,) = records_of_control(caplog)
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def crash_of_thread_that_raises(error: Exception, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the agent reports after one of its threads has raised the error."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # put back after the test
    stopped = threading.Event()
    crash = ThreadCrash(stopped.set)
    crash.raise_if_any()
    crash.watch()
    thread = threading.Thread(target=fail, name="capture line1")
    thread.start()
    thread.join()
    assert stopped.is_set()
    with pytest.raises(Permanent) as caught:
        crash.raise_if_any()
    return str(caught.value)


@expected
def test_failed_thread_is_logged_without_a_traceback_if_the_error_is_expected(
    error: Exception, text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert crash_of_thread_that_raises(error, monkeypatch) == f"capture line1: {text}"
    (record,) = caplog.records
    assert record.levelname == "CRITICAL"
    assert not record.exc_info


@bugs
def test_failed_thread_is_logged_with_its_traceback_if_it_is_a_bug(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert crash_of_thread_that_raises(error, monkeypatch) == f"capture line1: {error_text(error)}"
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error
