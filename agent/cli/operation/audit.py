"""The audit log of an agent: show, verify, export. Reads its state directory; the agent may run or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import AgentConfigOption, JsonOption
from agent.cli.terminal.console import print_json, print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.core.errors import Permanent

if TYPE_CHECKING:
    from agent.audit import Entry


def show_audit(
    limit: Annotated[int, typer.Option(min=1, help="Number of entries, the latest ones.")] = 20,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Show who changed what: the latest entries of the audit log, newest last."""
    with quiet_while_loading():
        from agent.audit import AuditLog

    entries = AuditLog(_directory(config)).latest(limit)
    if json_document:
        print_json([entry.document() for entry in entries])
        return
    for entry in entries:
        print_line(_line(entry))
    if not entries:
        print_line("no entries")


def verify_audit(config: AgentConfigOption = None) -> None:
    """Verify that no entry of the audit log was changed, removed or inserted. Exit code 1 if one was."""
    with quiet_while_loading():
        from agent.audit import verify

    count, head, fault = verify(_directory(config))
    if fault is not None:
        raise Permanent(f"{fault.file}, line {fault.line}: {fault.reason}; {count} entries before it are as written")
    print_line(f"{count} entries, each as it was written; hash of the last: {head}")


def export_audit(
    file: Annotated[Path, typer.Argument(help="New file, one line of JSON for each entry.", metavar="FILE")],
    config: AgentConfigOption = None,
) -> None:
    """Write the audit log to one file. The hash printed shows later whether entries at the end were removed."""
    with quiet_while_loading():
        from agent.audit import read_entries, verify

    directory = _directory(config)
    try:
        with file.open("xb") as out:
            for entry in read_entries(directory):
                out.write(entry.line())
    except FileExistsError:
        raise Permanent(f"{file}: exists; wanted a new file") from None
    except OSError as error:
        raise Permanent(f"{file}: {error.strerror}; wanted a writable folder") from None
    count, head, fault = verify(directory)
    note = "" if fault is None else f"; the log has a fault: {fault.file}, line {fault.line}: {fault.reason}"
    print_line(f"{file}: {count} entries, hash of the last {head}{note}")


def _line(entry: Entry) -> str:
    """One entry on one line.

    >>> from agent.audit import Entry
    >>> _line(Entry(1, "2026-03-01T12:00:00.000Z", "anna", "pause", "line1", changed={"phase": ["armed", "paused"]}))
    '2026-03-01T12:00:00.000Z  anna  pause line1  phase: armed → paused'
    """
    what = " ".join(filter(None, (entry.action, entry.camera)))
    asked = ", ".join(f"{key} {value}" for key, value in entry.request.items())
    changed = ", ".join(f"{name}: {old} → {new}" for name, (old, new) in entry.changed.items())
    rejected = None if entry.ok else f"rejected: {entry.error}"
    return "  ".join(filter(None, (entry.at, entry.by, what, asked, changed, rejected)))


def _directory(config: Path | None) -> Path:
    with quiet_while_loading():
        from agent.settings import default_state_directory, load_settings

    state = default_state_directory() if config is None else load_settings(config).state_directory
    if not (state / "audit").is_dir():
        raise Permanent(f"{state / 'audit'}: no such folder; wanted the settings of an agent that has run")
    return state / "audit"
