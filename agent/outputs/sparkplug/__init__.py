"""Sparkplug B: the agent as an edge node, its cameras as devices.

`payload.py` encodes and decodes, `node.py` keeps the numbers of the specification, `output.py` has the connection.
"""
