"""The process of the page for many agents; `inspectd fleet` starts it."""

from __future__ import annotations

import sys

from agent.fleet.options import FleetOptions
from agent.fleet.web.serve import serve_fleet
from agent.page.server.start import start

if __name__ == "__main__":
    sys.exit(start(FleetOptions.from_json, serve_fleet))
