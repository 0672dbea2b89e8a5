"""Checks of the service `inspectd@<name>`: what its unit allows, what it can read, and whether it runs."""

from agent.doctor.service.drop_ins import add_to_unit, install_drop_in
from agent.doctor.service.files import check_files
from agent.doctor.service.other_services import check_other_services
from agent.doctor.service.rights import check_rights
from agent.doctor.service.systemd import RunCommand, command_output, service_unit
from agent.doctor.service.unit import check_unit, no_service
from agent.doctor.service.unit_rights import UnitRights, read_unit_rights

__all__ = [
    "RunCommand",
    "UnitRights",
    "add_to_unit",
    "check_files",
    "check_other_services",
    "check_rights",
    "check_unit",
    "command_output",
    "install_drop_in",
    "no_service",
    "read_unit_rights",
    "service_unit",
]
