"""The server and real clients: pymodbus's, Debian's mbpoll, and bytes that no client would send."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core.problems import Problems
from agent.messages import CommandResponse
from agent.outputs import Output, build_outputs
from agent.outputs.modbus.register_map import Status
from agent.outputs.outbox import Outbox
from agent.outputs.settings import parse_section
from tests.agent.outputs.modbus.support import AT, bits, client, part, read, state
from tests.support.broker import free_port, wait_until

Start = Callable[..., Output]


class Agent:
    """Takes commands like the agent, and remembers them."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str | None, bytes, str]] = []
        self.ok = True

    def execute(self, name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
        self.commands.append((name, camera, payload, by))
        return CommandResponse(command=name, site="plant", camera=camera, at=AT, ok=self.ok, error=None, result={})


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def start(tmp_path: Path, port: int, agent: Agent, problems: Problems) -> Iterator[Start]:
    """Starts an output with these cameras and settings, as the service does."""
    outbox, running = Outbox(tmp_path / "outbox.sqlite"), []

    def started(*cameras: str, armed: bool = True, **more: Any) -> Output:
        section = parse_section({"kind": "modbus", "port": port, **more})
        (output,) = build_outputs({"plc": section}, site="plant", outbox=outbox, problems=problems)
        running.append(output)
        output.serve_commands(agent.execute)
        output.announce(dict.fromkeys(cameras or ("line1",), "m"))
        output.start()
        for camera in cameras or ("line1",):
            output.publish_state(state(camera=camera) if armed else state(ready=False, camera=camera))
        return output

    yield started
    for output in running:
        assert output.stop(5.0)
    outbox.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "modbus"]


def is_disconnected(plc: Any) -> bool:
    connected: socket.socket = plc.socket
    connected.settimeout(5.0)
    return connected.recv(1) == b""


def await_bits(plc: Any, wanted: Status, unit: int = 1) -> dict[str, int | float]:
    wait_until(lambda: bool(bits(read(plc, unit)) & wanted), what=str(wanted))
    return read(plc, unit)


def test_a_trigger_is_the_command_inspect_and_its_result_is_shown(start: Start, port: int, agent: Agent) -> None:
    output = start()
    with client(port) as plc:
        plc.write_register(0, 0)
        await_bits(plc, Status.READY)
        before = time.monotonic()
        plc.write_registers(0, [1, 3, 1, 2])
        await_bits(plc, Status.BUSY)
        wait_until(lambda: len(agent.commands) == 1)
        ((name, camera, payload, by),) = agent.commands
        assert (name, camera, by) == ("inspect", "line1", "output plc")
        assert b'"part":"65538"' in payload
        output.show_result(part("65538", started=before - 1.0))
        output.show_result(part("65538", started=time.monotonic()))
        values = await_bits(plc, Status.RESULTS_READY)
        assert (values["part"], values["product"], values["verdict"], values["score"]) == (65538, 3, 1, 0.25)
        assert values["ok_count"] == 2, "of which one was not shown"
        found = plc.read_discrete_inputs(0, count=16).bits
        assert [place for place in range(1, 16) if found[place]] == [3, 4, 7, 13]
        assert plc.read_coils(0, count=3).bits[:3] == [True, False, False]
        assert plc.read_holding_registers(0, count=4).registers == [1, 3, 1, 2]
        assert output.report().connected


def test_a_rejected_command_is_shown(start: Start, port: int, agent: Agent) -> None:
    agent.ok = False
    start()
    with client(port) as plc:
        plc.write_register(0, 0)
        await_bits(plc, Status.READY)
        plc.write_coil(0, True)
        assert await_bits(plc, Status.REJECTED)["rejection"] == 2
        plc.write_coil(0, False)
        assert bits(read(plc)) & (Status.REJECTED | Status.READY) == Status.READY


