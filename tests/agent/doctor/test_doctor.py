"""`inspectd doctor` on what it will meet: real bundles, real brokers, real files, and what is wrong with them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from agent.doctor import CheckResult, Level, broker, camera, credentials, disk, examine, lines, machine, model
from agent.settings.load import load_settings
from engines.bundles.bundle import Bundle
from engines.bundles.signing import generate_keys, sign
from tests.agent.doctor.findings import Configure, levels, only
from tests.support.broker import Mosquitto, Subscriber, wait_until


def test_a_device_that_is_fit_has_no_problem(
    configure: Configure, mosquitto: Callable[..., Mosquitto], capfd: pytest.CaptureFixture[str]
) -> None:
    config = configure(url=mosquitto().url)
    command = [sys.executable, "-m", "agent.cli", "doctor", "--config", str(config)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert "problem" not in {finding["level"] for finding in findings.values()}
    assert {"settings", "python", "gpu", "clock", "disk", "bundle tiny.bundle", "engine onnxruntime"} < set(findings)
    assert "40×40" not in findings["camera line1"]["text"]
    assert "8 bit" in findings["camera line1"]["text"]
    assert "frames/s" in findings["camera line1"]["text"]
    assert findings["broker"]["level"] == "ok"
    assert all(finding["mend"] for finding in findings.values() if finding["level"] != "ok")


def test_a_problem_is_exit_code_1_and_says_what_mends_it(configure: Configure) -> None:
    config = configure(source='{ kind = "camera", device = "/dev/inspectd-none" }')
    command = [sys.executable, "-m", "agent.cli", "doctor", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "problem  camera line1: camera /dev/inspectd-none does not exist" in done.stdout
    assert "→ sudo apt install v4l-utils; v4l2-ctl --list-devices" in done.stdout
    assert "→ sudo apt install mosquitto" in done.stdout
    assert "nothing listens there" in done.stdout
    assert done.stderr.splitlines() == ["inspectd: 2 problems found"]


def test_settings_that_are_wrong_are_the_one_finding(tmp_path: Path) -> None:
    config = tmp_path / "line1.toml"
    config.write_text('site = "plant"\n[cameras.line1]\nbundel = "x"\n')
    findings = list(examine(config))
    assert set(levels(findings)) == {Level.PROBLEM}
    assert any("did you mean bundle?" in finding.text for finding in findings)
    assert all(str(finding.mend).startswith(f"sudoedit {config}") for finding in findings)


def test_settings_that_are_not_there_are_copied_from_the_example(tmp_path: Path) -> None:
    found = only(examine(tmp_path / "line1.toml"))
    assert found.level is Level.PROBLEM
    assert "No such file or directory" in found.text
    assert str(found.mend).startswith("sudo install -D -m 644")
    assert str(tmp_path / "line1.toml") in str(found.mend)


def test_settings_that_are_no_toml_are_a_line(tmp_path: Path) -> None:
    (tmp_path / "line1.toml").write_text("site = plant 1\n")
    found = only(examine(tmp_path / "line1.toml"))
    assert found.level is Level.PROBLEM
    assert "not TOML" in found.text


def test_a_finding_is_a_line_and_its_mending_another() -> None:
    finding = CheckResult(Level.WARNING, "clock", "kept by no time server", "timedatectl set-ntp true")
    assert list(lines(finding)) == [
        "warning  clock: kept by no time server",
        "         → timedatectl set-ntp true",
    ]


# The machine


@pytest.mark.parametrize(
    ("version", "level"), [((3, 10), Level.OK), ((3, 13), Level.OK), ((3, 9), Level.WARNING), ((3, 15), Level.WARNING)]
)
def test_python_is_one_that_was_tested(configure: Configure, version: tuple[int, int], level: Level) -> None:
    assert only(machine.check_python(load_settings(configure()), version)).level is level


@pytest.mark.parametrize(
    ("seconds", "synchronised", "level"),
    [
        (0.0, True, Level.PROBLEM),
        (1.8e9, True, Level.OK),
        (1.8e9, False, Level.WARNING),
        (1.8e9, None, Level.WARNING),
    ],
)
def test_a_clock_has_to_be_set_and_kept(
    configure: Configure, seconds: float, synchronised: bool | None, level: Level
) -> None:
    found = only(machine.check_clock(load_settings(configure()), lambda: seconds, lambda: synchronised))
    assert found.level is level


# The model


def test_an_altered_bundle_is_a_problem(configure: Configure, tiny_bundle: Bundle, tmp_path: Path) -> None:
    altered = tmp_path / "altered.bundle"
    shutil.copytree(tiny_bundle.path, altered)
    with (altered / "model.onnx").open("ab") as stream:
        stream.write(b"\0")
    settings = load_settings(configure(bundle=altered))
    found = only(model.check_bundles(settings))
    assert found.level is Level.PROBLEM
    assert "model.onnx" in found.text
    assert list(model.check_engines(settings)) == [], "said once"


def test_trusted_keys_are_asked_for_their_signature(configure: Configure, tiny_bundle: Bundle, tmp_path: Path) -> None:
    settings = load_settings(configure(bundle=shutil.copytree(tiny_bundle.path, tmp_path / "line1.bundle")))
    private, public = generate_keys(tmp_path / "plant")
    trusting = settings.model_copy(update={"trusted_keys": (public,)})
    unsigned = only(model.check_bundles(trusting))
    assert unsigned.level is Level.PROBLEM
    assert "not signed" in unsigned.text
    assert "inspectd bundle sign line1.bundle" in (unsigned.mend or "")
    fingerprint = sign(tmp_path / "line1.bundle", private)
    assert f"signed by {fingerprint}" in only(model.check_bundles(trusting)).text
    public.unlink()
    assert "plant.pub: key cannot be read" in only(model.check_bundles(trusting)).text


def test_an_engine_that_cannot_keep_up_is_a_warning(configure: Configure) -> None:
    source = '{ kind = "simulator", frames_per_second = 1000000.0 }'
    found = only(model.check_engines(load_settings(configure(source=source))))
    assert found.level is Level.WARNING
    assert "of its time" in found.text


# The camera


def test_a_picture_that_the_bundle_does_not_take_is_a_problem(configure: Configure) -> None:
    found = only(camera.check_cameras(load_settings(configure(source='{ kind = "simulator", mode = "xray" }'))))
    assert found.level is Level.PROBLEM
    assert "16 bit" in found.text


def test_an_empty_folder_is_a_problem(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    found = only(
        camera.check_cameras(load_settings(configure(source=f'{{ kind = "folder", path = "{tmp_path / "parts"}" }}')))
    )
    assert found.level is Level.PROBLEM


def test_a_camera_slower_than_asked_is_a_warning(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator cannot draw so many frames a second, on any machine."""
    found = only(
        camera.check_cameras(load_settings(configure(source='{ kind = "simulator", frames_per_second = 1000000.0 }')))
    )
    assert found.level is Level.WARNING
    assert "wanted 1e+06 frames/s" in found.text


