"""`inspectd …`: parse, call, print. Exit 0 done, 1 failed with one clear line, 2 wrong usage."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from agent.console import complain, progress_bar, say, say_json, set_up_logging
from agent.errors import InspectdError, Permanent

app = typer.Typer(
    name="inspectd",
    help="Turns a camera or an X-ray line into an inspector.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bundle_app = typer.Typer(help="Model bundles.", no_args_is_help=True)
app.add_typer(bundle_app, name="bundle")
calibration_app = typer.Typer(help="The calibrations of a running agent.", no_args_is_help=True)
app.add_typer(calibration_app, name="calibration")

Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on standard output.")]
Config = Annotated[Path, typer.Option("--config", "-c", help="Settings, TOML; see inspectd.example.toml.")]
Socket = Annotated[Path | None, typer.Option("--socket", help="Control socket of the agent.")]
MaybeConfig = Annotated[Path | None, typer.Option("--config", "-c", help="Settings of the agent, to find its socket.")]
EngineName = Annotated[str, typer.Option("--engine", help="auto, onnxruntime or torch.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same result.")]


# Without hardware


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(min=5.0, help="How long to inspect, after calibration.")] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder for score sheet, pictures and logs.")] = Path("demo-out"),
    mode: Annotated[str, typer.Option(help="camera (8 bit) or xray (16 bit).")] = "camera",
    seed: Seed = 0,
) -> None:
    """The whole thing without hardware: simulator, broker, agent, subscriber, score sheet."""
    from agent.demo import run_demo

    run_demo(mode=mode, seconds=seconds, seed=seed, out=out, say=say)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write: train/good, test/good, test/defect, test/masks.")],
    mode: Annotated[str, typer.Option(help="camera (8 bit) or xray (16 bit).")] = "camera",
    count: Annotated[int, typer.Option(min=1, help="Pictures to write.")] = 500,
    defect_rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of bad parts.")] = 0.2,
    seed: Seed = 0,
) -> None:
    """Write pictures of the simulated line into a folder, to try training and evaluation on."""
    from agent.sources.simulation.export import write_folder

    with progress_bar("simulate") as report:
        written = write_folder(
            out, mode, count, defect_rate, seed, progress=lambda done, total: report(done / total, f"{done} pictures")
        )
    say(", ".join(f"{count} in {folder}" for folder, count in written.items()))


# The model


@app.command()
def train(
    normal: Annotated[Path, typer.Option(help="Folder with pictures of good parts, and of nothing else.")],
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
    minutes: Annotated[float | None, typer.Option(min=0.05, help="Time to train; kept within 10 %.")] = 10.0,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps to train, instead of a time: repeatable.")] = None,
    seed: Seed = 0,
    size: Annotated[str, typer.Option(help="Input of the model, pixels: auto, SIDE or WIDTHxHEIGHT.")] = "auto",
    recipe: Annotated[str, typer.Option(help="default, or reference (the GANomaly paper).")] = "default",
    devices: Annotated[int, typer.Option(min=1, help="Devices on this machine that train together.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines that train together, started by torchrun.")] = 1,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed.")] = "32-true",
    test_normal: Annotated[Path | None, typer.Option(help="Good parts to evaluate on afterwards.")] = None,
    test_abnormal: Annotated[Path | None, typer.Option(help="Bad parts to evaluate on afterwards.")] = None,
) -> None:
    """Learn what good parts look like. Ctrl-C keeps the best state so far."""
    if (test_normal is None) != (test_abnormal is None):
        raise typer.BadParameter("--test-normal and --test-abnormal go together")
    _need_training()
    from engines.training import train as train_model

    with progress_bar("train") as report:
        result = train_model(
            normal,
            out=out,
            recipe=recipe,
            size=_size(size),
            minutes=None if steps is not None else minutes,
            steps=steps,
            seed=seed,
            devices=devices,
            num_nodes=nodes,
            accelerator=accelerator,
            precision=precision,
            progress=report,
        )
    if not result.is_main:
        return
    for warning in result.record.warnings:
        complain(f"warning: {warning}")
    record = result.record
    say(
        f"{out}: trained on {record.images_used} pictures in {record.seconds:.0f} s, {record.steps} steps, "
        f"{record.images_held_out} held out, {record.images_skipped} skipped; see {out / 'report.png'}"
    )
    if test_normal is not None and test_abnormal is not None:
        evaluate(out, test_normal, test_abnormal)


@bundle_app.command("lean")
def bundle_lean(
    bundle: Annotated[Path, typer.Argument(help="A model bundle.")],
    out: Annotated[Path, typer.Argument(help="The copy to write.")],
) -> None:
    """Copy what a device needs of a bundle: without the weights for PyTorch and the training report."""
    from engines.bundle import read_bundle, write_lean_copy

    lean = write_lean_copy(read_bundle(bundle), out)
    say(f"{out}: {sum(file.stat().st_size for file in lean.path.iterdir()) / 1e6:.1f} MB")


@app.command()
def score(
    bundle: Annotated[Path, typer.Argument(help="A model bundle.")],
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    json_lines: Annotated[bool, typer.Option("--json", help="A JSON line per picture.")] = False,
    heatmaps: Annotated[Path | None, typer.Option(help="Folder for a heatmap of each picture.")] = None,
    engine: EngineName = "auto",
) -> None:
    """Score pictures: the higher, the less it looks like a good part."""
    from agent.scoring import score_paths

    failed = 0
    for result in score_paths(bundle, paths, engine_name=engine, heatmaps=heatmaps):
        failed += result.error is not None
        if result.error is not None:
            complain(f"{result.path}: {result.error}")
        elif json_lines:
            say_json(result.document())
        else:
            say(f"{result.score:12.6g}  {result.path}")
    if failed:
        raise Permanent(f"{failed} of the pictures could not be scored")


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="A model bundle.")],
    normal: Annotated[Path, typer.Option(help="Folder with good parts that were not trained on.")],
    abnormal: Annotated[Path, typer.Option(help="Folder with bad parts.")],
    masks: Annotated[Path | None, typer.Option(help="Folder with masks of the bad parts, the same file stems.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures; beside the bundle if not given.")] = None,
    engine: EngineName = "auto",
    json_document: Json = False,
) -> None:
    """How well a bundle tells bad parts from good ones it has never seen."""
    from agent.reports import evaluation_lines
    from engines.bundle import read_bundle
    from engines.engine import open_engine
    from engines.evaluation import evaluate as evaluate_engine

    folder = out or bundle.with_name(f"{bundle.stem}-evaluation")
    with open_engine(read_bundle(bundle), engine) as opened, progress_bar("evaluate") as report:
        result = evaluate_engine(opened, normal, abnormal, masks=masks, out=folder, progress=report)
    if json_document:
        say(result.to_json())
    else:
        for line in evaluation_lines(result):
            say(line)
        say(f"pictures in {folder}")


@app.command()
def compare(
    normal: Annotated[Path, typer.Option(help="Folder with good parts to learn from.")],
    test_normal: Annotated[Path, typer.Option(help="Folder with good parts to test on.")],
    abnormal: Annotated[Path, typer.Option(help="Folder with bad parts.")],
    masks: Annotated[Path | None, typer.Option(help="Folder with masks of the bad parts, the same file stems.")] = None,
    only: Annotated[str | None, typer.Option(help="Some systems only, such as ganomaly,anogan,pca.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How often each system learns, each time anew.")] = 3,
    minutes: Annotated[float, typer.Option(min=0.01, help="Time that each system may learn, for each seed.")] = 2.0,
    size: Annotated[str, typer.Option(help="Frames of all systems, pixels: SIDE or WIDTHxHEIGHT.")] = "64",
    max_images: Annotated[
        int | None, typer.Option(min=1, help="Pictures of each test folder, at even distances; AnoGAN is slow.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for table, ROC curves and heatmaps.")] = Path("compare-out"),
    json_document: Json = False,
) -> None:
    """GANomaly beside the other systems of the literature, on the same pictures."""
    _need_training()
    from engines.comparison import compare as compare_systems

    with progress_bar("compare") as report:
        result = compare_systems(
            normal,
            test_normal,
            abnormal,
            masks=masks,
            only=None if only is None else [name.strip() for name in only.split(",")],
            size=_size(size) or 64,
            minutes=minutes,
            seeds=seeds,
            max_images=max_images,
            out=out,
            progress=report,
        )
    if json_document:
        say(result.to_json())
        return
    say(str(result))
    say(f"{len(result.skipped)} files could not be used; pictures in {out}" if result.skipped else f"pictures in {out}")


@app.command()
def bench(
    bundle: Annotated[Path, typer.Argument(help="A model bundle.")],
    engine: EngineName = "auto",
    seconds: Annotated[float, typer.Option(min=1.0, help="How long to run each of the two.")] = 10.0,
    json_document: Json = False,
) -> None:
    """Engine alone, and the whole loop, on the same frames: both rates, their ratio, and the latency."""
    from agent.bench import bench as run_bench

    result = run_bench(bundle, engine_name=engine, seconds=seconds)
    if json_document:
        say_json(result.document())
    else:
        say(str(result))


# The agent


@app.command()
def run(
    config: Config,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE over the settings file.")] = None,
) -> None:
    """Inspect, until SIGTERM or Ctrl-C."""
    from agent.service import Service
    from agent.settings import load
    from agent.supervision import Supervision

    settings = load(config, overrides or ())
    set_up_logging(settings.log.level)
    # systemd ends an agent that hangs with SIGABRT: the log then shows where every thread stood.
    faulthandler.enable()
    supervision = Supervision.from_environment()
    supervision.wait_before_start()
    Service(settings, supervision, read_again=lambda: load(config, overrides or ())).run()
    _leave()


@app.command()
def doctor(config: Config, json_document: Json = False) -> None:
    """What is missing on this device, and the command that mends it. Exit code 1 where there is a problem."""
    from agent.doctor import Level, examine, lines

    findings = []
    for finding in examine(config):
        findings.append(finding)
        if not json_document:
            for line in lines(finding):
                say(line)
    if json_document:
        say_json([finding.document() for finding in findings])
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    if problems:
        raise Permanent(f"{problems} problem{'s' if problems > 1 else ''} found")


@app.command()
def status(
    camera: Annotated[str | None, typer.Argument(help="One camera; all of them if not given.")] = None,
    socket: Socket = None,
    config: MaybeConfig = None,
    json_document: Json = False,
) -> None:
    """How a running agent and its cameras are."""
    from agent.door import ask
    from agent.reports import status_lines

    result = ask(_socket(socket, config), "status", camera)
    if json_document:
        say_json(result)
    else:
        for line in status_lines(result):
            say(line)


@app.command()
def snapshot(
    camera: Annotated[str | None, typer.Argument(help="The camera; not needed where there is one.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for frame, heatmap and overlay.")] = Path(),
    socket: Socket = None,
    config: MaybeConfig = None,
    json_document: Json = False,
) -> None:
    """What a camera sees now: frame, heatmap and both in one, with score and threshold."""
    from agent.door import ask
    from agent.reports import save_pictures, snapshot_lines

    result = ask(_socket(socket, config), "snapshot", camera, inline=True)
    files = {path.stem.rpartition("-")[2]: str(path) for path in save_pictures(result, out)}
    if json_document:
        say_json({**result, "pictures": files})
        return
    for line in (*snapshot_lines(result), *files.values()):
        say(line)


@app.command()
def reload(socket: Socket = None, config: MaybeConfig = None, json_document: Json = False) -> None:
    """Have a running agent read its settings again; says which count now, and which need a restart."""
    from agent.door import ask
    from agent.reports import reload_lines

    result = ask(_socket(socket, config), "reload")
    if json_document:
        say_json(result)
    else:
        for line in reload_lines(result):
            say(line)


@app.command()
def recalibrate(
    camera: Annotated[str | None, typer.Argument(help="The camera; not needed where there is one.")] = None,
    frames: Annotated[int | None, typer.Option(min=50, help="Good frames to collect.")] = None,
    false_alarms: Annotated[str | None, typer.Option(help='Budget, such as "1 per shift".')] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and go on as before.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Give up the recalibration under way.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Use it without asking, as without a terminal.")] = False,
    socket: Socket = None,
    config: MaybeConfig = None,
) -> None:
    """Find the threshold again from the frames to come; inspection goes on meanwhile."""
    from agent.recalibration import follow

    path = _socket(socket, config)
    request: dict[str, Any] = {"frames": frames, "false_alarms": false_alarms}
    with progress_bar("recalibrate") as report:
        result = follow(path, camera, cancel=cancel, request=request, progress=report)
    if result is None:
        say("cancelled; the threshold is as it was")
        return
    say(result["sentence"])
    say(result["promise"])
    if dry_run or not (yes or not sys.stdin.isatty() or typer.confirm("Use it?", default=True)):
        say(f"not used; `inspectd calibration rollback --to {result['calibration']}` would put it in force")
        return
    from agent.door import ask

    ask(path, "calibration/rollback", camera, to=result["calibration"])
    say(f"in force: threshold {result['threshold']:.6g}, calibration {result['calibration']}")


@calibration_app.command("list")
def calibration_list(
    camera: Annotated[str | None, typer.Argument(help="The camera; not needed where there is one.")] = None,
    socket: Socket = None,
    config: MaybeConfig = None,
    json_document: Json = False,
) -> None:
    """Every calibration, oldest first; the one in force has a star."""
    from agent.door import ask
    from agent.reports import calibration_lines

    result = ask(_socket(socket, config), "calibration/list", camera)
    if json_document:
        say_json(result)
    else:
        for line in calibration_lines(result):
            say(line)


@calibration_app.command("show")
def calibration_show(
    camera: Annotated[str | None, typer.Argument(help="The camera; not needed where there is one.")] = None,
    of: Annotated[str | None, typer.Option("--id", help="Its id; the one in force if not given.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with pictures to this file.")] = None,
    socket: Socket = None,
    config: MaybeConfig = None,
    json_document: Json = False,
) -> None:
    """One calibration: threshold, promise, what it rests on."""
    from agent.door import ask
    from agent.reports import show_lines, write_report

    result = ask(_socket(socket, config), "calibration/show", camera, of=of)
    if html is not None:
        write_report(Path(result["file"]), html)
    if json_document:
        say_json(result)
        return
    for line in show_lines(result):
        say(line)


@calibration_app.command("rollback")
def calibration_rollback(
    camera: Annotated[str | None, typer.Argument(help="The camera; not needed where there is one.")] = None,
    to: Annotated[str | None, typer.Option(help="Id of a calibration; the one before if not given.")] = None,
    socket: Socket = None,
    config: MaybeConfig = None,
) -> None:
    """Put the calibration before this one, or the one of an id, in force again."""
    from agent.door import ask

    result = ask(_socket(socket, config), "calibration/rollback", camera, to=to)
    say(f"in force: threshold {result['threshold']:.6g}, calibration {result['id']}")


@app.command()
def watch(
    url: Annotated[str, typer.Argument(help="The broker: mqtt://host[:port].")] = "mqtt://127.0.0.1:1883",
    site: Annotated[str, typer.Option(help="One site; + for all.")] = "+",
    camera: Annotated[str, typer.Option(help="One camera; + for all.")] = "+",
    prefix: Annotated[str, typer.Option(help="First level of the topics.")] = "inspectd",
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures of the alarms.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings of an agent: its broker, login and topics.")
    ] = None,
) -> None:
    """Show alarms as they come, and save their pictures."""
    from agent.watch import watch as watch_broker

    if config is not None:
        from agent.settings import load

        settings = load(config)
        mqtt = settings.mqtt
        login = {name: getattr(mqtt, name) for name in ("username", "password_file", "ca_file")}
        certificate = {name: getattr(mqtt, name) for name in ("certificate_file", "key_file")}
        watch_broker(mqtt.url, topics=settings.topics, out=out, on_line=say, **login, **certificate)
        return
    watch_broker(url, prefix=prefix, site=site, camera=camera, out=out, on_line=say)


def main() -> NoReturn:
    """The entry point: whatever goes wrong on purpose is a line, never a traceback."""
    try:
        app(prog_name="inspectd")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        line = _explained(error)
        if line is None:
            raise
        complain(line)
        sys.exit(1)
    sys.exit(0)


def _leave() -> NoReturn:
    """End a process whose work is done. In Python's own order, a thread still in a driver's code would abort it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _explained(error: Exception) -> str | None:
    """The line that an error of ours, or of the system, has for the user; None for a bug, which shows itself whole."""
    from calibration import CalibrationError
    from engines.errors import EngineError

    if isinstance(error, InspectdError | EngineError | CalibrationError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'system'}: {error.strerror or error}"
    return None


def _socket(socket: Path | None, config: Path | None) -> Path:
    """Where the agent's door is: as told, as in its settings, or where it is by default."""
    from agent.settings import default_state_directory, load

    if socket is not None:
        return socket
    if config is not None:
        return load(config).socket_path
    return default_state_directory() / "control.sock"


def _size(text: str) -> int | tuple[int, int] | None:
    """None for auto, a side, or (height, width) from WIDTHxHEIGHT."""
    if text == "auto":
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise typer.BadParameter(f"got {text}, wanted auto, SIDE or WIDTHxHEIGHT in pixels", param_hint="--size")
    return int(sides[0]) if len(sides) == 1 else (int(sides[1]), int(sides[0]))


def _need_training() -> None:
    try:
        import lightning_fabric  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise Permanent(f"training needs {error.name}: pip install 'inspectd[train]'") from None


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
