"""Parts that several cameras see: the results of their views become one.

`joiner.py` decides when a part has its result and builds it; `tables.py` keeps on the disk what waits for a view.
"""

from agent.outputs.views.joiner import JoinCounts, ViewGroup, ViewJoiner

__all__ = ["JoinCounts", "ViewGroup", "ViewJoiner"]
