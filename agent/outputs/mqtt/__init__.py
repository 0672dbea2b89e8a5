"""The MQTT output: topics, delivery, commands.

`output.py` turns alarms, states and events into messages; `topics.py` names their topics; `delivery/` sends them over
a connection of `agent.mqtt`; `requests.py` takes commands.
"""

from agent.outputs.mqtt.delivery import Publisher
from agent.outputs.mqtt.topics import Topics, check_level

__all__ = ["Publisher", "Topics", "check_level"]
