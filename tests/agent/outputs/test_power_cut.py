"""What a power cut would leave behind: the order in which the agent writes, syncs and sends. A kill cannot show it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.broker import Mosquitto, Subscriber, wait_until

ROOT = Path(__file__).parents[3]
ALARMS = 20


def alarms_in(line: str) -> set[int]:
    """The alarms whose documents a call contains: a page of the log may have several."""
    return {int(number) for number in re.findall(r"power-cut-(\d+)", line)}


@pytest.mark.parametrize("together", [1, 10])
def test_alarm_is_synced_before_its_publish_leaves(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, together: int
) -> None:
    """For each alarm, in this order: its image is written to a segment, the segment is synced, the document and the
    row that refers to the image are written to the log, the log is synced, and only then is the document sent.
    """
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: apt install strace")
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/+/+/alarm", client_id="plc")
    trace = tmp_path / "trace"
    calls = "trace=pwrite64,pwritev,pwritev2,write,fsync,fdatasync,sendto,sendmsg"
    agent = [sys.executable, "-m", "tests.support.traced_agent", broker.url, str(tmp_path), str(ALARMS), str(together)]
    result = subprocess.run(
        [strace, "-f", "-y", "-s", "20000", "-e", calls, "-o", str(trace), *agent],
        cwd=ROOT,
        capture_output=True,
        timeout=200,
        check=False,
    )
    if b"ptrace" in result.stderr.lower() and result.returncode != 0:
        pytest.skip("tracing is not allowed here")
    assert result.returncode == 0, result.stderr.decode()
    wait_until(lambda: len(subscriber.messages) >= ALARMS)
    lines = trace.read_text(errors="replace").splitlines()
    for number in range(ALARMS):
        mine = [index for index, line in enumerate(lines) if number in alarms_in(line)]
        written = [index for index in mine if "pwrite" in lines[index] and "outbox.sqlite-wal>" in lines[index]]
        sent = [index for index in mine if "sendto(" in lines[index] or "sendmsg(" in lines[index]]
        assert written, f"alarm {number} was never written to the log"
        assert sent, f"alarm {number} was never sent"
        assert synced(r"outbox\.sqlite-wal", lines[written[0] : sent[0]]), (
            f"alarm {number} was sent before it was durable"
        )
        image = [i for i, line in enumerate(lines) if f'"image-of-{number}.' in line and "/segment-" in line]
        assert image, f"the image of alarm {number} was never written"
        assert synced(r"segment-\d+", lines[image[0] : written[0]]), f"the image of alarm {number} was not yet durable"


def synced(file: str, lines: list[str]) -> bool:
    """A sync of a file with this name has returned within these lines."""
    return any(is_sync_of(file, line, lines) for line in lines)


def is_sync_of(file: str, line: str, lines: list[str]) -> bool:
    """If another thread interrupts a call, strace prints it in two lines."""
    if re.search(rf"\bf(data)?sync\(\d+<[^>]*{file}>\)\s*= 0", line):
        return True
    ended = re.match(r"(\d+) +<\.\.\. f(data)?sync resumed>.*= 0", line)
    if ended is None:
        return False
    begun = re.compile(rf"{ended[1]} +f(data)?sync\(\d+<[^>]*{file}>.*unfinished")
    return any(begun.match(earlier) for earlier in lines)
