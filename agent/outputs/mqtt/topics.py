"""The topic tree: builds and reads the names of topics.

The default is `inspectd/<site>/…`. A plant with a Unified Namespace gives its own template, for instance
`{enterprise}/{site}/{area}/{line}/inspectd` for the agent, with its cameras below.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from string import Formatter

from agent.core.errors import Permanent
from agent.core.records import VIEW_GROUPS

# The topics of a camera with such a name would collide with those of the agent, or look like them.
RESERVED_CAMERAS = frozenset({"command", "response", "status"})

# MQTT allows topics of 65,535 bytes (MQTT 5, 4.7.3); a level far longer than a name is a mistake. In a command topic it
# may be an attack: the response topic is one byte longer.
MAX_LEVEL_BYTES = 200


# The topics of an alarm contain its camera four times and its id three times.
@lru_cache(maxsize=256)
def check_level(what: str, text: str) -> str:
    """Returns `text` if it is valid as one level of a topic, else raises `Permanent` with one line (MQTT 5, 4.7)."""
    if not text:
        raise Permanent(f"{what}: got an empty name, wanted at least one character")
    bad = next((c for c in text if c in "+#/\0" or not c.isprintable()), None)
    if bad is not None:
        raise Permanent(f"{what}: got {text!a}, wanted a name without {bad!a}")
    if text.startswith("$"):
        raise Permanent(f"{what}: got {text!a}, wanted a name that does not begin with '$'")
    if len(text.encode()) > MAX_LEVEL_BYTES:
        raise Permanent(f"{what}: got a name of {len(text.encode())} bytes, wanted at most {MAX_LEVEL_BYTES}")
    return text


def _fields_of(template: str) -> list[str]:
    try:
        parts = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise Permanent(f"topic template: got {template!r}: {error}") from None
    for _, name, formatting, conversion in parts:
        if not str(name).isidentifier() or formatting or conversion:
            raise Permanent(f"topic template: got {template!r}, wanted plain names such as {{site}} in the braces")
    return [str(name) for _, name, _, _ in parts]


@dataclass(frozen=True, slots=True)
class CommandTopic:
    """The command that a topic names."""

    camera: str | None
    """None for a command to the agent."""
    name: str
    """Such as `recalibrate` or `calibration/rollback`."""


@dataclass(frozen=True)
class Topics:
    """The topics of one agent. Raises `Permanent` for names that MQTT does not allow."""

    site: str
    agent_template: str = "inspectd/{site}"
    """Base of the agent's own topics; every field except `site` is taken from `levels`."""
    camera_template: str | None = None
    """Base of a camera's topics; contains `{camera}` once. None: `<agent_template>/{camera}`."""
    levels: Mapping[str, str] = field(default_factory=dict)
    """Fields of the templates in addition to `site` and `camera`: enterprise, area, line …"""
    home_assistant: str | None = None
    """Prefix of Home Assistant's discovery topics; None: no discovery documents."""

    def __post_init__(self) -> None:
        check_level("site", self.site)
        for name, value in self.levels.items():
            check_level(f"topic level {name}", value)
        self._check_fields()
        for level in (self.home_assistant or "homeassistant").split("/"):
            check_level("Home Assistant's prefix", level)
        if _fields_of(self._camera_template).count("camera") != 1:
            raise Permanent(f"topic template of a camera: got {self._camera_template!r}, wanted {{camera}} in it once")
        for level in (*self.base.split("/"), *self.camera("camera").split("/")):
            check_level("topic template", level)
        if self.camera("camera") == self.base:
            raise Permanent(f"topic templates: got {self.base!r} for the agent and its cameras, wanted different ones")

    def _check_fields(self) -> None:
        """Check that every level is used, and that none replaces a field that the agent fills in itself."""
        asked = {*_fields_of(self.agent_template), *_fields_of(self._camera_template)}
        for name in self.levels:
            if name in ("site", "camera"):
                raise Permanent(f"topic level {name}: got a value for it; the agent fills it in from the settings")
            if name not in asked:
                raise Permanent(f"topic level {name}: no template asks for it; wanted {{{name}}} in one")

    @property
    def _camera_template(self) -> str:
        return f"{self.agent_template}/{{camera}}" if self.camera_template is None else self.camera_template

    @property
    def base(self) -> str:
        """Base of the agent's own topics."""
        return self._fill(self.agent_template)

    @property
    def client_id(self) -> str:
        """Differs between agents with different topics: there may be several at one site.

        >>> Topics("plant").client_id
        'inspectd-plant'
        >>> Topics("plant", "{site}/{line}/inspectd", levels={"line": "l4"}).client_id
        'inspectd-plant-7d66c205'
        """
        name = f"inspectd-{self.site}"
        if self.base == f"inspectd/{self.site}":
            return name
        return f"{name}-{hashlib.sha256(self.base.encode()).hexdigest()[:8]}"

    def camera(self, camera: str) -> str:
        """Base of a camera's topics."""
        if camera in RESERVED_CAMERAS:
            raise Permanent(f"camera: got {camera!r}, wanted a name other than {', '.join(sorted(RESERVED_CAMERAS))}")
        return self._fill(self._camera_template, camera=check_level("camera", camera))

    def _fill(self, template: str, **more: str) -> str:
        try:
            return template.format_map({**self.levels, "site": self.site, **more})
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise Permanent(f"topic template: got {template!r}, which asks for {error}, not among the levels") from None

    def status(self) -> str:
        return f"{self.base}/status"

    def state(self, camera: str) -> str:
        return f"{self.camera(camera)}/state"

    def alarm(self, camera: str) -> str:
        return f"{self.camera(camera)}/alarm"

    def result(self, camera: str) -> str:
        """Topic of the results of a camera's parts."""
        return f"{self.camera(camera)}/result"

    def result_image(self, camera: str, result_id: str, name: str) -> str:
        """Topic of an image of a part: `name` is heatmap."""
        return f"{self.result(camera)}/{check_level('result id', result_id)}/{check_level('image', name)}"

    def joined_result(self, group: str) -> str:
        """Topic of the results of the parts that a group of cameras sees."""
        return f"{self.view_group(group)}/result"

    def view_group(self, group: str) -> str:
        """Base of the topics of a group of cameras that see the same part."""
        return f"{self.base}/{VIEW_GROUPS}/{check_level('group of cameras', group)}"

    def count(self, place: str) -> str:
        """Topic of the numbers of parts: of a camera, or of a group of cameras, `parts/NAME`."""
        group = place.removeprefix(f"{VIEW_GROUPS}/")
        return f"{self.camera(place) if group == place else self.view_group(group)}/count"

    def image(self, camera: str, alarm_id: str, name: str) -> str:
        """Topic of an image of an alarm: `name` is heatmap, frame, overlay, or omitted (a note instead of an image)."""
        return f"{self.alarm(camera)}/{check_level('alarm id', alarm_id)}/{check_level('image', name)}"

    def verdict(self, camera: str, alarm_id: str) -> str:
        """Topic of a person's judgement of an alarm."""
        return f"{self.alarm(camera)}/{check_level('alarm id', alarm_id)}/verdict"

    def score(self, camera: str) -> str:
        return f"{self.camera(camera)}/score"

    def event(self, camera: str) -> str:
        return f"{self.camera(camera)}/event"

    def snapshot(self, camera: str, name: str) -> str:
        """Topic of a requested image: `name` is heatmap, frame or overlay."""
        return f"{self.camera(camera)}/snapshot/{check_level('image', name)}"

    def command(self, camera: str | None, name: str) -> str:
        return f"{self._base(camera)}/command/{name}"

    def response(self, camera: str | None, name: str) -> str:
        """Topic of the response if the request named no response topic."""
        return f"{self._base(camera)}/response/{name}"

    def _base(self, camera: str | None) -> str:
        return self.base if camera is None else self.camera(camera)

    def command_filters(self, names: Collection[str] | None = None) -> tuple[str, ...]:
        """Filters that together match these commands to this agent, or with None every command.

        >>> Topics("plant").command_filters(["status"])
        ('inspectd/plant/command/status', 'inspectd/plant/+/command/status')
        """
        bases = (self.base, self._fill(self._camera_template, camera="+"))
        wanted = ("#",) if names is None else names
        return tuple(f"{base}/command/{name}" for name in wanted for base in bases)

    def owned_filters(self) -> tuple[str, ...]:
        """Filters that together match every topic that only the agent may write to."""
        bases = (self.base, self._fill(self._camera_template, camera="+"), self.home_assistant)
        return tuple(f"{base}/#" for base in bases if base is not None)

    def agents_filters(self) -> tuple[str, ...]:
        """Filters that match what any agent with these templates publishes, or takes as a command."""
        wild = {"site": "+", "camera": "+", **dict.fromkeys(self.levels, "+")}
        base, camera = self.agent_template.format_map(wild), self._camera_template.format_map(wild)
        published = ("state", "result/#", "count", "score", "event", "alarm/#", "snapshot/#", "command/#")
        agent = ("status", "command/#", f"{VIEW_GROUPS}/#")
        return (*(f"{base}/{rest}" for rest in agent), *(f"{camera}/{rest}" for rest in published))

    def discovery(self, object_id: str) -> str:
        """Topic of Home Assistant's discovery document of a device."""
        return f"{self.home_assistant or 'homeassistant'}/device/{check_level('object id', object_id)}/config"

    def every_camera(self, rest: str) -> str:
        """A filter for one topic of all cameras: `every_camera("alarm")`."""
        return f"{self._fill(self._camera_template, camera='+')}/{rest}"

    def read_command(self, topic: str) -> CommandTopic | None:
        """The command that a topic names; None if it is not a command topic of this agent, or has an endless name."""
        command = self._read_command(topic)
        names = () if command is None else (command.camera or "", command.name)
        return None if any(len(name.encode(errors="replace")) > MAX_LEVEL_BYTES for name in names) else command

    def _read_command(self, topic: str) -> CommandTopic | None:
        prefix = f"{self.base}/command/"
        if topic.startswith(prefix) and len(topic) > len(prefix):
            return CommandTopic(None, topic[len(prefix) :])
        marked = re.escape(self._fill(self._camera_template, camera="\0"))
        pattern = marked.replace(re.escape("\0"), "([^/]+)") + "/command/(.+)"
        match = re.fullmatch(pattern, topic, re.DOTALL)
        return None if match is None else CommandTopic(match[1], match[2])
