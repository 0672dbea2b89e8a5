"""The process of the page; `inspectd page` starts it."""

from __future__ import annotations

import sys

from agent.page.options import PageOptions
from agent.page.server.application import build_application
from agent.page.server.process import serve
from agent.page.server.start import start


def _serve(options: PageOptions) -> None:
    serve(options, build_application(options))


if __name__ == "__main__":
    sys.exit(start(PageOptions.from_json, _serve))
