"""Connecting: addresses, TLS, passwords, versions of the protocol; each failure is one clear line."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.errors import Permanent, Temporary
from agent.mqtt.broker import Broker
from tests.support.broker import MOSQUITTO, Mosquitto, Subscriber, wait_until
from tests.support.certificates import OPENSSL, Authority
from tests.support.delivery import QUICK, accept, delivering

StartBroker = Callable[..., Mosquitto]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    if OPENSSL is None:
        pytest.skip("the openssl command is not installed")
    return Authority(tmp_path / "authority")


def tls_lines(authority: Authority, certificate: Path, key: Path, *more: str) -> list[str]:
    return [f"cafile {authority.certificate}", f"certfile {certificate}", f"keyfile {key}", *more]


def tls_broker(port: int, **options: Path | None) -> Broker:
    return Broker(f"mqtts://127.0.0.1:{port}", **options)  # type: ignore[arg-type]


def assert_rejected(broker: Broker, directory: Path, caplog: pytest.LogCaptureFixture, line: str) -> None:
    """The agent cannot connect, logs the reason in one line, which contains `line`, and keeps its alarm."""
    with delivering("", directory, broker=broker) as (outbox, publisher):
        accept(outbox, "a1")
        wait_until(lambda: line in caplog.text)
        assert not publisher.connected
        assert outbox.waiting() == 1
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker",
        "http://broker",
        "mqtt://",
        "mqtt://b:0x",
        "mqtt://b:99999",
        "mqtt://user:secret@b",
        "mqtt://:secret@b",
        "mqtt://user:1#secret@b",
        "mqtt://user:secret",
        "mqtt://b/x",
    ],
)
def test_invalid_address_is_one_line_without_secrets(url: str) -> None:
    with pytest.raises(Permanent) as caught:
        Broker(url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_certificates_without_tls_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="mqtts"):
        Broker("mqtt://broker", ca_file=tmp_path / "ca.pem")


def test_port_has_a_default() -> None:
    assert (Broker("mqtt://b").port, Broker("mqtts://b").port, Broker("mqtt://[::1]:7").port) == (1883, 8883, 7)


def test_tls_with_the_right_ca_delivers(mosquitto: StartBroker, authority: Authority, tmp_path: Path) -> None:
    broker = mosquitto(lines=tls_lines(authority, *authority.issue("server")))
    with delivering("", tmp_path, broker=tls_broker(broker.port, ca_file=authority.certificate)) as (outbox, publisher):
        accept(outbox, "a1")
        assert publisher.wait_until_delivered(60)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("wrong ca", "from a CA that is not trusted: give that CA in ca_file"),
        ("system cas", "not trusted: give"),
        ("wrong host", "is for another"),
        ("expired", "has expired: renew it on the broker"),
        ("no tls", "TLS"),
    ],
)
def test_wrong_certificate_of_the_broker_is_one_clear_line(
    mosquitto: StartBroker,
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fault: str,
    line: str,
) -> None:
    host = "IP:192.0.2.1" if fault == "wrong host" else "IP:127.0.0.1"
    certificate, key = authority.issue("server", host=host, expired=fault == "expired")
    broker = mosquitto(lines=[] if fault == "no tls" else tls_lines(authority, certificate, key))
    ca = Authority(tmp_path / "other").certificate if fault == "wrong ca" else authority.certificate
    options = tls_broker(broker.port, ca_file=None if fault == "system cas" else ca)
    assert_rejected(options, tmp_path, caplog, line)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("none", "requires a client certificate"),
        ("other ca", "does not trust the CA of the client certificate"),
        ("expired", "the client certificate has expired: renew certificate_file"),
    ],
)
def test_wrong_client_certificate_is_one_clear_line(
    mosquitto: StartBroker,
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fault: str,
    line: str,
) -> None:
    """With TLS 1.3, the alert arrives after the handshake."""
    broker = mosquitto(lines=tls_lines(authority, *authority.issue("server"), "require_certificate true"))
    signer = Authority(tmp_path / "other") if fault == "other ca" else authority
    certificate, key = (None, None) if fault == "none" else signer.issue("client", expired=fault == "expired")
    options = tls_broker(broker.port, ca_file=authority.certificate, certificate_file=certificate, key_file=key)
    assert_rejected(options, tmp_path, caplog, line)


def test_client_certificate_is_rotated_without_a_restart(
    mosquitto: StartBroker, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one has expired; once the new one is in its place, the agent connects."""
    lines = tls_lines(
        authority, *authority.issue("server"), "require_certificate true", "use_identity_as_username true"
    )
    broker = mosquitto(lines=lines)
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    for source, target in zip(authority.issue("old", expired=True), (certificate, key), strict=True):
        shutil.copy(source, target)
    options = tls_broker(broker.port, ca_file=authority.certificate, certificate_file=certificate, key_file=key)
    with delivering("", tmp_path, broker=options, timing=QUICK) as (outbox, publisher):
        accept(outbox, "a1")
        wait_until(lambda: "the client certificate has expired" in caplog.text)
        assert outbox.waiting() == 1
        for source, target in zip(authority.issue("new"), (certificate, key), strict=True):
            shutil.copy(source, target)
        assert publisher.wait_until_delivered(60)


