"""The MQTT output: topics, connection, delivery, commands.

`output.py` turns alarms, states and events into messages; `topics.py` names their topics; `delivery/` sends them over
`connection/`; `requests.py` takes commands.
"""

from agent.outputs.mqtt.broker import CREDENTIAL_NAME, KEY_CREDENTIAL_NAME, Broker
from agent.outputs.mqtt.connection import (
    Acknowledged,
    Connected,
    Connection,
    ConnectionLost,
    Outgoing,
    Protocol,
    Received,
    Subscribed,
    UnsupportedVersion,
)
from agent.outputs.mqtt.delivery import Publisher
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
