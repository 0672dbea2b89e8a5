"""The delivering part of an agent whose wall clock jumps: `python -m tests.support.jumping_agent URL DIRECTORY CLOCK`.

CLOCK is the file that `tests/support/clock.c` reads. After each jump, four alarms have to be acknowledged within ten
seconds; prints the year as the process sees it.
"""

from __future__ import annotations

import struct
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from tests.support.delivery import accept, delivering

HOUR = 3600
BATTERY_EMPTY = 300 - int(time.time())
JUMPS = (0, HOUR, -HOUR, BATTERY_EMPTY, 0)


def main(url: str, directory: Path, clock: Path) -> None:
    with delivering(url, directory) as (outbox, publisher), clock.open("r+b", buffering=0) as file:
        for seconds in JUMPS:
            file.seek(0)
            file.write(struct.pack("q", seconds))
            for _ in range(4):
                accept(outbox, f"a{outbox.counts().sequence}")
            if not publisher.wait_until_delivered(10.0):
                raise SystemExit(f"clock off by {seconds} s: not delivered in 10 s")
            latency = publisher.report().latency_ms
            if latency is None or latency.p99 > 10_000.0:
                raise SystemExit(f"clock off by {seconds} s: latency {latency}")
            sys.stdout.write(f"{datetime.now(timezone.utc).year}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
