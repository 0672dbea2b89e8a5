"""Commands for model bundles: copy, import, sign, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.models.training_options import OutOption, check_training_extra, parse_factors, parse_sensitivity
from agent.cli.options import BundleArgument
from agent.cli.terminal.console import print_error, print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.cli.terminal.progress import progress_bar


def lean(bundle: BundleArgument, out: Annotated[Path, typer.Argument(help="Copy to write.")]) -> None:
    """Copy a bundle for a device: without the weights for PyTorch and the training report."""
    with quiet_while_loading():
        from engines.bundles import read_bundle, write_lean_copy

    copy = write_lean_copy(read_bundle(bundle), out)
    print_line(f"{out}: {sum(file.stat().st_size for file in copy.path.iterdir()) / 1e6:.1f} MB")


def import_weights(
    weights: Annotated[Path, typer.Argument(help="netG.pth, as saved by the original GANomaly repository.")],
    normal: Annotated[Path, typer.Option(help="Folder of images of good parts, for the reference; not trained on.")],
    out: Annotated[Path, typer.Option(help="Bundle to write.")],
) -> None:
    """Turn weights from the original GANomaly repository into a bundle: the same scores, on every engine."""
    check_training_extra()
    with quiet_while_loading():
        from engines.foreign.published import bundle_published

    with progress_bar("import") as report:
        bundle = bundle_published(weights, normal, out, report)
    for warning in bundle.manifest.warnings:
        print_error(f"note: {warning}")
    print_line(f"{out}: {bundle.geometry}")


def sensitivity(
    bundle: BundleArgument,
    out: OutOption,
    regions: Annotated[
        list[str] | None,
        typer.Option("--sensitivity", help="Region and factor, 'FACTOR: X,Y X,Y X,Y'. May be given several times."),
    ] = None,
    factors: Annotated[
        str | None, typer.Option(help="Other factors for the regions that the bundle has, in their order: 2,0.5.")
    ] = None,
    equal: Annotated[bool, typer.Option("--equal", help="No regions: everything counts the same.")] = False,
    normal: Annotated[
        Path | None, typer.Option(help="Folder of good parts that were not trained on, to know how they score.")
    ] = None,
) -> None:
    """Write a copy of a bundle in which regions count more or less, without a training; the line calibrates again."""
    if sum(each is not None for each in (regions, factors)) + equal != 1:
        raise typer.BadParameter("wanted one of --sensitivity, --factors and --equal")
    check_training_extra()
    with quiet_while_loading():
        from agent.tools.reweighing import NewRegions, reweighed

    wanted = NewRegions(parse_sensitivity(regions), parse_factors(factors))
    with progress_bar("export") as report:
        written, skipped = reweighed(bundle, wanted, out, normal, report)
    for line in skipped:
        print_error(f"note: {line}")
    view = written.manifest.view
    said = None if view is None else view.sensitivity
    print_line(f"{out}: {'everything counts the same' if said is None else said}")
    if normal is None:
        print_line("without --normal, calibration cannot compare its window with good parts that the model knows")


def keygen(
    name: Annotated[Path, typer.Argument(help="Writes NAME.key, which signs, and NAME.pub, which devices trust.")],
) -> None:
    """Make a key pair for signing bundles. Never copy the private key to a device."""
    with quiet_while_loading():
        from engines.bundles import generate_keys

    private_file, public_file = generate_keys(name)
    print_line(f"{private_file}: the private key; keep it secret")
    print_line(
        f'{public_file}: the public key; copy it to each device, trusted_keys = ["{public_file.name}"] in its settings'
    )


def sign(
    bundle: BundleArgument,
    key: Annotated[Path, typer.Option(help="Private key, NAME.key.")],
) -> None:
    """Verify every file of a bundle and sign its manifest."""
    with quiet_while_loading():
        from engines.bundles import read_bundle, sign_bundle

    verified = read_bundle(bundle)
    fingerprint = sign_bundle(verified.path, key, verified=verified.sha256)
    print_line(f"{bundle}: signed by {fingerprint}, bundle {verified.sha256[:12]}")


def verify(
    bundle: BundleArgument,
    key: Annotated[list[Path] | None, typer.Option(help="Public key, NAME.pub; can be repeated.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings file with trusted_keys.")] = None,
) -> None:
    """Verify every file of a bundle, and that a trusted key has signed it."""
    with quiet_while_loading():
        from agent.settings import load_settings
        from engines.bundles import load_trusted_keys, read_bundle

    files = key if config is None else [*(key or ()), *(load_settings(config).trusted_keys or ())]
    if not files:
        raise typer.BadParameter("wanted --key NAME.pub, or --config with trusted_keys in it")
    verified = read_bundle(bundle, trusted=load_trusted_keys(files))
    print_line(f"{bundle}: all files match the manifest, signed by {verified.signed_by}, bundle {verified.sha256[:12]}")
