"""The tables of the history: the same in SQLite and PostgreSQL. Times are Unix seconds."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table

METADATA = MetaData()

# No text of a row is longer, whatever an agent sends: 500,000 alarms have 250 MB at most.
MAX_ID = 64
MAX_NAME = 200
MAX_TEXT = 300

ALARMS = Table(
    "inspectd_alarms",
    METADATA,
    Column("agent", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("camera", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("raised_at", Float),
    Column("cleared_at", Float),
    Column("score", Float),
    Column("threshold", Float),
    Column("reason", String),
    Column("product", String),
    Column("origin", String),
    Column("calibration", String),
    Column("clock", String),
    Column("verdict", String),
    Column("verdict_number", Integer),
    Column("judged_by", String),
    Column("judged_at", Float),
    Column("defect", String),
    Column("note", String),
    Index("inspectd_alarms_received", "received_at"),
    Index("inspectd_alarms_raised", "raised_at"),
)

EVENTS = Table(
    "inspectd_events",
    METADATA,
    Column("agent", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("camera", String, nullable=False),
    Column("event", String, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("at", Float, nullable=False),
    Column("text", String, nullable=False),
    Index("inspectd_events_received", "received_at"),
)

LOGINS = Table(
    "inspectd_logins",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("received_at", Float, nullable=False),
    Column("event", String, nullable=False),
    Column("person", String, nullable=False),
    Column("role", String),
    Column("address", String, nullable=False),
    Index("inspectd_logins_received", "received_at"),
)
