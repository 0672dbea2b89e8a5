"""Whether the agent keeps its promise on scores of real frames: `python -m benchmarks.honesty`."""
