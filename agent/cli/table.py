"""The commands of the command line. A new one is a function in a file of `models/` or `operation/`, and a row here.

The files are imported for every command, `inspectd --help` included: they import libraries inside their functions.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.cli import demo
from agent.cli.models import bundles, comparison, engines, scoring, training, xray
from agent.cli.operation import (
    alarms,
    audit,
    calibrations,
    device,
    fleet,
    opcua,
    page,
    plc,
    results,
    running_agent,
    watch,
)

# In the order of `inspectd --help`, which lists the groups of a heading last. The docstring is the help text.
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "simulate": demo.simulate,
    "plc-sim": plc.plc_sim,
    "train": training.train,
    "view": scoring.view,
    "score": scoring.score,
    "evaluate": scoring.evaluate,
    "compare": comparison.compare_systems,
    "bench": engines.bench,
    "run": device.run,
    "doctor": device.doctor,
    "status": running_agent.status,
    "snapshot": running_agent.snapshot,
    "reload": running_agent.reload,
    "recalibrate": running_agent.recalibrate,
    "pause": running_agent.pause,
    "resume": running_agent.resume,
    "product": running_agent.product,
    "inspect": running_agent.inspect,
    "watch": watch.watch,
    "page": page.page,
    "page user add": page.add_user,
    "page user list": page.list_users,
    "page user remove": page.remove_user,
    "fleet": fleet.fleet,
    "fleet doctor": fleet.doctor,
    "fleet user add": fleet.add_user,
    "fleet user list": fleet.list_users,
    "fleet user remove": fleet.remove_user,
    "opcua": opcua.opcua,
    "opcua certificate": opcua.certificate,
    "alarms list": alarms.list_alarms,
    "alarms show": alarms.show_alarm,
    "alarms judge": alarms.judge_alarm,
    "alarms export": alarms.export_alarms,
    "results list": results.list_results,
    "audit show": audit.show_audit,
    "audit verify": audit.verify_audit,
    "audit export": audit.export_audit,
    "bundle lean": bundles.lean,
    "bundle import": bundles.import_weights,
    "bundle sensitivity": bundles.sensitivity,
    "bundle keygen": bundles.keygen,
    "bundle sign": bundles.sign,
    "bundle verify": bundles.verify,
    "calibration list": calibrations.list_calibrations,
    "calibration show": calibrations.show_calibration,
    "calibration rollback": calibrations.roll_back,
    "calibration review": calibrations.review,
    "engine build": engines.build,
    "engine compare": engines.compare_engines,
    "xray calibrate": xray.calibrate,
}

GROUPS = {
    "alarms": "The alarms of an agent, and people's judgements of them.",
    "audit": "The audit log: who changed what.",
    "bundle": "Model bundles: copy, import, change a sensitivity, sign, verify.",
    "calibration": "The calibrations of a running agent.",
    "engine": "The engines that run a model.",
    "fleet": "A page with all agents of a broker: which cameras inspect, which do not, and why.",
    "fleet user": "The accounts of this page.",
    "opcua": "Serve OPC UA for SCADA, MES and PLCs: OPC 40100-1, machine vision. A process beside the agent.",
    "page": "The page for people at the line: watch, judge alarms, calibrate. A process beside the agent.",
    "page user": "The accounts of the page.",
    "results": "The latest parts of an agent, and what became of each.",
    "xray": "X-ray detectors.",
}

# The headings of `inspectd --help`, and what stands under each: the first word of a command.
HEADINGS = {
    "Try it": ("demo", "simulate", "plc-sim"),
    "Make and measure models": (
        "train",
        "view",
        "score",
        "evaluate",
        "compare",
        "bench",
        "bundle",
        "engine",
        "xray",
    ),
    "Run the agent": ("run", "doctor", "status", "snapshot", "reload"),
    "Work at the line": (
        "recalibrate",
        "pause",
        "resume",
        "product",
        "inspect",
        "watch",
        "alarms",
        "audit",
        "calibration",
        "results",
    ),
    "Serve people and PLCs": ("page", "fleet", "opcua"),
}


def heading(word: str) -> str | None:
    """Where `inspectd --help` lists the commands that begin with this word; None: under "Commands"."""
    return next((title for title, words in HEADINGS.items() if word in words), None)
