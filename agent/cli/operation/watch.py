"""A subscriber for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.terminal.console import print_line
from agent.cli.terminal.interrupts import quiet_while_loading

_BROKER = "mqtt://127.0.0.1:1883"


def watch(
    url: Annotated[str, typer.Argument(help="The broker: mqtt://host[:port].")] = _BROKER,
    site: Annotated[str, typer.Option(help="Name of a site; + for all.")] = "+",
    camera: Annotated[str, typer.Option(help="Name of a camera; + for all.")] = "+",
    prefix: Annotated[str, typer.Option(help="First level of the topics.")] = "inspectd",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the images of the alarms, and for the results of parts.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings file of an agent, for its broker, login and topics.")
    ] = None,
) -> None:
    """Print alarms as they arrive; with --out, save their images, and the results of parts."""
    with quiet_while_loading():
        from agent.tools.watch import watch as watch_broker

    if config is None:
        watch_broker(url, prefix=prefix, site=site, camera=camera, out=out, on_line=print_line)
        return
    with quiet_while_loading():
        from agent.settings import load_settings

    if (url, site, camera, prefix) != (_BROKER, "+", "+", "inspectd"):
        raise typer.BadParameter(
            "got --config beside an address, --site, --camera or --prefix; wanted one or the other"
        )
    settings = load_settings(config)
    mqtt = settings.mqtt
    login = {name: getattr(mqtt, name) for name in ("username", "password_file", "ca_file")}
    certificate = {name: getattr(mqtt, name) for name in ("certificate_file", "key_file")}
    watch_broker(mqtt.url, topics=mqtt.topics(settings.site), out=out, on_line=print_line, **login, **certificate)
