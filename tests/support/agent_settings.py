"""The settings file of an agent with one camera, for tests and benchmarks that start a whole one."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

# One shift a day, whose end is twelve hours away: else numbers would begin again in a test that runs at 14:00.
ONE_SHIFT = f'[shifts]\nstarts = ["{datetime.now().astimezone() + timedelta(hours=12):%H:%M}"]'

# Nothing listens on this port.
NO_BROKER = "mqtt://127.0.0.1:1"

# A window of sixty frames fills within a second; every frame above the threshold raises an alarm.
QUICK_CALIBRATION = 'frames = 60\nmax_frames = 60\nfalse_alarms = "1 per 100 frames"'
EVERY_FRAME = 'rule = "1 of 1"\nclear_after_seconds = 0'


def settings_text(
    bundle: Path,
    source: str,
    *,
    url: str = NO_BROKER,
    mqtt: str = "",
    calibration: str = QUICK_CALIBRATION,
    alarm: str = EVERY_FRAME,
    sections: str = "",
) -> str:
    """TOML: site `plant`, camera `line1`, its state beside the file.

    `source`, `calibration` and `alarm` are the lines of the camera's tables, `mqtt` further lines of `[mqtt]`, and
    `sections` whole tables beside it.
    """
    return f"""\
site = "plant"
state_directory = "state"
[mqtt]
url = "{url}"
{mqtt}
{ONE_SHIFT}
{sections}
[cameras.line1]
bundle = "{bundle}"
[cameras.line1.source]
{source}
[cameras.line1.calibration]
{calibration}
[cameras.line1.alarm]
{alarm}
"""
