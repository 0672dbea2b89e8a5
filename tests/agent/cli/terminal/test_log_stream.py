"""The log on a pipe that nobody reads: nothing waits for it, and what is missing is counted."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from agent.cli.terminal.log_stream import FLUSH_SECONDS, BackgroundStreamHandler
from engines.bundles import Bundle
from tests.support.agents import GOOD_PARTS, INSPECTD, await_state, configure, is_armed, socket_path
from tests.support.broker import wait_until


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe of 4 KiB: the descriptor to read, the stream to write."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    stream = os.fdopen(write, "w")
    yield read, stream
    os.close(read)  # A write that waits fails now, and the stream can be closed.
    with contextlib.suppress(BrokenPipeError):
        stream.close()


def log_line(handler: logging.Handler, message: str) -> None:
    handler.handle(logging.makeLogRecord({"msg": message, "levelno": logging.INFO, "levelname": "INFO"}))


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, TextIO]) -> None:
    read, stream = pipe
    handler = BackgroundStreamHandler(stream.fileno())
    for index in range(10):
        log_line(handler, f"line {index}")
    handler.flush()
    assert os.read(read, 4096).decode().splitlines() == [f"line {index}" for index in range(10)]


def test_reader_that_stops_holds_nobody_up_and_finds_what_is_missing(pipe: tuple[int, TextIO]) -> None:
    read, stream = pipe
    handler = BackgroundStreamHandler(stream.fileno(), capacity=100)
    start = time.monotonic()
    for index in range(1000):
        log_line(handler, f"line {index} {'x' * 200}")
    assert time.monotonic() - start < 5.0
    text: list[bytes] = []
    threading.Thread(target=lambda: text.extend(iter(lambda: os.read(read, 65536), b"end\n")), daemon=True).start()
    handler.flush()
    log_line(handler, "after")
    wait_until(lambda: b"".join(text).endswith(b"after\n"), what="the last line")
    lines = b"".join(text).decode().splitlines()
    numbers = [int(line.split()[1]) for line in lines if line.startswith("line ")]
    missing = [int(line.split()[0]) for line in lines if line.endswith("are missing here: they were not read in time")]
    assert numbers == sorted(set(numbers)), "in order, none twice"
    assert missing
    assert len(numbers) + sum(missing) == 1000
    assert lines[-1] == "after"
    os.write(stream.fileno(), b"end\n")


def test_reader_that_has_gone_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    gone = os.fdopen(writer, "w")
    handler = BackgroundStreamHandler(gone.fileno())
    log_line(handler, "nobody reads this")
    handler.flush()
    log_line(handler, "nor this")
    start = time.monotonic()
    handler.flush()
    assert time.monotonic() - start < FLUSH_SECONDS, "the lines are still waiting"
    with contextlib.suppress(BrokenPipeError):
        gone.close()


def test_agent_inspects_and_stops_while_its_log_is_stuck(tmp_path: Path, tiny_bundle: Bundle) -> None:
    """A pipe that is full before the first line: a hanging journal, a paused pager."""
    config = configure(tmp_path, tiny_bundle, GOOD_PARTS)
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    os.write(write, b"\n" * 4096)
    command = [*INSPECTD, "run", "--config", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=write)
    try:
        state = await_state(socket_path(tmp_path), is_armed)
        inspected = await_state(socket_path(tmp_path), lambda found: found["frames"] > state["frames"] + 100)
        assert inspected["phase"] == "armed"
        second = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=write, timeout=60, check=False)
        assert second.returncode == 1, "the state directory is locked; its error line is stuck too"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(write)
        os.close(read)
