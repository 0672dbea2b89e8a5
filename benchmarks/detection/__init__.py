"""How well the default recipe finds defects, on public and simulated sets: `python -m benchmarks.detection`."""
