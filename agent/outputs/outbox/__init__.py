"""Store and forward: an accepted message is on the disk until its output acknowledges it.

`store.py` is the outbox itself; the other files are its parts:

- `storage.py`: database, image files and queue, opened and changed together;
- `rows.py`: the tables; `database.py`: SQLite with durable commits and recovery from a corrupt file;
- `image_files.py`: writes and reads images in segment files; `segments.py`: which segments are in use;
- `transaction.py`: what one commit changes; `quota.py`: what is dropped when the quota is used up;
- `queue.py`, `output_queue.py`: the rows that are sent next, in memory;
- `recovery.py`: what helps after a lost database or on a full disk.
"""

from agent.outputs.outbox.output_queue import MemoryLimits
from agent.outputs.outbox.recovery import SEQUENCE_JUMP
from agent.outputs.outbox.rows import (
    DEFAULT_OUTPUT,
    RESULT,
    ROW_BYTES,
    UNNUMBERED,
    Counts,
    Entry,
    Following,
    Message,
    Row,
)
from agent.outputs.outbox.store import MAX_TOGETHER, Outbox

__all__ = [
    "DEFAULT_OUTPUT",
    "MAX_TOGETHER",
    "RESULT",
    "ROW_BYTES",
    "SEQUENCE_JUMP",
    "UNNUMBERED",
    "Counts",
    "Entry",
    "Following",
    "MemoryLimits",
    "Message",
    "Outbox",
    "Row",
]
