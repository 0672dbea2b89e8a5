"""MQTT as the agent speaks it: versions 5 and 3.1.1, QoS 0 and 1, one connection at a time.

- `fields.py`: what packets are made of, both ways; `reasons.py`: what a broker's codes mean;
- `outgoing.py`: the packets that we send; `incoming.py`: those that a broker sends;
- `link.py`: bytes over TCP or TLS, never waiting.

`agent/connection.py` puts them together. It was paho-mqtt's work before: `DECISIONS.md` says why it is no more.
"""
