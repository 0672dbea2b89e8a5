"""The information model OPC 40100-1 as this server offers it. Needs asyncua, so nothing is imported here.

`states.py`: the state machine; `model.py`: the nodes of a camera; `values.py`: ids and results as structures;
`events.py`: events. `nodeset/` has the types as the OPC Foundation publishes them, under its MIT licence.
"""
