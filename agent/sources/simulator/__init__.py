"""A simulated production line: parts, defects, and two cameras, one optical and one for X-rays."""

from agent.sources.simulator.export import write_folder
from agent.sources.simulator.faults import Fault, FaultKind
from agent.sources.simulator.schedule import SimulatedLine
from agent.sources.simulator.source import SimulatorSource

__all__ = ["Fault", "FaultKind", "SimulatedLine", "SimulatorSource", "write_folder"]
