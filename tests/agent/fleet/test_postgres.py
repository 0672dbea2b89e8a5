"""The history in PostgreSQL: Debian's, started for the test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.fleet.broker.topic_tree import TopicTree
from agent.fleet.history.database import Database, probe
from agent.fleet.history.entries import alarm_entry, event_entry, login_entry, verdict_entry
from tests.support.broker import free_port
from tests.support.documents import alarm, event, verdict

pytestmark = pytest.mark.slow

LINE = TopicTree().read("inspectd/plant/line1/alarm")
assert LINE is not None


def _programs() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian keeps off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a server of our own."""
    pytest.importorskip("psycopg", reason="the extra fleet-postgres is not installed")
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    directory, port = tmp_path_factory.mktemp("postgres"), free_port()
    # PostgreSQL does not run as root; the package has a user for it.
    become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if become:
        directory.chmod(0o777)
        for folder in directory.parents[:3]:
            folder.chmod(folder.stat().st_mode | 0o011)
    user = "postgres" if become else pwd.getpwuid(os.geteuid()).pw_name
    data = directory / "data"
    subprocess.run([*become, programs / "initdb", "-A", "trust", "-D", data], check=True, capture_output=True)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    control = [*become, programs / "pg_ctl", "-D", data, "-w", "-l", directory / "log"]
    subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True)
    try:
        yield f"postgresql://{user}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
        shutil.rmtree(directory, ignore_errors=True)


def test_history_is_the_same_as_in_sqlite(address: str) -> None:
    assert probe(address).startswith("PostgreSQL 1")
    database = Database(address)
    raised, cleared = alarm(id="a", score=2.0), alarm("cleared", id="a", score=5.0, reason="paused")
    moment = time.time()
    entries = [alarm_entry(LINE, each, moment) for each in (raised, cleared, raised, cleared)]
    database.write([*entries, event_entry(LINE, event("drift"), moment)])
    database.write(
        [verdict_entry(LINE, verdict("a", "false", 2), moment), verdict_entry(LINE, verdict("a", "true", 1), moment)]
    )
    database.write([login_entry("login", "anna", "127.0.0.1", "view", moment)])
    (found,) = database.alarms(10, {"agent": "inspectd/plant", "verdict": "false"})
    assert (found["score"], found["reason"]) == (5.0, "paused")
    assert database.alarms_of_the_last_hour() == {("inspectd/plant", "line1"): 1}
    assert database.events("inspectd/plant", "line1", 5)[0]["text"] == "drift"
    assert database.logins(1)[0]["person"] == "anna"
    database.write([alarm_entry(LINE, alarm(id=f"{age}"), moment - age * 86_400.0) for age in range(1, 10)])
    assert database.prune(days=4.5, most=100) == 5
    assert database.prune(days=100, most=2) == 3
    assert len(database.alarms(10, {})) == 2
    # A second page on the same database.
    Database(address).close()
    database.close()
