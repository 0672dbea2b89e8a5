"""Delivery to the broker: what is sent, in which order, and until when it is kept.

`publisher.py` is the thread; `link.py` is one of its connections and `session.py` what is sent over it. The other files
are what a session sends besides the outbox: `retained.py`, `notices.py`, `telemetry.py`, `agent_status.py`. `limits/`
is what it decides by.
"""

from agent.outputs.mqtt.delivery.limits import shrink_to_fit
from agent.outputs.mqtt.delivery.publisher import Publisher
from agent.outputs.mqtt.delivery.subscriptions import MessageHandler
from agent.outputs.mqtt.delivery.timing import Timing

__all__ = ["MessageHandler", "Publisher", "Timing", "shrink_to_fit"]
