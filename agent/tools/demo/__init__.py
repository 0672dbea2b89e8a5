"""`inspectd demo`: all real parts on one machine, and what came of it."""

from agent.tools.demo.run import run_demo

__all__ = ["run_demo"]
