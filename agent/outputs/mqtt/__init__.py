"""The MQTT output: topics, connection, delivery."""

from agent.outputs.mqtt.broker import CREDENTIAL_NAME, KEY_CREDENTIAL_NAME, Broker
from agent.outputs.mqtt.connection import Connection, ConnectionLost, Protocol, UnsupportedVersion
from agent.outputs.mqtt.packets import Acknowledged, Connected, Outgoing, Received, Subscribed
from agent.outputs.mqtt.publisher import Publisher
from agent.outputs.mqtt.topics import Topics, check_level

__all__ = [
    "CREDENTIAL_NAME",
    "KEY_CREDENTIAL_NAME",
    "Acknowledged",
    "Broker",
    "Connected",
    "Connection",
    "ConnectionLost",
    "Outgoing",
    "Protocol",
    "Publisher",
    "Received",
    "Subscribed",
    "Topics",
    "UnsupportedVersion",
    "check_level",
]
