"""The agent on this device: run it, examine the device, hear what it tells the broker."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from agent.cli.console import say, say_json, set_up_logging
from agent.cli.options import Config, Json
from agent.core.errors import Permanent


def run(
    config: Config,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE over the settings file.")] = None,
) -> None:
    """Inspect, until SIGTERM or Ctrl-C."""
    from agent.service import Service, Watchdog
    from agent.settings import load_settings

    settings = load_settings(config, overrides or ())
    set_up_logging(settings.log.level)
    # systemd ends an agent that hangs with SIGABRT: the log then shows where every thread stood.
    faulthandler.enable()
    supervision = Watchdog.from_environment()
    supervision.wait_before_start()
    Service(settings, supervision, read_again=lambda: load_settings(config, overrides or ())).run()
    _leave()


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
    from agent.tools.watch import watch as watch_broker

    if config is not None:
        from agent.settings import load_settings

        settings = load_settings(config)
        mqtt = settings.mqtt
        login = {name: getattr(mqtt, name) for name in ("username", "password_file", "ca_file")}
        certificate = {name: getattr(mqtt, name) for name in ("certificate_file", "key_file")}
        watch_broker(mqtt.url, topics=settings.mqtt.topics(settings.site), out=out, on_line=say, **login, **certificate)
        return
    watch_broker(url, prefix=prefix, site=site, camera=camera, out=out, on_line=say)


def _leave() -> NoReturn:
    """End a process whose work is done. In Python's own order, a thread still in a driver's code would abort it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