def test_inputs_cannot_be_written_through_any_block(start: Start, port: int) -> None:
    """With one block for everything, writing coil or holding register 13 would change the verdict that is read."""
    start(armed=False)
    with client(port) as plc:
        before = {**read(plc), "heartbeat": 0, "status": 0}
        plc.write_coils(0, [False] * 3 + [True] * 13)
        assert plc.write_registers(0, [0, 0xFFFF, 0xFFFF, 0xFFFF]).isError() is False
        for address in (4, 13, 40, 65535):
            assert plc.write_register(address, 1).exception_code == 2
        assert plc.write_coil(16, True).exception_code == 2
        assert plc.mask_write_register(address=1, and_mask=0xFF, or_mask=0).isError() is False
        assert plc.read_holding_registers(1, count=1).registers == [0xFF]
        assert {**read(plc), "heartbeat": 0, "status": 0} == before
        assert plc.readwrite_registers(read_address=0, read_count=4, write_address=1, values=[5]).registers == [
            0,
            5,
            0xFFFF,
            0xFFFF,
        ]
        assert plc.read_input_registers(39, count=2).exception_code == 2


def test_each_camera_has_its_unit_id(start: Start, port: int) -> None:
    output = start("a", "b", units={"a": 9})
    with client(port) as plc:
        output.show_result(part("x", camera="b", started=0.0))
        wait_until(lambda: read(plc, 1)["ok_count"] == 1)
        assert read(plc, 9)["ok_count"] == 0
        assert plc.read_input_registers(0, count=1, device_id=2).exception_code == 11
        assert plc.write_register(0, 1, device_id=2).exception_code == 11


def test_every_unit_id_is_the_only_camera(start: Start, port: int) -> None:
    start()
    with client(port) as plc:
        assert [read(plc, unit)["map_version"] for unit in (0, 1, 77, 255)] == [1, 1, 1, 1]


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="needs mbpoll")
def test_mbpoll_reads_and_writes(start: Start, port: int) -> None:
    start()
    with client(port):
        pass

    def mbpoll(*arguments: str) -> str:
        command = ["mbpoll", "-m", "tcp", "-p", str(port), "-a", "1", "-0", "-1", "-q", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    mbpoll("-t", "4", "-r", "1", "127.0.0.1", "7", "1", "2")
    lines = mbpoll("-t", "4", "-r", "0", "-c", "4", "127.0.0.1").split("\n")
    assert [line.split()[1] for line in lines if line.startswith("[")] == ["0", "7", "1", "2"]
    big_endian = mbpoll("-t", "3:float", "-B", "-r", "16", "-c", "1", "127.0.0.1")
    assert "-1" in big_endian.split("[16]:")[1].split()[0]
    assert mbpoll("-t", "1", "-r", "13", "-c", "1", "127.0.0.1").split("[13]:")[1].split()[0] == "1"


def request(transaction: int, *body: int, protocol: int = 0) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in (transaction, protocol, len(body))) + bytes(body)


def answer(connected: socket.socket) -> bytes:
    """The next response; empty if the server has disconnected."""
    head = b""
    while len(head) < 6:
        got = connected.recv(6 - len(head))
        if not got:
            return b""
        head += got
    body = b""
    while len(body) < int.from_bytes(head[4:6], "big"):
        body += connected.recv(300)
    return head + body


