"""The page as the process that a user starts, and a client that is none of ours."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.agents import INSPECTD
from tests.support.broker import free_port, wait_until

PASSWORD = "correct horse"


@dataclass
class Page:
    """A running page."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def client(self, person: str | None = None) -> Client:
        """A client, logged in as this person if there is one."""
        client = Client(self.port)
        if person is not None:
            assert client.log_in(person).status == 200
        return client

    def memory_bytes(self) -> int:
        """Resident memory of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def descriptors(self) -> int:
        """Open file descriptors of the process."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Keeps cookie and token as a browser does."""

    port: int
    cookie: str | None = None
    csrf: str | None = None
    more: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own; `_` in names of headers is `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie is not None:
            given.setdefault("Cookie", self.cookie)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {**self.more, **given})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, **headers)

    def post(self, path: str, document: Any = None, **headers: str) -> Answer:
        """A change, with the session's token unless another one is given."""
        if self.csrf is not None:
            headers.setdefault("X_CSRF_Token", self.csrf)
        headers.setdefault("Content_Type", "application/json")
        return self.send("POST", path, json.dumps(document or {}).encode(), **headers)

    def log_in(self, name: str, password: str = PASSWORD) -> Answer:
        answer = self.post("/api/login", {"name": name, "password": password})
        if answer.status == 200:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.csrf = answer.document["csrf"]
        return answer


@contextmanager
def running_page(config: Path, *, page: str = "", people: Mapping[str, str] | None = None) -> Iterator[Page]:
    """`inspectd page` for an agent's settings file, which gets the section; `people`: accounts by name with roles."""
    port = free_port()
    config.write_text(config.read_text() + f"\n[page]\nport = {port}\n{page}\n")
    with _serving("page", config, port, people or {"vera": "view", "otto": "operate", "anna": "engineer"}) as served:
        yield served


@contextmanager
def running_fleet(
    directory: Path,
    url: str,
    *,
    mqtt: str = "",
    page: str = "",
    more: str = "",
    people: Mapping[str, str] | None = None,
) -> Iterator[Page]:
    """`inspectd fleet` for a broker, with its state in `directory`; `mqtt` and `page` are lines of these sections."""
    port = free_port()
    config = directory / "fleet.toml"
    state = f'state_directory = "{directory / "fleet"}"'
    config.write_text(f'{state}\n{more}\n[mqtt]\nurl = "{url}"\n{mqtt}\n[page]\nport = {port}\n{page}\n')
    with _serving("fleet", config, port, people or {"vera": "view", "anna": "engineer"}) as served:
        yield served


@contextmanager
def _serving(command: str, config: Path, port: int, people: Mapping[str, str]) -> Iterator[Page]:
    add_people(command, config, people)
    log = config.parent / f"{command}.log"
    with log.open("ab") as out:
        process = subprocess.Popen([*INSPECTD, command, "-c", str(config)], stdout=out, stderr=out)
    try:
        wait_until(lambda: _answers(port, process, log), seconds=120, what="the page")
        yield Page(port, process, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def add_people(command: str, config: Path, people: Mapping[str, str]) -> None:
    """Accounts by name with roles: the first as `inspectd COMMAND user add` makes it, which takes a second for each."""
    from agent.core.roles import Role
    from agent.page.security.accounts import Accounts

    (first, role), *others = people.items()
    add = [*INSPECTD, command, "user", "add", first, "--role", role, "--password-stdin", "-c", str(config)]
    subprocess.run(add, input=f"{PASSWORD}\n".encode(), check=True, capture_output=True)
    (file,) = config.parent.glob("*/page-accounts.json")
    for name, role in others:
        Accounts(file).set(name, Role.parse(role), PASSWORD)


def _answers(port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return Client(port).get("/api/session").status == 200
    except OSError:
        return False
