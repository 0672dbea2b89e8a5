"""The one table of commands for a running agent.

A new command is one file with its request model and its handler, and one row here. It then works over every transport:
the control socket and each output that takes commands. `make docs` adds it to the schemas and to `docs/topics.md`.
"""

from __future__ import annotations

from agent.commands.alarms import (
    AlarmExportRequest,
    AlarmJudgeRequest,
    AlarmListRequest,
    AlarmShowRequest,
    export_alarms,
    judge_alarm,
    list_alarms,
    show_alarm,
)
from agent.commands.audited import AuditListRequest, AuditLoginRequest, list_audit, note_login
from agent.commands.calibrations import list_calibrations, recalibrate, roll_back, show_calibration
from agent.commands.command import Command
from agent.commands.pause import inspect_part, pause, resume
from agent.commands.product import ProductRequest, ProductResult, product
from agent.commands.reload import reload
from agent.commands.results import ResultImageRequest, ResultListRequest, list_results, result_image
from agent.commands.review import ReviewRequest, ReviewResult, review
from agent.commands.snapshot import snapshot
from agent.commands.status import status
from agent.commands.training import (
    BundleTakeRequest,
    BundleTakeResult,
    ReviewImageRequest,
    ReviewImagesRequest,
    list_training_images,
    return_training_image,
    take_bundle,
)
from agent.commands.view import (
    AlarmImageRequest,
    CommandsRequest,
    DeviceRequest,
    DrawViewRequest,
    DrawViewResult,
    LiveRequest,
    LiveResult,
    RecentRequest,
    ScoresRequest,
    ViewRequest,
    ViewResult,
    alarm_image,
    draw_view,
    live_image,
    read_device,
    read_recent,
    read_scores,
    show_view,
)
from agent.core.errors import Permanent
from agent.core.roles import Role
from agent.messages import (
    CalibrationListRequest,
    CalibrationShowRequest,
    InspectRequest,
    PauseRequest,
    RecalibrateRequest,
    ReloadRequest,
    ReloadResult,
    ResumeRequest,
    RollbackRequest,
    SnapshotRequest,
    SnapshotResult,
    StatusRequest,
)

AGENT_COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(StatusRequest, status, reads=True),
        Command(RecalibrateRequest, recalibrate),
        Command(CalibrationListRequest, list_calibrations, reads=True),
        Command(CalibrationShowRequest, show_calibration, reads=True),
        Command(RollbackRequest, roll_back),
        Command(ReviewRequest, review, ReviewResult),
        Command(InspectRequest, inspect_part, role=Role.OPERATE, audited=False),
        Command(ProductRequest, product, ProductResult, role=Role.OPERATE),
        Command(PauseRequest, pause, role=Role.OPERATE),
        Command(ResumeRequest, resume, role=Role.OPERATE),
        Command(SnapshotRequest, snapshot, SnapshotResult, role=Role.VIEW, audited=False),
        Command(ReloadRequest, reload, ReloadResult),
        Command(AlarmListRequest, list_alarms, reads=True),
        Command(ResultListRequest, list_results, reads=True),
        Command(AlarmShowRequest, show_alarm, reads=True),
        Command(AlarmJudgeRequest, judge_alarm, role=Role.OPERATE),
        Command(AlarmExportRequest, export_alarms),
        Command(ViewRequest, show_view, ViewResult, reads=True, screen=True),
        Command(DrawViewRequest, draw_view, DrawViewResult, screen=True),
        Command(ReviewImagesRequest, list_training_images, reads=True, screen=True),
        Command(ReviewImageRequest, return_training_image, reads=True, screen=True),
        Command(BundleTakeRequest, take_bundle, BundleTakeResult, screen=True),
        Command(AuditListRequest, list_audit, reads=True, screen=True, role=Role.ENGINEER),
        Command(AuditLoginRequest, note_login, audited=False, screen=True),
        Command(AlarmImageRequest, alarm_image, reads=True, screen=True),
        Command(ResultImageRequest, result_image, reads=True, screen=True),
        Command(LiveRequest, live_image, LiveResult, reads=True, screen=True),
        Command(ScoresRequest, read_scores, reads=True, screen=True),
        Command(RecentRequest, read_recent, reads=True, screen=True),
        Command(DeviceRequest, read_device, reads=True, screen=True),
        Command(CommandsRequest, lambda _: {"commands": sorted(AGENT_COMMANDS)}, reads=True, screen=True),
    )
}


def find_command(name: str) -> Command:
    """The command of this name. Raises Permanent with one printable line where there is none."""
    command = AGENT_COMMANDS.get(name)
    if command is None:
        offered = sorted(name for name, known in AGENT_COMMANDS.items() if not known.screen)
        raise Permanent(f"unknown command {ascii(name)[:80]}; wanted one of {', '.join(offered)}")
    return command
