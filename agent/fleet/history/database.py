"""The database of the history: SQLite in a file, or PostgreSQL by a connection string."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, delete, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, SQLAlchemyError

from agent.core.errors import Permanent, Temporary
from agent.core.secrets import redacted
from agent.fleet.history.entries import Entry
from agent.fleet.history.tables import ALARMS, EVENTS, LOGINS, METADATA

log = logging.getLogger(__name__)

HOUR_SECONDS = 3600.0

# Deleted at once at most, so that no commit takes long.
_BATCH = 5_000


class Database:
    """Any thread may call, and any process: an entry that is written twice changes nothing."""

    def __init__(self, address: str) -> None:
        """`address`: the path of a SQLite file, or `postgresql://user@host/name`. Raises Permanent and Temporary."""
        self._postgres = is_postgres(address)
        self.name = redacted(address)
        """For people, without secrets."""
        self._engine = _postgres_engine(address) if self._postgres else _sqlite_engine(Path(address))
        try:
            METADATA.create_all(self._engine)
        except SQLAlchemyError as error:
            raise Temporary(f"history {self.name}: {reason_of(error)}") from None

    def close(self) -> None:
        """End every connection."""
        self._engine.dispose()

    def write(self, entries: Iterable[Entry]) -> None:
        """Write all, or none. Raises Temporary."""
        try:
            with self._engine.begin() as connection:
                for entry in entries:
                    self._upsert(connection, entry)
        except SQLAlchemyError as error:
            raise Temporary(f"history {self.name}: {reason_of(error)}") from None

    def alarms_of_the_last_hour(self) -> dict[tuple[str, str], int]:
        """How many were raised, by agent and camera. Raises Temporary."""
        since = time.time() - HOUR_SECONDS
        query = (
            select(ALARMS.c.agent, ALARMS.c.camera, func.count())
            .where(ALARMS.c.raised_at > since)
            .group_by(ALARMS.c.agent, ALARMS.c.camera)
        )
        return {(row[0], row[1]): int(row[2]) for row in self._rows(query)}

    def alarms(self, limit: int, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The latest alarms, newest first. `filters`: agent, camera, kind, verdict (also `unjudged`), before.

        `before`: received before this time, Unix seconds. Raises Temporary.
        """
        query = select(ALARMS).order_by(ALARMS.c.received_at.desc(), ALARMS.c.id.desc()).limit(limit)
        for name in ("agent", "camera", "kind"):
            if name in filters:
                query = query.where(ALARMS.c[name] == filters[name])
        if "verdict" in filters:
            judged = filters["verdict"]
            query = query.where(ALARMS.c.verdict.is_(None) if judged == "unjudged" else ALARMS.c.verdict == judged)
        if "before" in filters:
            query = query.where(ALARMS.c.received_at < filters["before"])
        return [dict(row._mapping) for row in self._rows(query)]

    def events(self, agent: str, camera: str, limit: int) -> list[dict[str, Any]]:
        """The latest events of a camera, newest first. Raises Temporary."""
        of_camera = select(EVENTS).where(EVENTS.c.agent == agent, EVENTS.c.camera == camera)
        return [dict(row._mapping) for row in self._rows(of_camera.order_by(EVENTS.c.received_at.desc()).limit(limit))]

    def logins(self, limit: int) -> list[dict[str, Any]]:
        """The latest logins, newest first. Raises Temporary."""
        return [dict(row._mapping) for row in self._rows(select(LOGINS).order_by(LOGINS.c.number.desc()).limit(limit))]

    def prune(self, *, days: float, most: int) -> int:
        """Delete entries older than `days`, and the oldest beyond `most` of each table; returns how many. Temporary."""
        before = time.time() - days * 86_400.0
        return sum(self._prune(table, before, most) for table in (ALARMS, EVENTS, LOGINS))

    def _prune(self, table: Table, before: float, most: int) -> int:
        age = table.c.received_at
        try:
            with self._engine.begin() as connection:
                # The time of the newest entry that is too many.
                beyond = connection.scalar(select(age).order_by(age.desc()).offset(most).limit(1))
                limit = before if beyond is None else max(before, beyond)
                oldest = select(age).where(age <= limit).order_by(age).offset(_BATCH).limit(1)
                until = connection.scalar(oldest)
                return connection.execute(delete(table).where(age <= (limit if until is None else until))).rowcount
        except SQLAlchemyError as error:
            raise Temporary(f"history {self.name}: {reason_of(error)}") from None

    def _upsert(self, connection: Connection, entry: Entry) -> None:
        table, values = entry.table, dict(entry.values)
        keys = [column.name for column in table.primary_key if column.name in values]
        if not keys:
            connection.execute(table.insert().values(values))
            return
        insert = postgresql.insert(table) if self._postgres else sqlite.insert(table)
        # The first arrival counts for the age, and of two judgements the one with the higher number.
        kept = {*keys, "received_at", *({"kind", "raised_at", "origin"} if "verdict" in values else ())}
        changed = {name: value for name, value in values.items() if name not in kept}
        newer = None
        if "verdict" in values:
            newer = func.coalesce(table.c.verdict_number, 0) <= values["verdict_number"]
        statement = insert.values(values).on_conflict_do_update(index_elements=keys, set_=changed, where=newer)
        connection.execute(statement)

    def _rows(self, query: Any) -> Sequence[Any]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            raise Temporary(f"history {self.name}: {reason_of(error)}") from None


def probe(address: str) -> str:
    """Connect to PostgreSQL, and return what answered. Raises Permanent and Temporary."""
    engine = _postgres_engine(address)
    try:
        with engine.connect() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar()
    except SQLAlchemyError as error:
        raise Temporary(f"history {redacted(address)}: {reason_of(error)}") from None
    finally:
        engine.dispose()
    return f"PostgreSQL {version} at {redacted(address)}"


def is_postgres(address: str) -> bool:
    """Whether an address is a connection string of PostgreSQL, and not a file."""
    return address.startswith(("postgresql://", "postgres://"))


def reason_of(error: SQLAlchemyError) -> str:
    """Why the database failed, on one line, without the statement."""
    text = str(getattr(error, "orig", None) or error)
    return " ".join(text.split())[:300]


def _postgres_engine(address: str) -> Engine:
    _, _, rest = address.partition("://")
    try:
        return create_engine(
            f"postgresql+psycopg://{rest}", pool_pre_ping=True, pool_size=2, connect_args={"connect_timeout": 5}
        )
    except ModuleNotFoundError:
        raise Permanent(
            "history.database: PostgreSQL needs psycopg; install it: pip install 'inspectd[fleet-postgres]'"
        ) from None
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise Permanent(f"history.database: got {redacted(address)!r}, wanted postgresql://user@host/name") from None


def _sqlite_engine(path: Path) -> Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Permanent(
            f"history.database {path}: {error.strerror}; wanted a folder that this user can write"
        ) from None
    engine = _open_sqlite(path)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            damaged = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok"
    except DatabaseError as error:
        if "not a database" not in str(error) and "malformed" not in str(error):
            raise Permanent(f"history.database {path}: {reason_of(error)}; wanted a file that can be written") from None
        damaged = True
    if damaged:
        engine.dispose()
        aside = path.with_name(f"{path.name}.corrupt-{int(time.time())}")
        path.rename(aside)
        log.warning("history %s is damaged; it was set aside as %s, and a new one begins", path, aside.name)
        engine = _open_sqlite(path)
    return engine


def _open_sqlite(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 5.0})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        # After a power cut the history lacks its last seconds at most, which is what it has not received either.
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
