"""The control socket, one of the transports of commands: its server, in the agent."""

from agent.commands.control_socket.server import ControlSocket

__all__ = ["ControlSocket"]
