"""A simulator of a PLC, for commissioning: the other side of `agent/outputs/modbus`. Needs the extra `modbus`."""
