"""The delivery end of an agent, to be watched by strace:
`python -m tests.support.traced_agent URL DIRECTORY ALARMS TOGETHER`.

Alarms come while others are on their way, TOGETHER of them in a commit. The ids of the alarms are what to look for in
the trace. Those of a group have images so large that they are written on a thread of their own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.outputs.outbox import Entry
from agent.outputs.outbox.image_files import BACKGROUND_WRITE_BYTES
from tests.support.delivery import delivering, document
from tests.support.delivery import image as image_of


def entry(number: int, image: bytes) -> Entry:
    identity, camera = f"power-cut-{number}", f"cam{number % 2}"
    return Entry(camera, lambda n: [document(identity, n, camera), image_of(identity, image, camera=camera)])


def main(url: str, directory: Path, alarms: int, together: int) -> None:
    size = 0 if together == 1 else 2 * BACKGROUND_WRITE_BYTES // together
    with delivering(url, directory, max_bytes=1024**3) as (outbox, publisher):
        for first in range(0, alarms, together):
            numbers = range(first, first + together)
            outbox.accept_together([entry(n, f"image-of-{n}.".encode().ljust(size, b"#")) for n in numbers])
        if not publisher.wait_until_delivered(60):
            raise SystemExit("not delivered in 60 s")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
