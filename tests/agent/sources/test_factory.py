"""The table of the kinds of source: a new kind needs its own file, one row and one settings section, nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from agent.core.section import Host
from agent.doctor import Level
from agent.doctor.camera import check_cameras
from agent.doctor.service.rights import check_rights
from agent.settings.load import load_settings
from agent.sources import build_source
from agent.sources.factory import SOURCES, SourceKind
from engines.bundles.bundle import Bundle
from tests.support.check_results import only, printing

ROOT = Path(__file__).parents[3]

MODULE = '''
"""A toy camera: gray frames that get brighter."""

import time
from datetime import datetime, timezone
from typing import Literal

import numpy as np

from agent.core.section import Host
from agent.sources.settings import SourceSection
from agent.sources.source import Captured, FrameSource


class ToySettings(SourceSection):
    kind: Literal["toy"]
    address: str = "127.0.0.1:3956"
    size: int = 48

    def hosts(self):
        name, _, port = self.address.partition(":")
        return [Host(name, int(port))]

    def devices(self):
        return ["/dev/toy0"]


class ToySource(FrameSource):
    live = True

    def __init__(self, size):
        super().__init__()
        self.size, self.level = size, 0

    def describe(self):
        return "toy camera"

    def _open(self):
        pass

    def _read(self):
        self.level = (self.level + 1) % 256
        image = np.full((self.size, self.size, 1), self.level, np.uint8)
        return Captured(image, datetime.now(timezone.utc), time.monotonic())

    def _close(self):
        pass


def from_settings(settings, *, quarantine_directory):
    return ToySource(settings.size)
'''

ROW = """
from agent.sources.factory import SOURCES, SourceKind
from toy_source import ToySettings

SOURCES["toy"] = SourceKind(ToySettings, "toy_source")
"""

SETTINGS = """\
site = "plant"
state_directory = "state"
[cameras.line1]
bundle = "toy.bundle"
[cameras.line1.source]
kind = "toy"
address = "192.0.2.20:3956"
size = 64
"""

# What `systemctl show` reports of a unit without drop-ins.
CLOSED_UNIT = """\
LoadState=loaded
IPAddressAllow=127.0.0.0/8 ::1/128
IPAddressDeny=0.0.0.0/0 ::/0
PrivateDevices=yes
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file and a row more."""
    (tmp_path / "toy_source.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_source", raising=False)
    monkeypatch.setitem(SOURCES, "toy", SourceKind(import_module("toy_source").ToySettings, "toy_source"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "line1.toml"
    path.write_text(SETTINGS)
    return path


@pytest.mark.usefixtures("toy")
def test_new_kind_works_from_a_settings_file(config: Path, tmp_path: Path) -> None:
    section = load_settings(config).cameras["line1"].source
    assert (section.kind, section.hosts()) == ("toy", [Host("192.0.2.20", 3956)])
    with build_source(section, quarantine_directory=tmp_path) as source:
        assert [int(source.read().image.max()) for _ in range(3)] == [1, 2, 3]
        assert source.read().image.shape == (64, 64, 1)


@pytest.mark.usefixtures("toy")
def test_mistake_in_the_section_of_a_new_kind_is_explained(config: Path) -> None:
    with pytest.raises(Exception, match=r"cameras\.line1\.source\.sise: unknown setting; did you mean size\?"):
        load_settings(config, ["cameras.line1.source.sise=3"])
    with pytest.raises(Exception, match=r"source\.kind = \"tot\": wanted one of .*'camera', 'dicom', 'genicam', 'toy'"):
        load_settings(config, ["cameras.line1.source.kind=tot"])


@pytest.mark.usefixtures("toy")
def test_doctor_reads_from_a_new_kind(config: Path, tiny_bundle: Bundle) -> None:
    settings = load_settings(config, [f"cameras.line1.bundle={tiny_bundle.path}"])
    found = only(check_cameras(settings, max_seconds=0.2))
    assert found.level is Level.OK
    assert found.text.startswith("64×64 gray, 8 bit, ")


@pytest.mark.usefixtures("toy")
def test_doctor_checks_the_hosts_and_devices_of_a_new_kind(config: Path) -> None:
    found = list(check_rights(load_settings(config), "inspectd@line1.service", run=printing(CLOSED_UNIT)))
    assert [each.text for each in found] == [
        "the unit does not let the service reach 192.0.2.20 (camera line1)",
        "the unit does not let the service open /dev/toy0 (camera line1)",
    ]
    assert "IPAddressAllow=192.0.2.20" in str(found[0].fix)
    assert "DeviceAllow=/dev/toy0 rw" in str(found[1].fix)


def run_contract_suite(directory: Path, module: str) -> subprocess.CompletedProcess[str]:
    """The contract suite, for the toy alone, with its file and its row."""
    (directory / "toy_source.py").write_text(module)
    (directory / "toy_row.py").write_text(ROW)
    command = [sys.executable, "-m", "pytest", "-p", "toy_row", "-k", "toy", "tests/contracts/test_source.py"]
    environment = {**os.environ, "PYTHONPATH": f"{directory}{os.pathsep}{ROOT}"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_contract_suite_includes_a_new_kind(tmp_path: Path) -> None:
    done = run_contract_suite(tmp_path, MODULE)
    assert done.returncode == 0, done.stdout + done.stderr
    # The toy uses no ledger and has no end: the tests of those two are skipped.
    ran = re.search(r"(\d+) passed, 2 skipped", done.stdout)
    assert ran is not None, done.stdout
    tests = re.findall(r"^def test_", (ROOT / "tests/contracts/test_source.py").read_text(), re.MULTILINE)
    assert int(ran[1]) == len(tests) - 2


def test_contract_suite_rejects_a_kind_that_breaks_it(tmp_path: Path) -> None:
    """A source that writes the next frame into the buffer that it has handed out."""
    buffer = "self.buffer = getattr(self, 'buffer', np.zeros((9, 9, 1), np.uint8))"
    broken = MODULE.replace("image = np.full((self.size, self.size, 1), self.level, np.uint8)", f"image = {buffer}")
    broken = broken.replace(f"image = {buffer}", f"{buffer}; image = self.buffer; image[:] = self.level")
    done = run_contract_suite(tmp_path, broken)
    assert done.returncode == 1
    assert "test_frames_keep_their_pixels_while_the_source_goes_on[toy]" in done.stdout


def test_reading_settings_imports_no_source(config: Path) -> None:
    """OpenCV's camera and the simulator are imported when a source of their kind is built."""
    config.write_text(
        SETTINGS.partition("[cameras.line1.source]")[0] + 'source = { kind = "folder", path = "parts" }\n'
    )
    code = (
        "import sys; from pathlib import Path; from agent.settings import load_settings; "
        f"load_settings(Path({str(config)!r})); "
        "print([name for name in sys.modules if name.startswith(('agent.sources.opencv', 'agent.sources.simulator'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
