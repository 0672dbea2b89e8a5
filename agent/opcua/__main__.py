"""`python -m agent.opcua OPTIONS`: the OPC UA server; `inspectd opcua` starts it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from agent.core.errors import InspectdError
from agent.opcua.options import OpcuaOptions
from agent.opcua.server import serve


def main() -> int:
    """Serve until SIGTERM; returns the exit code."""
    options = OpcuaOptions.from_json(sys.argv[1])
    os.umask(0o077)
    logging.basicConfig(
        level=options.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(message)s"
    )
    # It logs each connection, and an error with its stack for whatever a client sends.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    logging.getLogger("asyncuagds").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        asyncio.run(serve(options))
    except InspectdError as error:
        sys.stderr.write(f"inspectd: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
