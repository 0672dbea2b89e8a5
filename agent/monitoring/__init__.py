"""State documents of the cameras, and metrics."""

from agent.monitoring.camera_state import phase_of
from agent.monitoring.state_publisher import StatePublisher

__all__ = ["StatePublisher", "phase_of"]
