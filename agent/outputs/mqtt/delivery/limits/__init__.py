"""What limits a session: the size of packets, messages in flight, images that wait, rows that the broker rejects."""

from agent.outputs.mqtt.delivery.limits.image_window import BacklogRate, ImageWindow
from agent.outputs.mqtt.delivery.limits.in_flight import InFlight, Sent
from agent.outputs.mqtt.delivery.limits.packet_limit import PacketLimit, shrink_to_fit
from agent.outputs.mqtt.delivery.limits.suspicions import Rejection, Suspicions

__all__ = [
    "BacklogRate",
    "ImageWindow",
    "InFlight",
    "PacketLimit",
    "Rejection",
    "Sent",
    "Suspicions",
    "shrink_to_fit",
]
