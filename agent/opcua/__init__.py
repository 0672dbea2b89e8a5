"""An OPC UA server with the information model OPC 40100-1 (machine vision), as a process of its own.

It is a client of the agent's control socket and knows nothing else of it. Needs the extra `opcua`, so nothing is
imported here. `address_space/` is the information model, `vision_system.py` one camera or group with its `methods.py`,
`follow.py` what comes from the agent, `security.py` and `trust_list.py` who may connect, `server.py` the process.
"""
