"""What may be asked of a running agent, over MQTT or its control socket."""

from agent.commands.control import Control
from agent.commands.follow import follow_recalibration
from agent.commands.handlers import CommandHandlers
from agent.commands.reload import Reload, because, plan_reload, reload_lines
from agent.commands.socket_client import ask
from agent.commands.socket_server import ControlSocket

__all__ = [
    "CommandHandlers",
    "Control",
    "ControlSocket",
    "Reload",
    "ask",
    "because",
    "follow_recalibration",
    "plan_reload",
    "reload_lines",
]
