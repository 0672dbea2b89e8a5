"""One connection to an MQTT broker: its address and credentials, and paho-mqtt behind a narrow interface."""

from agent.mqtt.broker import CREDENTIAL_NAME, KEY_CREDENTIAL_NAME, Broker
from agent.mqtt.connection import Connection
from agent.mqtt.errors import ConnectionLost, UnsupportedVersion
from agent.mqtt.last_will import WillRejected, WillTerms
from agent.mqtt.packets import (
    Acknowledged,
    CommandMessage,
    Connected,
    ConnectionEvent,
    Outgoing,
    Received,
    Subscribed,
)
from agent.mqtt.paho_client import Protocol
from agent.mqtt.protocol_version import ProtocolVersion

__all__ = [
    "CREDENTIAL_NAME",
    "KEY_CREDENTIAL_NAME",
    "Acknowledged",
    "Broker",
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
