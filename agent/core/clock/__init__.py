"""The time: the wall clock and whether it is right, and pacing a source to a frame rate."""

from agent.core.clock.pace import Pace
from agent.core.clock.wall_clock import EARLIEST, clock_synchronised, kernel_synchronised, utc_now

__all__ = ["EARLIEST", "Pace", "clock_synchronised", "kernel_synchronised", "utc_now"]
