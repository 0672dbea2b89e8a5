"""`python -m agent.tools.message_docs`."""

from __future__ import annotations

import sys

from agent.tools.message_docs import main

if __name__ == "__main__":
    sys.exit(main())
