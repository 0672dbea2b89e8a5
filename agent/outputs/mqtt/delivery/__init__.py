"""Delivery to the broker: what is sent, in which order, and until when it is kept.

`publisher.py` is the thread; `link.py` is one of its connections and `session.py` what is sent over it. The other files
are what a session decides by: `packet_limit.py`, `image_window.py`, `in_flight.py`, `suspicions.py`; and what it sends
besides the outbox: `retained.py`, `notices.py`, `telemetry.py`, `agent_status.py`.
"""

from agent.outputs.mqtt.delivery.packet_limit import shrink_to_fit
from agent.outputs.mqtt.delivery.publisher import Publisher
from agent.outputs.mqtt.delivery.subscriptions import MessageHandler
from agent.outputs.mqtt.delivery.timing import Timing

__all__ = ["MessageHandler", "Publisher", "Timing", "shrink_to_fit"]
