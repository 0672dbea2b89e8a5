"""`inspectd doctor`: what is missing on this device, and the command that fixes it. One topic per file."""

from agent.doctor.check_result import CheckResult, Level, lines
from agent.doctor.examination import examine

__all__ = ["CheckResult", "Level", "examine", "lines"]
