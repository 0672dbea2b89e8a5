"""State documents of the cameras, and metrics."""

from agent.monitoring.camera_state import phase_of
from agent.monitoring.count_publisher import CountPublisher, shift_payload
from agent.monitoring.promise_state import broken_promise_payload
from agent.monitoring.recent_events import RecentEvent, RecentEvents
from agent.monitoring.state_publisher import StatePublisher
from agent.monitoring.temperature import temperatures
from agent.monitoring.window_notice import WindowNotice

__all__ = [
    "CountPublisher",
    "RecentEvent",
    "RecentEvents",
    "StatePublisher",
    "WindowNotice",
    "broken_promise_payload",
    "phase_of",
    "shift_payload",
    "temperatures",
]
