"""Against DCMTK's storescu and echoscu: what is acknowledged is on the disk, and is inspected once."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.core.errors import Permanent, Temporary
from agent.sources import FrameSource, Ledger, build_source
from agent.sources.factory import parse_source
from tests.support.broker import free_port
from tests.support.certificates import Authority
from tests.support.dicom import UID_ROOT, cut_after, send, write_image

pytest.importorskip("pynetdicom", reason="the receiver needs the dicom extra")
pytestmark = pytest.mark.skipif(shutil.which("storescu") is None, reason="storescu is missing: apt install dcmtk")

Build = Callable[..., FrameSource]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def build(tmp_path: Path, port: int) -> Iterator[Build]:
    built: list[FrameSource] = []

    def make(**settings: Any) -> FrameSource:
        values = {"kind": "dicom", "port": port, **settings}
        built.append(build_source(parse_source(values), quarantine_directory=tmp_path / "camera" / "quarantine"))
        return built[-1]

    yield make
    for source in built:
        source.close()


def test_sent_image_is_read_with_all_its_bits(build: Build, port: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (48, 64)).astype(np.uint16)
    with build() as source:
        sent = send(port, write_image(tmp_path / "a.dcm", values, number=1))
        assert sent.returncode == 0, sent.stderr
        captured = source.read()
    assert captured.origin == f"{UID_ROOT}.1"
    assert np.array_equal(captured.image[:, :, 0], values)


def test_attribute_that_dicom_does_not_have_is_one_line(build: Build) -> None:
    with pytest.raises(Permanent, match="DICOM has no attribute 'PartID', wanted a keyword such as PatientID or SOPI"):
        build(part_attribute="PartID").open()


def test_without_the_extra_is_one_line_with_its_command(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    with pytest.raises(Permanent, match=r"needs the extra dicom: pip install 'inspectd\[dicom\]'"):
        build().open()


def test_echo_is_answered_and_a_wrong_title_is_not(build: Build, port: int) -> None:
    with build():
        for title, code in (("INSPECTD", 0), ("OTHER", 1)):
            done = subprocess.run(["echoscu", "-aec", title, "127.0.0.1", str(port)], check=False, capture_output=True)
            assert min(done.returncode, 1) == code


def test_sender_with_another_title_or_address_is_rejected(build: Build, port: int, tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.dcm", number=1)
    with build(calling_titles=["XRAY1"]):
        assert send(port, image, title="XRAY2").returncode != 0
        assert send(port, image, title="XRAY1").returncode == 0
    with build(allow=["192.0.2.0/24"]):
        assert send(port, image, title="XRAY1").returncode != 0


def test_image_that_is_sent_again_is_acknowledged_and_inspected_once(build: Build, port: int, tmp_path: Path) -> None:
    """Before it was inspected, after that, and after it was deleted from the inbox."""
    ledger = Ledger(tmp_path / "camera" / "ledger.sqlite")
    first, second = (write_image(tmp_path / f"{number}.dcm", number=number) for number in (1, 2))
    source = build()
    source.use_ledger(ledger)
    with source:
        for _ in range(2):
            assert send(port, first).returncode == 0
        captured = source.read()
        assert captured.file is not None
        ledger.add([captured.file])
        assert send(port, first).returncode == 0
        assert not (tmp_path / "camera" / "inbox" / f"{UID_ROOT}.1.dcm").exists(), "inspected, and deleted"
        assert send(port, first).returncode == 0
        assert send(port, second).returncode == 0
        assert source.read().origin == f"{UID_ROOT}.2"


def test_acknowledged_image_is_there_after_a_restart(build: Build, port: int, tmp_path: Path) -> None:
    with build():
        assert send(port, write_image(tmp_path / "a.dcm", number=7)).returncode == 0
    with build() as source:
        assert source.read().origin == f"{UID_ROOT}.7"


def test_each_frame_of_an_image_is_a_part(build: Build, port: int, tmp_path: Path) -> None:
    """The file is deleted only once the last of them is finished."""
    import pydicom

    ledger = Ledger(tmp_path / "camera" / "ledger.sqlite")
    path = write_image(tmp_path / "a.dcm", number=1)
    dataset = pydicom.dcmread(path)
    frames = np.random.default_rng(0).integers(0, 4096, (3, 48, 64)).astype(np.uint16)
    dataset.NumberOfFrames, dataset.PixelData = 3, frames.tobytes()
    dataset.save_as(path)
    source, stored = build(part_attribute="PatientID"), tmp_path / "camera" / "inbox" / f"{UID_ROOT}.1.dcm"
    source.use_ledger(ledger)
    with source:
        assert send(port, path).returncode == 0
        for number in (1, 2, 3):
            captured = source.read()
            assert captured.origin == f"C1#{number}"
            assert np.array_equal(captured.image[:, :, 0], frames[number - 1])
            assert captured.file is not None
            ledger.add([captured.file])
            assert send(port, path).returncode == 0
            assert stored.exists() == (number < 3)


def test_part_has_the_name_of_an_attribute(build: Build, port: int, tmp_path: Path) -> None:
    with build(part_attribute="PatientID") as source:
        send(port, write_image(tmp_path / "a.dcm", number=1, PatientID="CASTING-17"))
        send(port, write_image(tmp_path / "b.dcm", number=2, PatientID=""))
        assert [source.read().origin for _ in range(2)] == ["CASTING-17", f"{UID_ROOT}.2"]


def test_image_class_of_diconde_is_taken(build: Build, port: int, tmp_path: Path) -> None:
    pynetdicom = pytest.importorskip("pynetdicom")
    import pydicom

    uid = "1.2.840.10008.5.1.4.1.1.601.1"
    dataset = pydicom.dcmread(write_image(tmp_path / "a.dcm", number=3))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid
    sender = pynetdicom.AE(ae_title="NDT")
    sender.add_requested_context(uid, dataset.file_meta.TransferSyntaxUID)
    with build() as source:
        association = sender.associate("127.0.0.1", port, ae_title="INSPECTD")
        assert association.send_c_store(dataset).Status == 0
        association.release()
        assert source.read().origin == f"{UID_ROOT}.3"


@pytest.mark.parametrize("command", [["dcmcjpeg"], ["dcmcjpls"], ["dcmcrle"]])
def test_lossless_compression_is_read_or_rejected_by_the_receiver(
    build: Build, port: int, tmp_path: Path, command: list[str]
) -> None:
    values = np.random.default_rng(1).integers(0, 4096, (48, 64)).astype(np.uint16)
    plain, packed = write_image(tmp_path / "plain.dcm", values, number=1), tmp_path / "packed.dcm"
    subprocess.run([*command, str(plain), str(packed)], check=True)
    options = {"dcmcjpeg": "-xs", "dcmcjpls": "-xt", "dcmcrle": "-xr"}
    with build() as source:
        sent = send(port, packed, options[command[0]])
        assert sent.returncode == 0, sent.stderr
        assert np.array_equal(source.read().image[:, :, 0], values)


def test_image_beyond_the_limits_is_rejected_and_the_next_one_is_taken(build: Build, port: int, tmp_path: Path) -> None:
    large = write_image(tmp_path / "large.dcm", np.zeros((800, 800), np.uint16), number=1)
    small = write_image(tmp_path / "small.dcm", number=2)
    with build(max_image_size="200 KiB") as source:
        assert send(port, large).returncode != 0
        assert send(port, small).returncode == 0
        assert source.read().origin == f"{UID_ROOT}.2"
    shutil.rmtree(tmp_path / "camera" / "inbox")
    with build(max_inbox_size="200 KiB"):
        assert send(port, large).returncode != 0
        assert send(port, small).returncode == 0


def test_connection_that_is_cut_within_an_image_leaves_nothing(build: Build, port: int, tmp_path: Path) -> None:
    large = write_image(tmp_path / "large.dcm", np.zeros((800, 800), np.uint16), number=1)
    with build() as source, cut_after(port, 300_000) as cut:
        assert send(cut, large).returncode != 0
        assert list((tmp_path / "camera" / "inbox").iterdir()) == []
        assert send(port, large).returncode == 0
        assert source.read().image.shape == (800, 800, 1)


def test_tls_takes_senders_of_the_authority_only(build: Build, port: int, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("receiver")
    image = write_image(tmp_path / "a.dcm", number=1)
    files = {"certificate_file": certificate, "key_file": key, "ca_file": authority.certificate}
    with build(**files) as source:
        assert send(port, image).returncode != 0, "without TLS"
        sent = send(port, image, "+tls", str(key), str(certificate), "+cf", str(authority.certificate))
        assert sent.returncode == 0, sent.stderr
        assert source.read().origin == f"{UID_ROOT}.1"


def test_port_in_use_is_temporary_and_a_missing_certificate_permanent(build: Build, port: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(Temporary, match=f"cannot listen at .* port {port}"):
        build().open()
    with pytest.raises(Permanent, match="its certificate cannot be used"):
        build(certificate_file=tmp_path / "none.pem", key_file=tmp_path / "none.key").open()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"listen": "0.0.0.0"}, "wanted allow with the addresses"),
        ({"ae_title": "a" * 17}, "wanted an AE title"),
        ({"ca_file": "ca.pem"}, "got ca_file without certificate_file"),
        ({"certificate_file": "a.pem"}, "got one of certificate_file and key_file"),
    ],
)
def test_mistake_in_the_settings_is_explained(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        parse_source({"kind": "dicom", **settings})
