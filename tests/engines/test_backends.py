"""The table of backends: a new backend is one file and one row."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.settings import load_settings
from agent.settings.overrides import tomllib
from engines.backends import AUTO, BACKENDS, FALLBACK, Auto, Backend
from engines.bundles.bundle import Bundle
from engines.runtime.opening import open_engine
from tests.support.agent_settings import settings_text
from tests.support.broker import Mosquitto, Subscriber, wait_until

ROOT = Path(__file__).parents[2]

# A complete backend: it runs the model in a session of its own.
TOY = '''\
"""The toy backend."""

import onnxruntime

from engines.bundles import MODEL
from engines.errors import EngineError
from engines.runtime import Engine, EngineOptions


class ToyEngine(Engine):
    name = "toy"

    def __init__(self, bundle, options=EngineOptions()):
        super().__init__(bundle, options)
        self._session = onnxruntime.InferenceSession(bundle.read(MODEL))
        self.detail = "a toy"

    def _score(self, frames):
        session = self._session
        if session is None:
            raise EngineError("toy engine: already closed")
        return session.run(("score", "heatmap"), {"frames": frames})

    def _close(self):
        self._session = None
'''

# Its row in the table, for processes that import this file first.
ROW = """\
from engines.backends import BACKENDS, Backend

BACKENDS["toy"] = Backend("toy_backend:ToyEngine", ("onnxruntime",))
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A folder with the toy backend and its row."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "toy_backend.py").write_text(TOY)
    (folder / "toy_row.py").write_text(ROW)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """The environment of a process that finds the toy backend."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}


def python(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python where it finds the toy backend."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env=environment(folder)
    )


# `inspectd` in a process with the row.
INSPECTD = "import toy_row; from agent.cli import main; main()"


def test_new_backend_opens_and_reproduces_the_reference(
    toy: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(toy)
    monkeypatch.setitem(BACKENDS, "toy", Backend("toy_backend:ToyEngine", ("onnxruntime",)))
    frames = tiny_bundle.reference().frames
    with open_engine(tiny_bundle, "toy") as engine, open_engine(tiny_bundle, "onnxruntime") as other:
        assert (engine.name, engine.detail) == ("toy", "a toy")
        np.testing.assert_allclose(engine.score(frames).score, other.score(frames).score, rtol=1e-5)


def test_new_backend_runs_through_the_contract_suite(toy: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    suite = ("tests/contracts/test_engine.py", "-k", "toy", "-p", "toy_row", "-p", "no:cacheprovider")
    done = python(toy, "-m", "pytest", *suite, "--junitxml", report)
    assert done.returncode == 0, done.stdout
    (counts,) = ElementTree.parse(report).getroot()
    assert int(counts.get("tests", 0)) >= 20
    assert [counts.get(outcome) for outcome in ("failures", "errors", "skipped")] == ["0", "0", "0"]


def test_new_backend_scores_on_the_command_line(toy: Path, tiny_bundle: Bundle, good_parts: Path) -> None:
    done = python(toy, "-c", INSPECTD, "score", tiny_bundle.path, good_parts / "000.png", "--engine", "toy", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["score"] > 0
    text = python(toy, "-c", INSPECTD, "score", "--help").stdout
    assert "auto, onnxruntime, openvino, tensorrt, torch or toy." in " ".join(text.replace("│", "").split())


def with_engine(bundle: Bundle, engine: str, url: str, parts: Path) -> str:
    text = settings_text(bundle.path, f'kind = "folder"\npath = "{parts}"\nfollow = true', url=url)
    return text.replace("[cameras.line1]\n", f'[cameras.line1]\nengine = "{engine}"\n')


def test_new_backend_runs_in_an_agent(
    toy: Path, tiny_bundle: Bundle, good_parts: Path, tmp_path: Path, mosquitto: Callable[..., Mosquitto]
) -> None:
    broker = mosquitto()
    config = tmp_path / "inspectd.toml"
    config.write_text(with_engine(tiny_bundle, "toy", broker.url, good_parts))
    subscriber = Subscriber(broker, "inspectd/plant/line1/state")
    command = [sys.executable, "-c", INSPECTD, "run", "--config", str(config)]
    agent = subprocess.Popen(command, env=environment(toy), cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def states() -> list[dict[str, object]]:
        return [json.loads(message.payload) for message in subscriber.on("/state")]

    try:
        wait_until(lambda: any(state["frames"] == 24 for state in states()))  # type: ignore[comparison-overlap]
    finally:
        agent.terminate()
        _, log = agent.communicate(timeout=150)
    subscriber.close()
    assert states()[-1]["engine"] == "toy"
    assert "engine toy (a toy)" in log
    assert "Traceback" not in log


def test_engine_that_is_not_in_the_table_is_a_mistake_in_the_settings(tiny_bundle: Bundle, tmp_path: Path) -> None:
    config = tmp_path / "inspectd.toml"
    config.write_text(with_engine(tiny_bundle, "toy", "mqtt://127.0.0.1:1", tmp_path))
    with pytest.raises(Permanent, match=r"cameras\.line1\.engine = \"toy\": wanted 'auto', 'onnxruntime', "):
        load_settings(config)


def test_table_has_one_fallback_that_needs_nothing_but_the_base_install() -> None:
    assert [name for name, backend in BACKENDS.items() if backend.auto is Auto.FALLBACK] == [FALLBACK]
    assert BACKENDS[FALLBACK].extra is None
    assert AUTO not in BACKENDS


@pytest.mark.parametrize("name", BACKENDS)
def test_packages_of_a_backend_are_in_its_extra(name: str) -> None:
    """So the advice for a missing package helps: `pip install 'inspectd[extra]'`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    backend = BACKENDS[name]
    wanted = project["dependencies"] if backend.extra is None else project["optional-dependencies"][backend.extra]
    installed = {re.split(r"[^\w-]", requirement)[0] for requirement in wanted}
    assert set(backend.packages) <= installed


def test_missing_package_is_one_line_with_the_command_that_installs_it(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "toy", Backend("toy_backend:ToyEngine", ("no_such_package",), "toys"))
    message = r"toy engine: cannot be loaded \(No module named 'no_such_package'\); pip install 'inspectd\[toys\]'"
    with pytest.raises(Exception, match=message) as caught:
        open_engine(tiny_bundle, "toy")
    assert "\n" not in str(caught.value)
