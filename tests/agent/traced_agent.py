"""The delivery end of an agent, to be watched by strace: `python -m tests.agent.traced_agent URL DIRECTORY ALARMS`.

Alarms come while others are on their way. The ids of the alarms are what to look for in the trace.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.agent.delivery import accept, delivering


def main(url: str, directory: Path, alarms: int) -> None:
    with delivering(url, directory) as (outbox, publisher):
        for number in range(alarms):
            picture = {"heatmap": f"picture-of-{number}.".encode()}
            accept(outbox, f"power-cut-{number}", f"cam{number % 2}", pictures=picture)
        if not publisher.wait_until_delivered(60):
            raise SystemExit("not delivered in 60 s")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
