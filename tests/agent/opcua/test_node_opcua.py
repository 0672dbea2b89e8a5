"""A second client, node-opcua: another implementation of OPC UA than that of our server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.agent.opcua.conftest import Line
from tests.support.agents import await_state, is_armed
from tests.support.opcua import PASSWORD, client_uri

# `make node-opcua` puts it there.
MODULES = Path(__file__).parents[3] / "build" / "node-opcua"


def test_node_opcua_starts_a_job_and_gets_its_result(line: Line) -> None:
    node = shutil.which("node")
    if node is None or not (MODULES / "node_modules" / "node-opcua-client").is_dir():
        pytest.skip("no node-opcua; make node-opcua fetches it")
    await_state(line.socket, lambda state: is_armed(state) and state["ready"])
    directory = line.opcua.directory
    certificate, key = directory / "client.pem", directory / "client-key.pem"
    arguments = [line.opcua.url, certificate, key, client_uri("client"), "otto", PASSWORD, "line1", "SN-0815"]
    command = [node, Path(__file__).with_name("node_client.mjs"), *arguments]
    environment = {**os.environ, "NODE_OPCUA": str(MODULES)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["state"] == "Ready"
    assert found["started"]["status"] == "Good"
    assert found["started"]["error"] == 0
    assert found["event"]["part"] == "SN-0815"
    assert found["event"]["job"] == found["started"]["job"]
    assert found["event"]["verdict"] in ("ok", "nok")
    assert found["event"]["recipe"] == "front"
    assert found["result"] == {"error": 0, "part": "SN-0815"}
    assert found["latest"] is True
