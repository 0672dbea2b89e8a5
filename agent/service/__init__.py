"""Wiring, start and stop of the agent, and its messages to systemd."""

from agent.service.private_state import keep_private
from agent.service.service import Service
from agent.service.single_instance import places_of
from agent.service.watchdog import Watchdog

__all__ = ["Service", "Watchdog", "keep_private", "places_of"]
