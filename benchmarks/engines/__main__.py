"""Compares the engines: same bundle, same frames, one run.

    python -m benchmarks.engines [--seconds 10] [--sizes 64 256]

The bundles are trained for a few steps only, since the quality of a model does not change its speed. The last result is
in benchmarks/engines/README.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from agent.sources.simulator import write_folder
from agent.tools.bench import noise_frames
from benchmarks.engines.alone import measure_alone
from benchmarks.engines.flops import operations_per_frame
from benchmarks.engines.measure import ROUNDS, Row, measure
from benchmarks.engines.nodes import node_table
from benchmarks.engines.published import published_line
from benchmarks.engines.settings import arena_megabytes, relative_rates
from benchmarks.machine import describe_machine
from engines.bundles import MODEL, Bundle, read_bundle

RESULT = Path(__file__).with_name("README.md")
WORK = Path("build/bench-engines")
STEPS = 20

HEAD = """\
# The engines

`python -m benchmarks.engines`; {machine}, {load:.1f} other processes runnable on average.

Float32 where no other precision is named. GFLOP/s count the convolutions and matrix products. The GEMM is the float32
product of two 1536×1536 matrices in the same turn, by NumPy or PyTorch, whichever is faster. Medians over {rounds}
turns. On a machine with other work only figures of the same table can be compared, and on all cores PyTorch, whose
threads spin while they wait for each other, looks worse than it is, as does the GEMM. One thread, measured in processor
time, is the most reliable figure on such a machine. `make bench-gpu` writes the figures of a GPU to `gpu.md`; it has
not been run yet. What else was tried is in [trials.md](trials.md).
"""


def bundle_of(size: int) -> Bundle:
    """A bundle with weights for PyTorch, trained for a few steps on the first call."""
    from engines.training.plan import TrainingPlan
    from engines.training.train import train_model

    path = WORK / f"{size}.bundle"
    if not path.exists():
        images = WORK / "images"
        if not images.exists():
            write_folder(images, "camera", 200, 0.2, 0, progress=lambda done, total: None)
        train_model(TrainingPlan(images / "train" / "good", out=path, size=size, steps=STEPS, minutes=None))
    return read_bundle(path)


def tables(sizes: list[int], seconds: float) -> list[str]:
    """The whole report, line by line."""
    lines = HEAD.format(machine=describe_machine(), rounds=ROUNDS, load=os.getloadavg()[0]).splitlines()
    for size in sizes:
        bundle = bundle_of(size)
        work = operations_per_frame(bundle.read(MODEL)) / 1e9
        lines += ["", f"## {size}×{size}, {work:.2f} GFLOP a frame"]
        lines += ["", "All cores, wall-clock time:", "", *_engine_table(measure(bundle, seconds))]
        lines += ["", "One thread, processor time:", "", *_engine_table(measure_alone(bundle, seconds))]
        lines += ["", *node_table(bundle), "", published_line(bundle, seconds)]
    lines += ["", "## Settings of ONNX Runtime's session", "", *_settings_table(bundle_of(sizes[-1]), seconds)]
    return lines


def _engine_table(rows: list[Row]) -> list[str]:
    head = "| batch | engine | frames/s | one call, p50 / p99, ms | GFLOP/s | of GEMM | of the fastest |"
    return [head, "|---|---|---|---|---|---|---|"] + [
        f"| {row.batch} | {row.engine} ({row.detail}) | {row.frames_per_second:.1f} "
        f"| {row.p50_milliseconds:.1f} / {row.p99_milliseconds:.1f} | {row.gflops:.0f} | {row.of_gemm:.2f} "
        f"| {row.of_best:.2f} |"
        for row in rows
    ]


def _settings_table(bundle: Bundle, seconds: float) -> list[str]:
    rates = relative_rates(bundle, np.stack(noise_frames(bundle)), seconds=seconds, rounds=ROUNDS)
    memory = arena_megabytes(bundle.path)
    sides = f"{bundle.geometry.width}×{bundle.geometry.height}"
    return [
        f"One frame per call, {sides}, relative to the session that the engine opens.",
        "",
        "| difference | rate |",
        "|---|---|",
        *(f"| {name} | {rate:.2f} |" for name, rate in rates.items()),
        "",
        "Resident memory of a process that alternates between one frame and "
        f"{len(bundle.reference().frames)}, at the end / at most: "
        + ", ".join(f"arena {name} {now:.0f} / {most:.0f} MB" for name, (now, most) in memory.items())
        + ".",
    ]


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each engine and batch size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256], help="sides of the models' inputs in pixels")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    text = "\n".join(tables(options.sizes, options.seconds)) + "\n"
    options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
