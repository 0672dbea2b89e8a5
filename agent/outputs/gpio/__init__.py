"""Digital lines: a stack light, a reject gate, a trigger. Needs the extra `gpio`, so nothing is imported here.

`lights.py` and `gate.py` decide without hardware or clock, `lines.py` is the driver, `output.py` the output with its
thread.
"""
