"""Made the data beside this file: `python tests/data/outbox-0.1/make.py` at revision b4650c8, and works with no other.

Kept as a record. Its imports are those of that revision, and later code moved them: do not adapt it. It needed
Mosquitto and the train extra, and took a minute. Every run gives other ids, times and images.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CAMERAS = ("line1", "line2")
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import torch  # noqa: E402
from agent.outbox.rows import COLUMNS, row_of  # noqa: E402
from agent.outbox.segments import Segments  # noqa: E402
from agent.sources.simulation.line import Line  # noqa: E402
from engines.bundle import read_bundle, write_lean_copy  # noqa: E402
from tests.agent.delivery import delivering  # noqa: E402
from tests.broker import Mosquitto, Subscriber, wait_until  # noqa: E402

from agent.settings import load  # noqa: E402
from engines.training import train  # noqa: E402

SETTINGS = load(HERE / "inspectd.toml")


def make_bundle(directory: Path) -> None:
    """Trains a model of 64×16 pixels on the crop that both cameras inspect, 60 kB compressed, for missing holes."""
    crop = SETTINGS.cameras["line1"].crop
    assert crop is not None
    line, good = Line(seed=1000, defect_rate=0.0, frames_per_part=1), directory / "good"
    good.mkdir()
    for index in range(300):
        image = line.image(index)[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
        cv2.imwrite(str(good / f"{index:03}.png"), image)
    torch.set_num_threads(1)
    options = {"filters": 4, "latent": 16}
    train(
        good,
        out=directory / "plate.bundle",
        recipe="reference",
        size=(16, 64),
        steps=1500,
        minutes=None,
        options=options,
    )
    write_lean_copy(read_bundle(directory / "plate.bundle"), directory / "device" / "plate.bundle")


def run_and_kill(device: Path, broker: Mosquitto) -> None:
    """Delivers two alarms, loses its broker, raises more, and gets SIGKILL while line1's third alarm is active."""
    subscriber = Subscriber(broker, "inspectd/#")
    log = device.parent / "log"
    command = [sys.executable, "-m", "agent.cli", "run", "--config", str(device / "inspectd.toml")]
    with log.open("w") as stderr:
        agent = subprocess.Popen([*command, "--set", f"mqtt.url={broker.url}"], cwd=ROOT, stderr=stderr)
    try:
        wait_until(lambda: len(subscriber.on("line2/alarm")) == 4, seconds=60, what="two alarms, raised and cleared")
        wait_until(lambda: len(subscriber.on("/overlay")) == 1, what="the images of the first defect")
        time.sleep(0.2)
        broker.kill()
        raised = "camera line1: defect alarm"
        wait_until(lambda: sum(raised in line and " raised" in line for line in lines(log)) == 3, seconds=60)
        time.sleep(0.15)
    finally:
        agent.kill()
        agent.wait()
        print(log.read_text())


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


def expect(device: Path, working: Path) -> dict[str, Any]:
    """Reads tables and segments. Of a copy: SQLite changes the files that it opens."""
    copy = copied(device, working / "read")
    segments = Segments(copy / "outbox.sqlite.pictures", max_bytes=SETTINGS.max_outbox_size)
    db = sqlite3.connect(copy / "outbox.sqlite")
    messages = []
    for row in map(row_of, db.execute(f"SELECT {COLUMNS} FROM message ORDER BY id")):
        payload = row.payload if row.place is None else segments.read(row.place)
        event = {"event": row.part} if not row.picture else {}
        messages.append(
            {"camera": row.camera, "sequence": row.sequence, "alarm": row.alarm, **event, "topic": row.topic}
            | {"media_type": row.media_type, "bytes": len(payload), "sha256": digest(payload)}
        )
    (last,) = db.execute("SELECT value FROM counter WHERE name = 'sequence'").fetchone()
    state = db.execute("SELECT key, value FROM agent_state WHERE value != x''").fetchall()
    db.close()
    active = {key.partition("/")[2]: json.loads(value)["id"] for key, value in state}
    calibrations = {
        camera: (copy / "cameras" / camera / "calibrations" / "active").readlink().stem for camera in CAMERAS
    }
    return {"last_sequence": last, "active": active, "calibrations": calibrations, "messages": messages}


def confirm(device: Path, working: Path, broker: Mosquitto, expected: list[dict[str, Any]]) -> None:
    """Has the same code deliver a copy to a real broker, and compares what a subscriber receives with the tables."""
    copy = copied(device, working / "delivered")
    broker.start()
    subscriber = Subscriber(broker, "inspectd/plant/+/alarm/#")
    with delivering(broker.url, copy, max_bytes=SETTINGS.max_outbox_size) as (_, publisher):
        assert publisher.wait_until_delivered(20)
    wait_until(lambda: len(subscriber.messages) == len(expected))
    arrived = [(m.topic, m.properties.ContentType, digest(m.payload)) for m in subscriber.messages]
    assert sorted(arrived) == sorted((m["topic"], m["media_type"], m["sha256"]) for m in expected)
    for camera in CAMERAS:
        documents = [m["sha256"] for m in expected if m["camera"] == camera and "event" in m]
        assert [digest(m.payload) for m in subscriber.on(f"{camera}/alarm")] == documents
    subscriber.close()


def copied(device: Path, to: Path) -> Path:
    """The state directory; its socket cannot be copied."""
    return shutil.copytree(device / "state", to, symlinks=True, ignore=shutil.ignore_patterns("control.sock"))


def digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        working = Path(name)
        device = working / "device"
        device.mkdir()
        make_bundle(working)
        shutil.copy(HERE / "inspectd.toml", device)
        broker = Mosquitto(working / "broker").start()
        try:
            run_and_kill(device, broker)
            expected = expect(device, working)
            confirm(device, working, broker, expected["messages"])
        finally:
            broker.end()
        with tarfile.open(HERE / "device.tar.xz", "w:xz", preset=9) as archive:
            for part in ("plate.bundle", "state"):
                archive.add(device / part, part, filter=anonymous)
        (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
