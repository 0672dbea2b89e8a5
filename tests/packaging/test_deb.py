"""The contents of a package built for another machine: an ARM board, with the Pythons of its systems."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from tests.support.deb import build_deb

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="not installed: dpkg-deb"),
]

# Ubuntu 22.04 and JetPack 6, Debian 12, Ubuntu 24.04 and JetPack 7.
PYTHONS = ("3.10", "3.11", "3.12")

# glibc 2.35 of the oldest of these systems, Ubuntu 22.04.
GLIBC_MINOR = 35

# e_machine of an ELF file, two bytes from the 18th on, little-endian.
ELF, MACHINE, AARCH64 = b"\x7fELF", slice(18, 20), (183).to_bytes(2, "little")


@dataclass(frozen=True)
class Package:
    """An unpacked package."""

    file: Path
    tree: Path
    python: str

    @property
    def wheels(self) -> list[Path]:
        return sorted((self.tree / "usr/lib/inspectd/wheels").iterdir())

    def field(self, name: str) -> str:
        """A field of its control file."""
        return subprocess.run(
            ["dpkg-deb", "--field", self.file, name], capture_output=True, text=True, check=True
        ).stdout.strip()


@pytest.fixture(scope="module", params=PYTHONS)
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Package]:
    directory = tmp_path_factory.mktemp("deb")
    file = build_deb(directory, version="0.1.0-1", arch="arm64", python=request.param)
    subprocess.run(["dpkg-deb", "--extract", file, directory / "tree"], check=True)
    yield Package(file, directory / "tree", request.param)
    shutil.rmtree(directory)


def test_control_file_names_machine_and_python(package: Package) -> None:
    """apt rejects it on machines that cannot run it."""
    major, minor = package.python.split(".")
    assert package.field("Architecture") == "arm64"
    depends = package.field("Depends").split(", ")
    assert {f"python3 (>= {package.python})", f"python3 (<< {major}.{int(minor) + 1}~)", "python3-venv"} <= set(depends)


def test_every_wheel_is_for_the_machine_and_python(package: Package) -> None:
    """By their tags, as pip on the device judges them."""
    version = tuple(map(int, package.python.split(".")))
    platforms = [*(f"manylinux_2_{minor}_aarch64" for minor in range(17, GLIBC_MINOR + 1)), "manylinux2014_aarch64"]
    known = {*cpython_tags(version, platforms=platforms), *compatible_tags(version, platforms=platforms)}
    assert [wheel.name for wheel in package.wheels if not parse_wheel_filename(wheel.name)[3] & known] == []


def test_every_program_in_the_wheels_is_for_the_machine(package: Package) -> None:
    """A tag is only what a wheel claims; the ELF header is the fact."""
    found = {}
    for wheel in package.wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    head = file.read(20)
                if head.startswith(ELF):
                    found[f"{wheel.name}: {name}"] = head[MACHINE]
    assert len(found) > 100, "numpy, SciPy, OpenCV and ONNX Runtime are there"
    assert [name for name, machine in found.items() if machine != AARCH64] == []


def test_wheels_are_complete_and_none_is_superfluous(package: Package, tmp_path: Path) -> None:
    """Resolved for the device from these wheels alone, as pip does there without a network."""
    uv, wheels = Path(sys.executable).parent / "uv", package.tree / "usr/lib/inspectd/wheels"
    alone = ["--offline", "--no-index", "--no-cache", "--find-links", wheels, "--target", tmp_path / "nowhere"]
    device = ["--python-version", package.python, "--python-platform", f"aarch64-manylinux_2_{GLIBC_MINOR}"]
    command = [
        uv,
        "pip",
        "install",
        "--dry-run",
        *alone,
        *device,
        "inspectd[dicom,codes,modbus,opcua,s3,gpio,page,fleet]",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = {line.split()[1].split("==")[0] for line in done.stderr.splitlines() if line.startswith(" + ")}
    inside = {parse_wheel_filename(wheel.name)[0] for wheel in package.wheels}
    assert wanted == inside


def test_package_contains_unit_documents_and_models(package: Package) -> None:
    places = (
        "usr/lib/systemd/system/inspectd@.service",
        "usr/lib/sysusers.d/inspectd.conf",
        "usr/lib/tmpfiles.d/inspectd.conf",
        "usr/share/doc/inspectd/device.md",
        "usr/share/doc/inspectd/drop-ins/jetson.conf",
        "usr/share/doc/inspectd/changelog.Debian.gz",
        "usr/share/doc/inspectd/copyright",
        "usr/share/man/man1/inspectd.1.gz",
        "usr/share/bash-completion/completions/inspectd",
    )
    assert [place for place in places if not (package.tree / place).is_file()] == []
    (own,) = (wheel for wheel in package.wheels if wheel.name.startswith("inspectd-"))
    with zipfile.ZipFile(own) as archive:
        assert "engines/bundles/shipped/simulator-camera.bundle/model.onnx" in archive.namelist()


@pytest.mark.skipif(shutil.which("lintian") is None, reason="needs lintian")
def test_lintian_finds_no_errors(package: Package) -> None:
    done = subprocess.run(["lintian", package.file], capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if line.startswith("E:")] == []
