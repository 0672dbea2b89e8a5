"""The OPC UA server as the process that a user starts, and clients of asyncua."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.opcua.certificate import make_certificate
from tests.support.agents import INSPECTD
from tests.support.broker import free_port, wait_until
from tests.support.page import PASSWORD, add_people

PEOPLE = {"vera": "view", "otto": "operate"}
MODEL = "http://opcfoundation.org/UA/MachineVision"


@dataclass
class OpcuaServer:
    """A server that `start` and `kill` may follow each other for."""

    config: Path
    port: int
    directory: Path
    """With `server.pem`, `trusted`, `client.pem` and `client-key.pem`."""
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start the process, and wait until it listens."""
        with (self.directory / "opcua.log").open("ab") as out:
            self.process = subprocess.Popen([*INSPECTD, "opcua", "-c", str(self.config)], stdout=out, stderr=out)
        wait_until(
            lambda: self.process.poll() is not None or _listens(self.port), seconds=180, what="the OPC UA server"
        )
        assert self.process.poll() is None, self.log

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        return f"opc.tcp://{self.host}:{self.port}/inspectd"

    @property
    def log(self) -> str:
        return (self.directory / "opcua.log").read_text()


def opcua_section(directory: Path, port: int) -> str:
    """The settings of a server with its files in `directory`."""
    return f"""
[opcua]
port = {port}
certificate_file = "{directory}/server.pem"
key_file = "{directory}/server.key"
trusted_directory = "{directory}/trusted"
rejected_directory = "{directory}/rejected"
"""


@contextmanager
def running_opcua(config: Path) -> Iterator[OpcuaServer]:
    """`inspectd opcua` for an agent's settings file, which gets the section; it trusts one client."""
    directory, port = config.parent / "opcua", free_port()
    (directory / "trusted").mkdir(parents=True)
    config.write_text(config.read_text() + opcua_section(directory, port))
    make_client(directory, "client")
    (directory / "trusted" / "client.pem").write_bytes((directory / "client.pem").read_bytes())
    run = [*INSPECTD, "opcua", "certificate", "--host", "127.0.0.1", "-c", str(config)]
    subprocess.run(run, check=True, capture_output=True)
    add_people("page", config, PEOPLE)
    server = OpcuaServer(config, port, directory)
    server.start()
    try:
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


def make_client(directory: Path, name: str) -> None:
    """A certificate of a client, signed by itself, and its key: `NAME.pem` and `NAME-key.pem`."""
    make_certificate(directory / f"{name}.pem", directory / f"{name}-key.pem", site=name, hosts=["127.0.0.1"])


def client_uri(name: str) -> str:
    """The application URI in a certificate of `make_client`."""
    return f"urn:{socket.gethostname()}:inspectd:{name}"


@asynccontextmanager
async def opcua_client(
    server: OpcuaServer, person: str = "otto", *, name: str = "client", password: str = PASSWORD
) -> AsyncIterator[Any]:
    """A client that is logged in, over an encrypted channel."""
    client = await unconnected(server, person, name=name, password=password)
    async with client:
        await client.load_data_type_definitions()
        yield client


async def unconnected(
    server: OpcuaServer, person: str | None = "otto", *, name: str = "client", password: str = PASSWORD
) -> Any:
    """A client that has not connected yet."""
    from asyncua import Client
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

    client = Client(server.url, timeout=20)
    client.application_uri = client_uri(name)
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        certificate=str(server.directory / f"{name}.pem"),
        private_key=str(server.directory / f"{name}-key.pem"),
        server_certificate=str(server.directory / "server.pem"),
    )
    if person is not None:
        client.set_user(person)
        client.set_password(password)
    return client


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True
