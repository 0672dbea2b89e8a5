"""A client of asyncua in the network of a booted machine: prints what it finds there as one line of JSON.

    python -m tests.systemd.opcua_client DIRECTORY HOST

DIRECTORY has `client.pem`, `client-key.pem` and `server.pem`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.agent.opcua.test_handshake import RESULT_READY, Camera, subscribed
from tests.support.opcua import OpcuaServer, opcua_client

PORT = 4840


async def look(directory: Path, host: str) -> dict[str, object]:
    """The states of the camera, and its next result."""
    server = OpcuaServer(directory / "none.toml", PORT, directory, host=host)
    async with opcua_client(server) as client:
        camera = await Camera.of(client, "line1")
        heard = await subscribed(client, camera.root, RESULT_READY)
        event = await heard.next()
        return {"states": await camera.states(), "part": event.PartId.Id, "verdict": event.ResultContent[0].Value}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(look(Path(sys.argv[1]), sys.argv[2]))))
