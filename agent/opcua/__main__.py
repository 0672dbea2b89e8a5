"""The process of the OPC UA server; `inspectd opcua` starts it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from agent.opcua.options import OpcuaOptions
from agent.opcua.server import serve
from agent.page.server.start import start


def _serve(options: OpcuaOptions) -> None:
    os.umask(0o077)
    # It logs each connection, and an error with its stack for whatever a client sends.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    logging.getLogger("asyncuagds").setLevel(logging.CRITICAL)
    asyncio.run(serve(options))


if __name__ == "__main__":
    sys.exit(start(OpcuaOptions.from_json, _serve))
