"""The commands of a running agent, and the control socket, one of their transports."""

from agent.commands.agent import RunningAgent
from agent.commands.command import Call, Command
from agent.commands.control import Control
from agent.commands.control_socket import ControlSocket
from agent.commands.follow import follow_recalibration
from agent.commands.live_settings import Effect, Reload, plan_reload
from agent.commands.reload import reload_lines
from agent.commands.table import AGENT_COMMANDS, find_command
from agent.core.sockets.control_client import ask, login_name

__all__ = [
    "AGENT_COMMANDS",
    "Call",
    "Command",
    "Control",
    "ControlSocket",
    "Effect",
    "Reload",
    "RunningAgent",
    "ask",
    "find_command",
    "follow_recalibration",
    "login_name",
    "plan_reload",
    "reload_lines",
]
