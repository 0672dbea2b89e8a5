"""Without hardware: the whole thing on the simulated line, and pictures of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.console import progress_bar, say
from agent.cli.options import Seed


def demo(
    seconds: Annotated[float, typer.Option(min=5.0, help="How long to inspect, after calibration.")] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder for score sheet, pictures and logs.")] = Path("demo-out"),
    mode: Annotated[str, typer.Option(help="camera (8 bit) or xray (16 bit).")] = "camera",
    seed: Seed = 0,
) -> None:
    """The whole thing without hardware: simulator, broker, agent, subscriber, score sheet."""
    from agent.tools.demo import run_demo

    run_demo(mode=mode, seconds=seconds, seed=seed, out=out, say=say)


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write: train/good, test/good, test/defect, test/masks.")],
    mode: Annotated[str, typer.Option(help="camera (8 bit) or xray (16 bit).")] = "camera",
    count: Annotated[int, typer.Option(min=1, help="Pictures to write.")] = 500,
    defect_rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of bad parts.")] = 0.2,
    seed: Seed = 0,
) -> None:
    """Write pictures of the simulated line into a folder, to try training and evaluation on."""
    from agent.sources.simulator import write_folder

    with progress_bar("simulate") as report:
        written = write_folder(
            out, mode, count, defect_rate, seed, progress=lambda done, total: report(done / total, f"{done} pictures")
        )
    say(", ".join(f"{count} in {folder}" for folder, count in written.items()))
