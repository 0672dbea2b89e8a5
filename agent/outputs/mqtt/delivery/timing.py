"""Timeouts, intervals and rates of delivery; tests pass shorter ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The defaults are for a plant."""

    connack_timeout_seconds: float = 10.0
    """From CONNECT to CONNACK."""
    puback_timeout_seconds: float = 10.0
    """From PUBLISH to PUBACK, in addition to the time that the slowest link supported needs for the bytes in flight."""
    reconnect_first_seconds: float = 0.5
    """The first wait before a new connection; doubled after each failure."""
    reconnect_max_seconds: float = 30.0
    retry_first_seconds: float = 1.0
    """The first wait before a rejected message is sent again; doubled after each rejection."""
    retry_max_seconds: float = 60.0
    turn_seconds: float = 0.25
    """How long the thread waits for the network if nothing happens; everything urgent wakes it."""
    status_check_seconds: float = 1.0
    """How often the agent's `status` is checked for changes."""
    files_check_seconds: float = 10.0
    """How often certificates and password are checked for changes."""
    outbox_pause_seconds: float = 1.0
    """How long the outbox is left alone after an error of the disk."""
    backlog_images_per_second: float = 100.0
    """Limit for images that waited before the connection was made: 10,000 are delivered in under two minutes, and no
    subscriber is flooded."""
    lasting_seconds: float = 5.0
    """A connection that lasts this long counts as working: the next failure is logged again, and waits start anew."""
