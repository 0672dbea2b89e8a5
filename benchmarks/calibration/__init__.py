"""Whether thresholds keep their promises, on simulated lines: `python -m benchmarks.calibration`."""
