"""Who changed what: an append-only log in which each entry has the hash of the one before it.

`entry.py`: one entry and its hash; `log.py`: the files, written by the agent alone; `chain.py`: read and verified,
also while the agent runs or after it has ended.
"""

from agent.audit.chain import Fault, read_entries, verify
from agent.audit.entry import Entry
from agent.audit.log import AuditLog

__all__ = ["AuditLog", "Entry", "Fault", "read_entries", "verify"]
