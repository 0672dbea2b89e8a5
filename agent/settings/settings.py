"""What a user may set: a TOML file, overruled by `INSPECTD_*` in the environment, overruled by the command line.

Every mistake is one line that names the key, the value that was got and what was wanted.
`inspectd.example.toml` shows each setting with its default; a test keeps the two in step.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from agent.core.errors import Permanent
from agent.outputs.mqtt.topics import Topics
from agent.settings.explain import explain, nearest
from agent.settings.overrides import parse_overrides, tomllib
from agent.settings.paths import default_state_directory, service_paths, with_absolute_paths
from calibration import Budget, Rule

ENVIRONMENT_PREFIX = "INSPECTD_"

# MQTT topics, directory names and systemd instances all have to carry it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("wanted up to 64 letters, digits, '.', '_' or '-', the first a letter or a digit")
    return value


def _parsed_by(parse: Any) -> AfterValidator:
    """Check a text with the function that will read it, and keep the text: settings stay printable."""

    def check(value: str) -> str:
        parse(value)
        return value

    return AfterValidator(check)


Name = Annotated[str, AfterValidator(_name)]
RuleText = Annotated[str, _parsed_by(Rule.parse)]
BudgetText = Annotated[str, _parsed_by(Budget.parse)]
Confidence = Annotated[float, Field(gt=0.5, lt=1.0)]


class Section(BaseModel):
    """A part of the settings: unknown keys are mistakes, and nothing changes after start."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FaultSettings(Section):
    """A fault of the simulated camera."""

    kind: Literal["black", "saturated", "frozen", "defocused", "shifted", "lost"]
    duration_seconds: PositiveFloat
    start_seconds: Annotated[float, Field(ge=0.0)] | None = None
    start_frame: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _one_start(self) -> FaultSettings:
        if (self.start_seconds is None) == (self.start_frame is None):
            raise ValueError("wanted either start_seconds or start_frame")
        return self


class SimulatorSettings(Section):
    """The built-in production line."""

    kind: Literal["simulator"]
    mode: Literal["camera", "xray"] = "camera"
    frames_per_second: PositiveFloat = 20.0
    seed: NonNegativeInt = 0
    # Above this, two bad parts could not be told apart by their alarms.
    defect_rate: Annotated[float, Field(ge=0.0, le=0.2)] = 0.05
    frames_per_part: PositiveInt = 4
    good_frames: NonNegativeInt = 400
    max_frames: PositiveInt | None = None
    faults: tuple[FaultSettings, ...] = ()


class FolderSettings(Section):
    """Images in a folder, in the order of their names."""

    kind: Literal["folder"]
    path: Path
    follow: bool = False
    frames_per_second: PositiveFloat | None = None


class VideoSettings(Section):
    """A video file."""

    kind: Literal["video"]
    path: Path
    frames_per_second: PositiveFloat | None = None


class CameraSourceSettings(Section):
    """A V4L2 or USB camera (`device`) or a network camera (`url`)."""

    kind: Literal["camera"]
    device: str | int | None = None
    url: str | None = None
    width: PositiveInt | None = None
    height: PositiveInt | None = None
    frames_per_second: PositiveFloat | None = None
    open_timeout_seconds: PositiveFloat = 5.0
    read_timeout_seconds: PositiveFloat = 2.0

    @model_validator(mode="after")
    def _one_address(self) -> CameraSourceSettings:
        if (self.device is None) == (self.url is None):
            raise ValueError("wanted either device (such as /dev/video0) or url (such as rtsp://camera/stream)")
        return self


SourceSettings = Annotated[
    SimulatorSettings | FolderSettings | VideoSettings | CameraSourceSettings, Field(discriminator="kind")
]


class CalibrationSettings(Section):
    """How the threshold is found from the first good frames."""

    frames: Annotated[int, Field(ge=50)] = 300
    max_frames: Annotated[int, Field(ge=50)] = 3000
    false_alarms: BudgetText = "1 per shift"
    confidence: Confidence = 0.95
    require_certificate: bool = False

    @model_validator(mode="after")
    def _enough(self) -> CalibrationSettings:
        if self.max_frames < self.frames:
            raise ValueError(f"max_frames is {self.max_frames}, wanted at least frames, which is {self.frames}")
        return self


class AlarmSettings(Section):
    """When an alarm is raised, and when it is over."""

    rule: RuleText = "2 of 3"
    clear_after_seconds: Annotated[float, Field(ge=0.0)] = 2.0


class Crop(Section):
    """The part of the picture that is inspected, pixels of the source."""

    x: NonNegativeInt
    y: NonNegativeInt
    width: PositiveInt
    height: PositiveInt


class CameraSettings(Section):
    """One camera and everything that is done with its frames."""

    source: SourceSettings
    bundle: Path
    engine: Literal["auto", "onnxruntime", "openvino", "tensorrt", "torch"] = "auto"
    crop: Crop | None = None
    calibration: CalibrationSettings = CalibrationSettings()
    alarm: AlarmSettings = AlarmSettings()


