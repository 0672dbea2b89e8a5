"""One connection to the broker: paho-mqtt behind a narrow interface."""

from agent.outputs.mqtt.connection.connection import Connection
from agent.outputs.mqtt.connection.errors import ConnectionLost, UnsupportedVersion
from agent.outputs.mqtt.connection.last_will import WillRejected, WillTerms
from agent.outputs.mqtt.connection.packets import (
    Acknowledged,
    CommandMessage,
    Connected,
    ConnectionEvent,
    Outgoing,
    Received,
    Subscribed,
)
from agent.outputs.mqtt.connection.paho_client import Protocol
from agent.outputs.mqtt.connection.protocol_version import ProtocolVersion

__all__ = [
    "Acknowledged",
    "CommandMessage",
    "Connected",
    "Connection",
    "ConnectionEvent",
    "ConnectionLost",
    "Outgoing",
    "Protocol",
    "ProtocolVersion",
    "Received",
    "Subscribed",
    "UnsupportedVersion",
    "WillRejected",
    "WillTerms",
]
