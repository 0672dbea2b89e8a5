"""`python -m agent.cli …`: the same as `inspectd …`."""

from __future__ import annotations

from agent.cli import main

if __name__ == "__main__":
    main()
