"""`python -m agent.page OPTIONS`: serves the page; `inspectd page` starts it."""

from __future__ import annotations

import logging
import sys

from agent.core.errors import InspectdError
from agent.page.options import PageOptions
from agent.page.server.application import build_application
from agent.page.server.process import serve


def main() -> int:
    """Serve until SIGTERM; returns the exit code."""
    options = PageOptions.from_json(sys.argv[1])
    logging.basicConfig(
        level=options.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(message)s"
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        serve(options, build_application(options))
    except InspectdError as error:
        sys.stderr.write(f"inspectd: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
