"""The settings of an agent: read from file, environment and command line, checked, and mistakes explained."""

from agent.settings.load import load_settings
from agent.settings.page import PageSettings
from agent.settings.paths import SERVICE_SETTINGS, default_state_directory, writable
from agent.settings.settings import CameraSettings, Settings

__all__ = [
    "SERVICE_SETTINGS",
    "CameraSettings",
    "PageSettings",
    "Settings",
    "default_state_directory",
    "load_settings",
    "writable",
]
