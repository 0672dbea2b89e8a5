"""What the page costs, with twenty viewers: `python -m benchmarks.page`."""
