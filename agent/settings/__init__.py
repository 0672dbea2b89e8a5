"""The settings of an agent: read from file, environment and command line, checked, and mistakes explained."""

from agent.settings.alignment import AlignmentSettings
from agent.settings.fleet import FLEET_SERVICE_SETTINGS, FleetSettings, accounts_file, load_fleet_settings
from agent.settings.load import load_settings
from agent.settings.page import PageSettings, ServerSettings, page_accounts_file
from agent.settings.paths import CREDENTIAL_STORE, SERVICE_SETTINGS, default_state_directory, writable
from agent.settings.settings import CameraSettings, Settings
from agent.settings.view_groups import check_view_groups

__all__ = [
    "CREDENTIAL_STORE",
    "FLEET_SERVICE_SETTINGS",
    "SERVICE_SETTINGS",
    "AlignmentSettings",
    "CameraSettings",
    "FleetSettings",
    "PageSettings",
    "ServerSettings",
    "Settings",
    "accounts_file",
    "check_view_groups",
    "default_state_directory",
    "load_fleet_settings",
    "load_settings",
    "page_accounts_file",
    "writable",
]