def test_rotated_file_renews_an_existing_connection(
    mosquitto: StartBroker, authority: Authority, tmp_path: Path
) -> None:
    broker = mosquitto(lines=tls_lines(authority, *authority.issue("server")))
    log = broker.directory / "mosquitto.log"
    ca = tmp_path / "ca.pem"
    shutil.copy(authority.certificate, ca)
    timing = replace(QUICK, files_check_seconds=0.1)
    with delivering("", tmp_path, broker=tls_broker(broker.port, ca_file=ca), timing=timing) as (_, publisher):
        wait_until(lambda: publisher.connected)
        os.utime(ca, (1, 1))
        wait_until(lambda: log.read_text().count("New client connected") == 2)


def test_the_key_of_a_client_certificate_may_be_a_credential(
    mosquitto: StartBroker, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd passes the key to this service only; the certificate is not secret."""
    broker = mosquitto(lines=tls_lines(authority, *authority.issue("server"), "require_certificate true"))
    certificate, key = authority.issue("client")
    (tmp_path / "credentials").mkdir()
    shutil.move(key, tmp_path / "credentials" / "mqtt-key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    options = tls_broker(broker.port, ca_file=authority.certificate, certificate_file=certificate)
    with delivering("", tmp_path, broker=options) as (outbox, publisher):
        accept(outbox, "a1")
        assert publisher.wait_until_delivered(60)


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_unusable_ca_file_is_one_line(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Temporary, match=r"ca_file .*ca\.pem") as caught:
        Broker("mqtts://broker", ca_file=file).tls_context()
    assert "\n" not in str(caught.value)


@pytest.fixture
def guarded(mosquitto: StartBroker, tmp_path: Path) -> Mosquitto:
    """A broker with one user, `agent`, password `s3cret-phrase`."""
    assert MOSQUITTO is not None
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    passwords = tmp_path / "passwords"
    passwords.write_text("agent:s3cret-phrase\n")
    assert os.spawnl(os.P_WAIT, tool, tool, "-U", str(passwords)) == 0
    return mosquitto(lines=["allow_anonymous false", f"password_file {passwords}"])


@pytest.mark.parametrize("place", ["file", "credential"])
def test_password_is_accepted_and_never_logged(
    guarded: Mosquitto,
    tmp_path: Path,
    place: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "mqtt-password"
    file.write_text("wrong\n")
    if place == "credential":
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    options = Broker(guarded.url, username="agent", password_file=file if place == "file" else None)
    with caplog.at_level(logging.DEBUG), delivering("", tmp_path, broker=options, timing=QUICK) as (outbox, publisher):
        accept(outbox, "a1")
        wait_until(lambda: "rejects the connection: Not authorized" in caplog.text)
        # As an editor on Windows writes it.
        file.write_bytes(b"\xef\xbb\xbfs3cret-phrase\r\n")
        assert publisher.wait_until_delivered(60)
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(options)


class OldBroker:
    """A relay to a real broker that does not support MQTT 5: it rejects version 5 as old brokers do."""

    def __init__(self, port: int, *, answer: bytes) -> None:
        self._broker_port = port
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            connect = client.recv(4096)
            level = connect[connect.index(b"MQTT") + 4]
            if level == 5:
                client.sendall(self._answer)
                client.close()
                continue
            broker = socket.create_connection(("127.0.0.1", self._broker_port))
            broker.sendall(connect)
            for source, target in ((client, broker), (broker, client)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # the other direction has closed both
            while data := source.recv(65_536):
                target.sendall(data)
        target.close()


@pytest.mark.parametrize(
    "answer",
    [b"\x20\x03\x00\x84\x00", b"\x20\x02\x00\x01", b""],
    ids=["CONNACK 0x84", "CONNACK of 3.1.1 with code 1", "closed without an answer"],
)
def test_broker_without_mqtt_5_is_used_with_3_1_1(mosquitto: StartBroker, tmp_path: Path, answer: bytes) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(OldBroker(broker.port, answer=answer).url, tmp_path, timing=QUICK) as (outbox, publisher):
        accept(outbox, "a1")
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: subscriber.on("/alarm"))
    assert not hasattr(subscriber.on("/alarm")[0].properties, "UserProperty")
