"""All settings of an agent. `INSPECTD_*` in the environment overrides the TOML file; the command line overrides both.

Each mistake is one line with the key, its value and what was wanted. `inspectd.example.toml` shows every setting with
its default; a test compares the two.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    PositiveInt,
    SerializeAsAny,
    model_validator,
)

from agent.core.crop import Crop
from agent.core.errors import Permanent
from agent.core.roles import Role, RoleName
from agent.core.section import Section
from agent.outputs.mqtt.settings import MqttSettings
from agent.outputs.settings import OutputSection, parse_section
from agent.settings.alignment import AlignmentSettings
from agent.settings.environment import SettingsFile
from agent.settings.opcua import OpcuaSettings
from agent.settings.page import PageSettings
from agent.settings.parts import PartSettings
from agent.settings.paths import default_state_directory
from agent.settings.reporting import LogSettings, MetricsSettings, ReviewSettings
from agent.settings.shifts import ShiftSettings
from agent.settings.view_groups import ViewGroupSettings, check_view_groups
from agent.sources import SourceSettings
from calibration import Budget, CalibrationError, Rule, read_duration
from engines.backends import AUTO, engine_names

# Names of sites and cameras: valid in MQTT topics, file names and names of systemd instances.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("wanted up to 64 letters, digits, '.', '_' or '-', the first a letter or a digit")
    return value


def _engine_name(value: str) -> str:
    names = [f"'{name}'" for name in engine_names()]
    if value not in engine_names():
        raise ValueError(f"wanted {', '.join(names[:-1])} or {names[-1]}")
    return value


def _parsed_by(parse: Any) -> AfterValidator:
    """Check a text with the function that will parse it later; the setting stays the text."""

    def check(value: str) -> str:
        parse(value)
        return value

    return AfterValidator(check)


Name = Annotated[str, AfterValidator(_name)]
EngineName = Annotated[str, AfterValidator(_engine_name)]
RuleText = Annotated[str, _parsed_by(Rule.parse)]
BudgetText = Annotated[str, _parsed_by(Budget.parse)]
DurationText = Annotated[str, _parsed_by(read_duration)]
Confidence = Annotated[float, Field(gt=0.5, lt=1.0)]


OutputSettings = Annotated[SerializeAsAny[OutputSection], BeforeValidator(parse_section)]


class CalibrationSettings(Section):
    """How the threshold is computed from the first good frames."""

    frames: Annotated[int, Field(ge=50)] = 300
    """Good frames in the window."""
    max_frames: Annotated[int, Field(ge=50)] = 3000
    """With `require_certificate` the window may grow to this if its frames do not suffice."""
    false_alarms: BudgetText | None = None
    """None: as `CameraSettings.false_alarms` says."""
    shift: DurationText = "8 h"
    """Length of a shift, for a budget per shift."""
    confidence: Confidence = 0.95
    require_certificate: bool = False
    """Raise no alarms with a threshold that the window cannot certify."""

    @model_validator(mode="after")
    def _enough(self) -> CalibrationSettings:
        if self.max_frames < self.frames:
            raise ValueError(f"max_frames is {self.max_frames}, wanted at least frames, which is {self.frames}")
        return self


class AlarmSettings(Section):
    """When an alarm is raised and when it is cleared."""

    rule: RuleText | None = None
    """None: as `CameraSettings.alarm_rule` says."""
    clear_after_seconds: Annotated[float, Field(ge=0.0)] | None = None
    """None: as `CameraSettings.clear_after_seconds` says."""


class ProductSettings(Section):
    """One product that a camera inspects: what differs from the settings of its camera."""

    bundle: Path | None = None
    engine: EngineName | None = None
    crop: Crop | None = None
    mask: Path | None = None
    alignment: AlignmentSettings | None = None
    calibration: CalibrationSettings = CalibrationSettings()
    alarm: AlarmSettings = AlarmSettings()


class CameraSettings(Section):
    """One camera: its source, its model, its parts, its calibration and its alarms."""

    source: SourceSettings
    bundle: Path
    engine: EngineName = AUTO
    crop: Crop | None = None
    """The part of the image that is inspected; None: all of it."""
    mask: Path | None = None
    """The mask that the bundle was trained with, to be compared with it; None: that of the bundle, whatever it is."""
    correction: Path | None = None
    """File of a detector correction, renewed since the bundle was trained; None: that of the bundle, if it has one."""
    alignment: AlignmentSettings | None = None
    """Other limits than those of the bundle, which was trained with an alignment; None: those of the bundle."""
    calibration: CalibrationSettings = CalibrationSettings()
    alarm: AlarmSettings = AlarmSettings()
    parts: PartSettings = PartSettings()
    products: dict[Name, ProductSettings] = Field(default_factory=dict)
    """Empty: the camera inspects one product, which has no name."""
    product: Name | None = None
    """The product until a command names another one. None: the first one."""

    @property
    def first_product(self) -> str | None:
        """The product until a command names another one; None for a camera without products."""
        return self.product or next(iter(self.products), None)

    def of_product(self, name: str | None) -> CameraSettings:
        """The settings that a product is inspected with; None: those of a camera without products."""
        if name is None:
            return self
        section, changes = self.products[name], dict[str, Any]()
        for field in section.model_fields_set:
            value, own = getattr(section, field), getattr(self, field)
            if isinstance(value, Section) and isinstance(own, type(value)):
                value = own.model_copy(update={key: getattr(value, key) for key in value.model_fields_set})
            changes[field] = value
        return self.model_copy(update=changes)

    @property
    def bundles(self) -> tuple[Path, ...]:
        """The bundles of all products, each once."""
        return tuple(dict.fromkeys(self.of_product(name).bundle for name in self.products or [None]))

    @property
    def parts_known(self) -> bool:
        """Whether it is known which frames show the same part: then results, budget and alarm rule count parts."""
        parts = self.parts
        several = parts.gap_seconds is not None or parts.presence is not None
        return self.source.frame_is_part or self.frames_per_part is not None or several

    @property
    def frames_per_part(self) -> int | None:
        """Frames of one part; None where parts are not known, or have any number of frames."""
        if self.parts.gap_seconds is not None or self.parts.presence is not None:
            return None
        alone = self.parts.trigger or self.source.frame_is_part
        return self.parts.frames_per_part or (1 if alone else None)

    @property
    def id_source(self) -> str | None:
        """Where the ids of its parts come from, in words; None where they are known to this camera alone."""
        if self.parts.trigger:
            return "trigger"
        if self.parts.code is not None:
            return "code"
        return "file name" if self.source.frame_is_part else None

    @property
    def alarm_rule(self) -> str:
        """The alarm rule: where parts are known, one part decides."""
        return self.alarm.rule or ("1 of 1" if self.parts_known else "2 of 3")

    @property
    def clear_after_seconds(self) -> float:
        """The quiet time that clears an alarm; 0: each bad part raises its own, and the next part clears it."""
        if self.alarm.clear_after_seconds is not None:
            return self.alarm.clear_after_seconds
        return 0.0 if self.parts_known else 2.0

    @property
    def false_alarms(self) -> str:
        """The budget: in parts where they are known, else in time where the source keeps time."""
        if self.calibration.false_alarms is not None:
            return self.calibration.false_alarms
        if self.parts_known:
            return "1 per 1000 parts"
        return "1 per shift" if self.source.keeps_time else "1 per 1000 frames"

    @model_validator(mode="before")
    @classmethod
    def _bundle_of_the_first_product(cls, values: Any) -> Any:
        """A camera may leave its bundle to its products."""
        products = values.get("products") if isinstance(values, dict) else None
        if not isinstance(products, dict) or "bundle" in values:
            return values
        for name, product in products.items():
            if not isinstance(product, dict) or "bundle" not in product:
                raise ValueError(f"products.{name}: got no bundle; wanted one, or one for the camera")
        return {**values, "bundle": next(iter(products.values()))["bundle"]} if products else values

    @model_validator(mode="after")
    def _parts_and_budget_fit_the_source(self) -> CameraSettings:
        self.parts.check_source(self.source, known=self.parts_known)
        if self.product is not None and self.product not in self.products:
            known = ", ".join(self.products) or "none, since there is no section products"
            raise ValueError(f"product: got {self.product!r}, wanted one of the products: {known}")
        self.parse_budget(self.false_alarms)
        for name in self.products:
            product = self.of_product(name)
            try:
                product.parse_budget(product.false_alarms)
            except CalibrationError as error:
                raise ValueError(f"products.{name}: {error}") from None
        return self

    def parse_budget(self, text: str) -> Budget:
        """Read a budget for this camera. Raises CalibrationError, with one line, where its source cannot count it."""
        budget = Budget.parse(text, shift_seconds=read_duration(self.calibration.shift))
        if budget.per_frames is not None and budget.counted == "parts" and not self.parts_known:
            raise CalibrationError(
                f"false_alarms: got '{text}', but it is not known which frames of a {self.source.kind} show the same "
                "part; wanted a budget in time or frames, or frames_per_part, such as parts = { frames_per_part = 4 }"
            )
        several = self.parts_known and self.frames_per_part != 1
        if budget.per_frames is not None and budget.counted != "parts" and several:
            raise CalibrationError(
                f"false_alarms: got '{text}', but this camera judges parts of several frames; wanted a budget in parts "
                "or in time"
            )
        if budget.per_seconds is not None and not self.source.keeps_time:
            counted = "parts" if self.parts_known else "frames"
            raise CalibrationError(
                f"false_alarms: got '{text}', but a {self.source.kind} that is read as fast as possible has no time; "
                f"wanted a budget such as '1 per 1000 {counted}', or a frames_per_second for its source"
            )
        return budget


class Settings(SettingsFile):
    """All settings of one agent."""

    site: Name
    state_directory: Path = Field(default_factory=default_state_directory)
    control_socket: Path | None = None
    socket_roles: dict[str, RoleName] | None = None
    """Of users and `@groups` at the control socket; None: everybody who may connect may do everything."""
    max_outbox_size: ByteSize = ByteSize(512 * 1024**2)
    max_results_size: ByteSize = ByteSize(64 * 1024**2)
    max_evidence_size: ByteSize = ByteSize(1024**3)
    max_score_log_size: ByteSize = ByteSize(64 * 1024**2)
    max_model_memory: ByteSize = ByteSize(1024**3)
    """Models of products that are not inspected now are kept ready up to this memory."""
    inference_threads: PositiveInt | None = None
    trusted_keys: Annotated[tuple[Path, ...], Field(min_length=1)] | None = None
    mqtt: MqttSettings = MqttSettings()
    outputs: dict[Name, OutputSettings] = Field(default_factory=dict)
    review: ReviewSettings = ReviewSettings()
    shifts: ShiftSettings = ShiftSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    parts: dict[Name, ViewGroupSettings] = Field(default_factory=dict)
    """Cameras that see the same part, by the name of the group."""
    page: PageSettings = PageSettings()
    opcua: OpcuaSettings = OpcuaSettings()
    cameras: Annotated[dict[Name, CameraSettings], Field(min_length=1)]

    @property
    def socket_path(self) -> Path:
        """The Unix socket for commands."""
        return self.control_socket or self.state_directory / "control.sock"

    @property
    def roles_at_socket(self) -> dict[str, Role] | None:
        """`socket_roles` as roles."""
        return (
            None if self.socket_roles is None else {name: Role.parse(role) for name, role in self.socket_roles.items()}
        )

    @property
    def output_sections(self) -> dict[str, OutputSection]:
        """The settings of every output, by its name."""
        return {"mqtt": self.mqtt, **self.outputs}

    @model_validator(mode="after")
    def _view_groups_can_be_joined(self) -> Settings:
        check_view_groups(self.parts, self.cameras)
        return self

    @model_validator(mode="after")
    def _outputs_take_every_camera(self) -> Settings:
        if "mqtt" in self.outputs:
            raise ValueError('outputs: got the name "mqtt", which is that of the section [mqtt]; wanted another one')
        for name, section in self.output_sections.items():
            try:
                section.check_cameras(self.site, self.cameras, self.parts)
            except Permanent as error:
                raise ValueError(str(error) if name == "mqtt" else f"outputs.{name}: {error}") from None
        return self