# The broker


def test_a_wrong_password_is_said(configure: Configure, mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    (tmp_path / "users").write_text("")
    broker_process = mosquitto(lines=["allow_anonymous false", f"password_file {tmp_path / 'users'}"])
    config = configure(url=broker_process.url, mqtt='username = "inspectd"')
    found = only(broker.check_broker(load_settings(config), config))
    assert found.level is Level.PROBLEM
    assert "refuses the connection: Not authorized" in found.text
    assert found.mend == (
        "printf %s 'PASSWORD' | sudo install -D -m 600 /dev/stdin /etc/credstore/inspectd.line1.mqtt-password"
    )


def test_the_broker_is_asked_with_the_password_that_systemd_would_give_to_the_service(
    configure: Configure,
    mosquitto: Callable[..., Mosquitto],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "users").write_text("")
    passwords = shutil.which("mosquitto_passwd", path="/usr/bin:/usr/local/bin")
    assert passwords is not None
    subprocess.run([passwords, "-b", str(tmp_path / "users"), "inspectd", "geheim"], check=True, capture_output=True)
    running = mosquitto(lines=["allow_anonymous false", f"password_file {tmp_path / 'users'}"])
    config = configure(url=running.url, mqtt='username = "inspectd"')
    store = tmp_path / "credstore"
    store.mkdir()
    (store / "inspectd.line1.mqtt-password").write_text("geheim")
    monkeypatch.setattr(credentials.credential, "__defaults__", ((store, tmp_path),))
    assert levels(list(broker.check_broker(load_settings(config), config))) == [Level.OK, Level.OK]


@pytest.mark.parametrize(
    ("url", "text", "mend"),
    [
        ("mqtt://127.0.0.1:1", "nothing listens there", "sudo apt install mosquitto"),
        ("mqtt://broker.invalid", "cannot be resolved", "nc -vz broker.invalid 1883"),
    ],
)
def test_a_broker_that_does_not_answer_is_a_problem(configure: Configure, url: str, text: str, mend: str) -> None:
    config = configure(url=url)
    found = only(broker.check_broker(load_settings(config), config))
    assert found.level is Level.PROBLEM
    assert text in found.text
    assert mend in str(found.mend)


def test_missing_rights_are_said(configure: Configure, mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    (tmp_path / "rights").write_text("topic read other/#\n")
    config = configure(url=mosquitto(lines=[f"acl_file {tmp_path / 'rights'}"]).url)
    found = list(broker.check_broker(load_settings(config), config))
    assert levels(found) == [Level.OK, Level.PROBLEM]
    assert "may not publish to inspectd/plant/#" in found[1].text


def test_the_check_disturbs_no_subscriber_and_no_agent(
    configure: Configure, mosquitto: Callable[..., Mosquitto]
) -> None:
    """One message, on the topic of an answer; nothing retained, no status, no alarm; the agent's session stands."""
    running = mosquitto()
    agent = Subscriber(running, "#", client_id="inspectd-plant")
    config = configure(url=running.url, mqtt="allow_insecure_commands = true")
    assert levels(list(broker.check_broker(load_settings(config), config))) == [Level.OK, Level.OK]
    # The broker's answer to the doctor may be there before its message is at the subscriber.
    wait_until(lambda: agent.messages)
    assert [message.topic for message in agent.messages] == ["inspectd/plant/response/doctor"]
    assert agent.client.is_connected()
    late = Subscriber(running, "inspectd/#")
    assert late.messages == []
    agent.close()
    late.close()


# The disk


def test_quotas_beyond_the_disk_are_a_problem(configure: Configure) -> None:
    settings = load_settings(configure(), ["max_evidence_size=1000000 GiB"])
    assert disk.check_disk(settings) is not None
    worst = [found for found in disk.check_disk(settings) if found.level is Level.PROBLEM]
    assert "the quotas still take" in worst[0].text
    assert "set max_evidence_size = " in str(worst[0].mend)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_a_problem(configure: Configure, tmp_path: Path) -> None:
    small = tmp_path / "state"
    small.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no mounts here: {error.stderr!r}")
    try:
        with (small / "full").open("wb") as file, suppress(OSError):
            file.write(bytes(2 * 1024**2))
        found = [each for each in disk.check_disk(load_settings(configure())) if each.level is Level.PROBLEM]
        assert "0 MiB free" in found[0].text
        assert "journalctl --vacuum-size" in str(found[0].mend)
        assert f"du -xh {small}" in str(found[0].mend)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_the_file_system_of_a_place_is_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    inner = tmp_path / "inner"
    inner.mkdir()
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\ntmpfs {inner} tmpfs rw 0 0\n")
    assert disk.file_system(inner / "state", mounts) == "tmpfs"
    assert disk.file_system(tmp_path, mounts) == "ext4"
