"""Store and forward: what was accepted here is on the disk, and stays there until the broker acknowledged it.

`store.py` is the outbox itself; the others are its parts:

- `rows.py`: what stands in the tables; `database.py`: SQLite with durable commits and a way out of a corrupt file;
- `segments.py`: the pictures, in files beside the database;
- `change.py`: what one transaction does to rows and pictures; `quota.py`: what goes where the room is used up;
- `waiting.py`: the rows that are sent next, in memory; `remains.py`: what outlives a lost database or a full disk.
"""

from agent.outputs.outbox.recovery import SEQUENCE_JUMP
from agent.outputs.outbox.rows import DEFAULT_OUTPUT, ROW_BYTES, Counts, Entry, Message, Row
from agent.outputs.outbox.store import MAX_TOGETHER, Outbox

__all__ = [
    "DEFAULT_OUTPUT",
    "MAX_TOGETHER",
    "ROW_BYTES",
    "SEQUENCE_JUMP",
    "Counts",
    "Entry",
    "Message",
    "Outbox",
    "Row",
]
