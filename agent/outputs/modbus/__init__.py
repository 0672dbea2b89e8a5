"""A Modbus TCP server for a PLC: registers, handshake, triggers. Needs the extra `modbus`, so nothing is imported here.

`register_map.py` is the table of the registers, `handshake.py` the handshake of one camera, `server.py` and
`connection.py` the server, `output.py` the output.
"""