class MqttSettings(Section):
    """The broker, and how to reach it."""

    url: Annotated[str, Field(pattern=r"^mqtts?://[^/@\s]+$")] = "mqtt://127.0.0.1:1883"
    prefix: str = "inspectd"
    topic_template: str | None = None
    camera_topic_template: str | None = None
    topic_levels: dict[str, str] = {}
    home_assistant: bool = False
    home_assistant_prefix: str = "homeassistant"
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    scores_per_second: Annotated[float, Field(ge=0.0, le=20.0)] = 1.0
    commands: list[str] | None = None
    allow_insecure_commands: bool = False

    @property
    def commands_trusted(self) -> bool:
        """Whether somebody checks who connects to the broker: TLS or a user name, unless the user says otherwise."""
        return self.allow_insecure_commands or self.username is not None or self.url.startswith("mqtts:")

    def topics(self, site: str) -> Topics:
        """The topic tree of an agent. Raises Permanent where there can be none."""
        if self.topic_template is not None and self.prefix != "inspectd":
            raise Permanent(f'mqtt: got prefix = "{self.prefix}" beside topic_template, wanted one of them')
        return Topics(
            site,
            agent_template=self.topic_template or f"{self.prefix}/{{site}}",
            camera_template=self.camera_topic_template,
            levels=self.topic_levels,
            home_assistant=self.home_assistant_prefix if self.home_assistant else None,
        )


class MetricsSettings(Section):
    """Where Prometheus finds the agent's metrics: a port of the loopback interface, or a Unix socket."""

    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    socket: Path | None = None

    @property
    def wanted(self) -> bool:
        """Off unless somebody says where."""
        return self.port is not None or self.socket is not None

    @model_validator(mode="after")
    def _one_place(self) -> MetricsSettings:
        if self.port is not None and self.socket is not None:
            raise ValueError("wanted either port (such as 9464) or socket (such as /run/inspectd/metrics.sock)")
        return self


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """All settings of one agent."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__"
    )

    site: Name
    state_directory: Path = Field(default_factory=default_state_directory)
    control_socket: Path | None = None
    max_outbox_size: ByteSize = ByteSize(512 * 1024**2)
    max_evidence_size: ByteSize = ByteSize(1024**3)
    max_score_log_size: ByteSize = ByteSize(64 * 1024**2)
    inference_threads: PositiveInt | None = None
    trusted_keys: Annotated[tuple[Path, ...], Field(min_length=1)] | None = None
    mqtt: MqttSettings = MqttSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    cameras: Annotated[dict[Name, CameraSettings], Field(min_length=1)]

    @property
    def socket_path(self) -> Path:
        """The Unix socket of the control door."""
        return self.control_socket or self.state_directory / "control.sock"

    @property
    def topics(self) -> Topics:
        """The topic tree."""
        return self.mqtt.topics(self.site)

    @model_validator(mode="after")
    def _topics_of_every_camera(self) -> Settings:
        try:
            places = {camera: self.topics.camera(camera) for camera in self.cameras}
            taken = next((camera for camera, place in places.items() if place == self.topics.base), None)
        except Permanent as error:
            raise ValueError(str(error)) from None
        if taken is not None:
            raise ValueError(f"topic templates: camera {taken} would be at {self.topics.base}, where the agent is")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line over environment over file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(config: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read the settings of an agent.

    Args:
        config: the TOML file. Relative paths in it are taken from the folder that it lies in.
        overrides: `key.key=value` from the command line; the value is TOML, or else a plain text.

    Raises:
        Permanent: a line for each mistake, with the key, the value and what was wanted.
    """
    _require_readable(config)
    _require_known_environment(os.environ)

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    try:
        settings = FromFile(**parse_overrides(overrides))
    except ValidationError as error:
        raise Permanent("\n".join(f"{config}: {line}" for line in explain(error, Settings))) from None
    except tomllib.TOMLDecodeError as error:
        raise Permanent(f"{config}: not TOML: {error}") from None
    defaults = {key: path for key, path in service_paths(config).items() if key not in settings.model_fields_set}
    return with_absolute_paths(settings.model_copy(update=defaults), config.absolute().parent)


def _require_readable(config: Path) -> None:
    try:
        config.read_text(encoding="utf-8")
    except OSError as error:
        raise Permanent(f"{config}: {error.strerror}; wanted the agent's settings, see inspectd.example.toml") from None
    except UnicodeDecodeError:
        raise Permanent(f"{config}: not a text file; wanted TOML, see inspectd.example.toml") from None


def _require_known_environment(environment: Mapping[str, str]) -> None:
    for variable in environment:
        if variable.startswith(ENVIRONMENT_PREFIX):
            key = variable.removeprefix(ENVIRONMENT_PREFIX).split("__")[0].lower()
            if key not in Settings.model_fields:
                raise Permanent(f"environment: {variable}: unknown setting {key!r}{nearest(key, Settings)}")
