"""Commands for signed bundles: keys, signatures, and whether one is to be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.console import say


def keygen(
    name: Annotated[Path, typer.Argument(help="Writes NAME.key, which signs, and NAME.pub, which devices trust.")],
) -> None:
    """Make a key pair to sign bundles with. The private key stays where bundles are made, never on a device."""
    from engines.bundles import generate_keys

    private_file, public_file = generate_keys(name)
    say(f"{private_file}: the private key; keep it, and show it to nobody")
    say(f'{public_file}: the public key; copy it to each device, trusted_keys = ["{public_file.name}"] in its settings')


def sign(
    bundle: Annotated[Path, typer.Argument(help="A model bundle.")],
    key: Annotated[Path, typer.Option(help="The private key, NAME.key.")],
) -> None:
    """Verify every file of a bundle, and sign its manifest."""
    from engines.bundles import read_bundle
    from engines.bundles import sign as sign_bundle

    verified = read_bundle(bundle)
    say(f"{bundle}: signed by {sign_bundle(verified.path, key)}, bundle {verified.sha256[:12]}")


def verify(
    bundle: Annotated[Path, typer.Argument(help="A model bundle.")],
    key: Annotated[list[Path] | None, typer.Option(help="A public key, NAME.pub; may be given again.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings with trusted_keys.")] = None,
) -> None:
    """Verify every file of a bundle, and that one of the trusted keys has signed it."""
    from agent.settings import load_settings
    from engines.bundles import load_trusted_keys, read_bundle

    files = key if config is None else [*(key or ()), *(load_settings(config).trusted_keys or ())]
    if not files:
        raise typer.BadParameter("wanted --key NAME.pub, or --config with trusted_keys in it")
    verified = read_bundle(bundle, trusted=load_trusted_keys(files))
    say(f"{bundle}: every file as in its manifest, signed by {verified.signed_by}, bundle {verified.sha256[:12]}")
