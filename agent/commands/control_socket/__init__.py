"""The control socket, one of the transports of commands: its server in the agent, and its client."""

from agent.commands.control_socket.client import ask, login_name
from agent.commands.control_socket.server import ControlSocket

__all__ = ["ControlSocket", "ask", "login_name"]
