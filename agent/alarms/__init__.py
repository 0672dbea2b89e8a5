"""Alarms: raised and cleared, and the images that go with them as evidence."""

from agent.alarms.camera_alarm import CameraAlarm, Condition, Observation
from agent.alarms.defect_alarm import ActiveAlarm, DefectAlarm
from agent.alarms.drawing import grey_out, outline, stored_window, to_8_bit
from agent.alarms.evidence import Evidence, EvidenceImage
from agent.alarms.heat_colours import HOTTEST, colour_of
from agent.alarms.heat_regions import regions
from agent.alarms.overlay import heat_layer
from agent.alarms.placing import as_captured
from agent.alarms.rule_watch import RuleWatch

__all__ = [
    "HOTTEST",
    "ActiveAlarm",
    "CameraAlarm",
    "Condition",
    "DefectAlarm",
    "Evidence",
    "EvidenceImage",
    "Observation",
    "RuleWatch",
    "as_captured",
    "colour_of",
    "grey_out",
    "heat_layer",
    "outline",
    "regions",
    "stored_window",
    "to_8_bit",
]