def test_requests_that_arrive_together_are_carried_out_in_their_order(start: Start, port: int, agent: Agent) -> None:
    """A trigger must not overtake the part number that was sent before it."""
    start()
    with client(port) as plc:
        plc.write_register(0, 0)
        await_bits(plc, Status.READY)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connected:
        numbers = request(1, 1, 16, 0, 2, 0, 2, 4, 0, 0, 0x12, 0x67)
        connected.sendall(numbers + request(2, 1, 5, 0, 0, 0xFF, 0) + request(3, 1, 2, 0, 0, 0, 16)[:5])
        assert [answer(connected)[:2] for _ in range(2)] == [b"\0\1", b"\0\2"]
        connected.sendall(request(3, 1, 2, 0, 0, 0, 16)[5:])
        assert answer(connected)[9] & 4, "busy"
    wait_until(lambda: len(agent.commands) == 1)
    assert b'"part":"4711"' in agent.commands[0][2]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n",
        request(1, 1, 3, 0, 0, 0, 1, protocol=7),
        b"\0\1\0\0\0\0",
        b"\0\1\0\0\xff\xff" + b"x" * 400,
    ],
    ids=["http", "another protocol", "no length", "too long"],
)
def test_bytes_that_are_no_request_end_their_connection_only(start: Start, port: int, sent: bytes) -> None:
    start()
    with client(port) as plc:
        read(plc)
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connected:
            connected.sendall(sent)
            assert answer(connected) == b""
        assert read(plc)["map_version"] == 1


def test_random_requests_neither_stop_the_server_nor_trigger_anything(
    start: Start, port: int, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    start(armed=False, max_clients=32)
    chance = random.Random(5)
    with client(port) as plc:
        for _ in range(200):
            read(plc)
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connected:
                for transaction in range(3):
                    body = chance.randbytes(chance.randint(2, 20))
                    connected.sendall(request(transaction, *body))
        assert read(plc)["map_version"] == 1
    assert agent.commands == []
    assert "Traceback" not in caplog.text


def test_other_addresses_are_disconnected(start: Start, port: int, caplog: pytest.LogCaptureFixture) -> None:
    start(allow=["127.0.0.2"])
    with client(port, source_address=("127.0.0.2", 0)) as plc:
        assert read(plc)["map_version"] == 1
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connected:
                connected.sendall(request(1, 1, 4, 0, 0, 0, 1))
                with pytest.raises((ConnectionError, AssertionError)):
                    assert answer(connected) != b""
        assert read(plc)["map_version"] == 1
    assert caplog.text.count("rejected: its address is not in the setting allow") == 1


def test_the_most_silent_client_makes_room(start: Start, port: int) -> None:
    """A PLC that lost its power leaves a connection behind, and must find a place again."""
    start(max_clients=2)
    with client(port) as first, client(port) as second:
        read(first)
        read(second)
        read(first)
        with client(port) as third:
            assert read(third)["map_version"] == 1
            assert read(first)["map_version"] == 1
            assert is_disconnected(second)


def test_clients_that_were_disconnected_leave_nothing_behind(start: Start, port: int) -> None:
    """The limit holds after any number of them, and descriptors stay flat."""
    output = start(max_clients=3)
    with client(port) as first:
        read(first)
        before = len(list(Path("/proc/self/fd").iterdir()))
        for number in range(60):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connected:
                # Some send what ends the connection, some are pushed out by later ones, and some just leave.
                if number % 3 == 0:
                    connected.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    assert answer(connected) == b""
            read(first)
        crowd = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(10)]
        wait_until(lambda: [gone(each) for each in crowd].count(True) >= 7, what="seven without a place")
        for each in crowd:
            each.close()
        assert output.report().connected
        wait_until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before, what="no descriptor left")
    wait_until(lambda: not output.report().connected, what="nobody connected")


def gone(connected: socket.socket) -> bool:
    """Whether the server has disconnected this client."""
    connected.settimeout(0.01)
    try:
        return connected.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_a_taken_port_is_reported_until_it_is_free(start: Start, port: int, problems: Problems) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        start()
        wait_until(lambda: problems.all() != [], what="the problem")
        assert problems.all() == [f"Modbus server: 127.0.0.1 port {port} cannot be opened: Address already in use"]
    with client(port) as plc:
        assert read(plc)["map_version"] == 1
    wait_until(lambda: problems.all() == [], what="no problem any more")


def test_stop_disconnects_clients_and_frees_the_port(start: Start, port: int) -> None:
    output = start()
    with client(port) as plc:
        read(plc)
        assert output.stop(5.0)
        assert is_disconnected(plc)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    output.publish_state(state())
    output.show_result(part("1", started=0.0))
