"""`python -m benchmarks.parts [--parts N] [--kills N] [--triggers N] [--seconds S]`, on a real Mosquitto."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.parts.exactly_once import count_results
from benchmarks.parts.latency import measure_latency
from benchmarks.parts.throughput import measure_throughput


def main() -> None:
    """Measure, and print a table of Markdown for each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parts", type=int, default=100_000, help="parts while agent and broker are killed; 0: none")
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--spare-broker", action="store_true", help="kill only the agent")
    options.add_argument("--triggers", type=int, default=300, help="0: no measurement of the latency")
    options.add_argument("--seconds", type=float, default=60.0, help="of four cameras; 0: none")
    chosen = options.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory(prefix="parts-") as folder:
        if chosen.triggers:
            print(measure_latency(Path(folder) / "latency", chosen.triggers).table())
        if chosen.seconds:
            print(measure_throughput(Path(folder) / "throughput", chosen.seconds).table())
        if chosen.parts:
            print(
                count_results(
                    Path(folder) / "kills", chosen.parts, chosen.kills, spare_broker=chosen.spare_broker
                ).table()
            )


if __name__ == "__main__":
    main()
