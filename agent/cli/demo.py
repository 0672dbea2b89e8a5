"""Commands that need no hardware: the demo, and images of the simulated line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import SeedOption
from agent.cli.terminal.console import print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.cli.terminal.progress import progress_bar

ModeOption = Annotated[str, typer.Option("--mode", help="camera (8 bit) or xray (16 bit).")]


def demo(
    seconds: Annotated[float, typer.Option(min=5.0, max=86400.0, help="Time to inspect after calibration.")] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder for the score sheet, the images and the logs.")] = Path("demo-out"),
    mode: ModeOption = "camera",
    seed: SeedOption = 0,
    page: Annotated[bool, typer.Option("--page", help="With the page for the browser; needs the extra page.")] = False,
) -> None:
    """Run everything without hardware: simulator, broker, agent, subscriber, score sheet."""
    with quiet_while_loading():
        from agent.tools.demo import run_demo

    run_demo(mode=mode, seconds=seconds, seed=seed, out=out, on_line=print_line, page=page)


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write: train/good, test/good, test/defect, test/masks.")],
    mode: ModeOption = "camera",
    count: Annotated[int, typer.Option(min=1, help="Number of images.")] = 500,
    defect_rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Fraction of bad parts.")] = 0.2,
    loose: Annotated[bool, typer.Option("--loose", help="Parts lie up to 5 % of the image and 10° away.")] = False,
    seed: SeedOption = 0,
) -> None:
    """Write images of the simulated line to a folder, to try out training and evaluation."""
    with quiet_while_loading():
        from agent.sources.simulator import write_folder

    with progress_bar("simulate") as report:

        def progress(done: int, total: int) -> None:
            report(done / total, f"{done} images")

        written = write_folder(out, mode, count, defect_rate, seed, loose=loose, progress=progress)
    print_line(", ".join(f"{images} in {folder}" for folder, images in written.items()))
