"""Wiring, start and stop of the agent, and its place under systemd."""

from agent.service.service import Service
from agent.service.single_instance import place_of
from agent.service.watchdog import Watchdog

__all__ = ["Service", "Watchdog", "place_of"]
