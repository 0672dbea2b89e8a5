"""No result is for a wrong part, whether the agent or the OPC UA server is killed, and whenever."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from agent.commands import ask
from engines.bundles.bundle import Bundle
from tests.agent.opcua.test_handshake import AUTOMATIC, MACHINE, RESULT_READY, Camera, job, subscribed
from tests.agent.opcua.test_outages import arm
from tests.support.agent_settings import settings_text
from tests.support.agents import GOOD_PARTS, Starter, agent_processes, await_state, is_armed, socket_path
from tests.support.opcua import OpcuaServer, running_opcua, unconnected

ua = pytest.importorskip("asyncua", reason="the extra opcua is not installed").ua

COMPLETED, ABORTED = 1, 3

# Of results that can be lost with a kill: they are shown before they are stored.
MOST_UNSTORED = 5


class Kill(Enum):
    """What is killed, and when."""

    AGENT = "the agent, while a job is under way"
    IDLE_AGENT = "the agent, before a job is started"
    SERVER = "the OPC UA server, while a job is under way"


@dataclass
class Handshakes:
    """What became of the jobs of a client that goes through them one after the other."""

    jobs: int = 0
    """Started: the server has returned their id."""
    judged: int = 0
    aborted: int = 0
    lost: int = 0
    """Without a result, because the server was killed."""
    rejected: int = 0
    """Not started, because the agent was not there."""
    restarts: int = 0
    """After which the camera was not ready before it was armed."""
    results: dict[str, tuple[str, str, float]] = field(default_factory=dict, repr=False)
    """Part, verdict and score of the judged ones, by the id of the result."""


class Session:
    """One connection of the client."""

    def __init__(self, client: Any, camera: Camera, counts: Handshakes) -> None:
        self._client = client
        self._camera = camera
        self._counts = counts
        self._seen: set[str] = set()

    @classmethod
    async def begin(cls, client: Any, counts: Handshakes) -> Session:
        session = cls(client, await Camera.of(client, "line1"), counts)
        at = session._camera.at
        session._top, session._automatic = await at(f"{MACHINE}/CurrentState"), await at(f"{AUTOMATIC}/CurrentState")
        session._parent, session._method = await at(AUTOMATIC), await at(f"{AUTOMATIC}/StartSingleJob")
        session._heard = await subscribed(client, session._camera.root, RESULT_READY, interval_ms=10)
        return session

    async def is_ready(self) -> bool:
        """Whether a job can start."""
        found = await self._automatic.read_data_value(raise_on_bad_status=False)
        return found.StatusCode.is_good() and found.Value.Value.Text == "Ready"

    async def await_ready(self) -> None:
        end = time.monotonic() + 60.0
        while not await self.is_ready():
            assert time.monotonic() < end, "not ready within a minute"
            await asyncio.sleep(0.005)

    async def await_not_operational(self) -> None:
        """Until the server has noticed that the agent is gone."""
        end = time.monotonic() + 10.0
        while (await self._top.read_value()).Text == "Operational":
            assert time.monotonic() < end, "still operational"
            await asyncio.sleep(0.005)

    async def start(self, part: str) -> str | None:
        """Start a job; its id, or None where it was rejected."""
        try:
            started, error = await self._parent.call_method(self._method, *job(part))
        except ua.uaerrors.BadInvalidState:
            started, error = ua.JobIdDataType(), 1
        if error:
            assert not started.Id
            self._counts.rejected += 1
            return None
        self._counts.jobs += 1
        return str(started.Id)

    async def take(self, identity: str, part: str, asked: datetime) -> None:
        """The result of a job. Results of parts that belong to no job of this client may come in between."""
        while True:
            event = await self._heard.next()
            if event.JobId.Id == identity:
                break
            assert event.JobId.Id not in self._seen, "a second result of one job"
            assert event.MeasId is None, "a result of no job has a measurement of one"
        self._seen.add(identity)
        assert (event.PartId.Id, event.MeasId.Id) == (part, "m1"), "a result for a wrong part"
        if event.ResultState == ABORTED:
            assert event.ResultContent[0].Value == "not_judged"
            self._counts.aborted += 1
            return
        assert event.ResultState == COMPLETED
        # Times of capture are in milliseconds.
        begun = event.ProcessingTimes.StartTime.replace(tzinfo=timezone.utc)
        assert begun >= asked.replace(microsecond=asked.microsecond // 1000 * 1000), "a frame from before the job"
        verdict, score = (each.Value for each in event.ResultContent[:2])
        self._counts.judged += 1
        self._counts.results[event.ResultId.Id] = (part, verdict, score)


@dataclass
class Line:
    """An agent and its OPC UA server, both as processes that can be killed."""

    directory: Path
    start: Starter
    server: OpcuaServer
    counts: Handshakes = field(default_factory=Handshakes)
    random: random.Random = field(default_factory=lambda: random.Random(21))

    def __post_init__(self) -> None:
        self.agent = self.start()
        self.numbers = itertools.count(1)

    def restart_agent(self) -> None:
        self.agent.kill()
        self.agent.wait()
        self.agent = self.start()

    def is_armed(self) -> bool:
        return is_armed(await_state(socket_path(self.directory), lambda state: True))

    async def inspect(self, session: Session) -> None:
        """One part, from ready to its result."""
        await session.await_ready()
        part, asked = f"SN-{next(self.numbers)}", datetime.now(timezone.utc)
        identity = await session.start(part)
        assert identity is not None
        await session.take(identity, part, asked)

    async def kill(self, session: Session, kill: Kill) -> None:
        """Kill, some milliseconds after a job was started or just before, and start again."""
        await session.await_ready()
        part, asked = f"SN-{next(self.numbers)}", datetime.now(timezone.utc)
        if kill is Kill.IDLE_AGENT:
            self.restart_agent()
        identity = await session.start(part)
        if kill is not Kill.IDLE_AGENT:
            await asyncio.sleep(self.random.uniform(0.0, 0.04))
        if kill is Kill.SERVER:
            # The result is lost, even where it is on its way.
            self.server.kill()
            self.counts.lost += 1
            self.server.start()
            return
        if kill is Kill.AGENT:
            self.restart_agent()
        await session.await_not_operational()
        if identity is not None:
            await session.take(identity, part, asked)
        await self.await_armed(session)

    async def await_armed(self, session: Session) -> None:
        """Ready is shown, and then the agent is armed."""
        await session.await_ready()
        assert self.is_armed(), "ready before the camera is armed"
        self.counts.restarts += 1


@asynccontextmanager
async def connected(line: Line) -> AsyncIterator[Session]:
    """A session of the client; the server may be killed within it."""
    client = await unconnected(line.server)
    await client.connect()
    try:
        await client.load_data_type_definitions()
        yield await Session.begin(client, line.counts)
    finally:
        with suppress(OSError, asyncio.TimeoutError):
            await client.disconnect()


async def run(line: Line, *, jobs: int, kills: Sequence[Kill]) -> None:
    """At least so many jobs, with these kills spread evenly among them."""
    share = -(-jobs // (len(kills) + 1))
    remaining: list[Kill | None] = [*kills, None]
    while remaining:
        async with connected(line) as session:
            await line.await_armed(session)
            kill: Kill | None = Kill.AGENT
            while remaining and kill is not Kill.SERVER:
                for _ in range(share):
                    await line.inspect(session)
                kill = remaining.pop(0)
                if kill is not None:
                    await line.kill(session, kill)


def compare_with_the_agents_own(line: Line) -> int:
    """Compare the results that the client got with those that the agent has stored; how many are not stored."""
    stored: dict[str, tuple[str, str, float]] = {}
    before = None
    while True:
        page = ask(socket_path(line.directory), "results/list", "line1", limit=1000, before=before)["parts"]
        if not page:
            break
        stored |= {each["id"]: (each["part"], each["verdict"], each["score"]) for each in page}
        before = page[-1]["number"]
    unstored = [each for each in line.counts.results if each not in stored]
    for identity, result in line.counts.results.items():
        assert stored.get(identity, result) == result
    return len(unstored)


def soak(line: Line, *, jobs: int, agent_kills: int, server_kills: int) -> Handshakes:
    """Jobs, while agent and server are killed so many times. Every other agent is killed with no job under way."""
    arm(line.directory)
    agents = [Kill.IDLE_AGENT if number % 2 else Kill.AGENT for number in range(agent_kills)]
    kills = [*agents, *[Kill.SERVER] * server_kills]
    line.random.shuffle(kills)
    asyncio.run(run(line, jobs=jobs, kills=kills))
    counts = line.counts
    assert counts.judged + counts.aborted + counts.lost == counts.jobs >= jobs
    assert counts.lost == server_kills
    assert counts.aborted + counts.rejected <= agent_kills
    assert counts.restarts == agent_kills + server_kills + 1
    assert compare_with_the_agents_own(line) <= MOST_UNSTORED * agent_kills
    return counts


@contextmanager
def running_line(directory: Path, bundle: Path) -> Iterator[Line]:
    """A triggered camera at 100 frames a second."""
    config = directory / "inspectd.toml"
    text = settings_text(bundle, GOOD_PARTS, sections='[log]\nlevel = "error"')
    config.write_text(text + "[cameras.line1.parts]\ntrigger = true\n")
    with running_opcua(config) as server, agent_processes(config) as start:
        yield Line(directory, start, server)


def test_no_result_is_for_a_wrong_part_while_agent_and_server_are_killed(tmp_path: Path, tiny_bundle: Bundle) -> None:
    with running_line(tmp_path, tiny_bundle.path) as line:
        soak(line, jobs=30, agent_kills=2, server_kills=1)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_ten_thousand_jobs_and_forty_kills(tmp_path: Path, tiny_bundle: Bundle) -> None:
    with running_line(tmp_path, tiny_bundle.path) as line:
        print(soak(line, jobs=10_000, agent_kills=20, server_kills=20))
