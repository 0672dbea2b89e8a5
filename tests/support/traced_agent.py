"""The delivering part of an agent, to be traced by strace:
`python -m tests.support.traced_agent URL DIRECTORY ALARMS TOGETHER`.

Alarms are accepted while others are in flight, TOGETHER of them in a commit. Their ids identify them in the trace. The
images of a group are so large that a second thread writes them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.outputs.outbox import Entry
from agent.outputs.outbox.image_files import BACKGROUND_WRITE_BYTES
from tests.support.delivery import delivering, document, image_message


def entry(number: int, image: bytes) -> Entry:
    identity, camera = f"power-cut-{number}", f"cam{number % 2}"
    return Entry(camera, lambda n: [document(identity, n, camera), image_message(identity, image, camera=camera)])


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
