"""Reads the topics of all agents in a tree: which agent, which camera, which document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import Formatter

from agent.core.errors import Permanent
from agent.core.records import VIEW_GROUPS

# MQTT allows 65,535 bytes. An alarm's topic of the longest names that the settings allow has 500.
MAX_TOPIC_LENGTH = 1024

# Repeated every few seconds, or kept by the broker: QoS 0 does, and costs no acknowledgements.
_REPEATED = ("state", "count")
_ONCE = ("event", "alarm", "alarm/+/verdict")

_DOCUMENTS = r"(?P<document_>state|count|event|alarm|alarm/[^/]+/verdict)"


@dataclass(frozen=True, slots=True)
class Place:
    """What a topic names."""

    agent: str
    """Base of the agent's own topics, which is different for each agent of a broker."""
    site: str | None
    """None: the tree has no level for it."""
    camera: str | None
    """None for the status of an agent; `parts/NAME` for cameras that see the same part."""
    document: str
    """`status`, `state`, `count`, `event`, `alarm` or `verdict`."""

    @property
    def is_group(self) -> bool:
        """Whether it is of several cameras that see the same part."""
        return self.camera is not None and self.camera.startswith(f"{VIEW_GROUPS}/")

    @property
    def key(self) -> str:
        """Of the row that the document belongs to."""
        return self.agent if self.camera is None else f"{self.agent} {self.camera}"

    def check_names(self, site: str, camera: str | None = None) -> None:
        """Raise Permanent where a document names another site or camera than its topic.

        Who may publish on a topic is up to the broker; who is named in a document is up to its writer.
        """
        for what, named, wanted in (("site", site, self.site), ("camera", camera, self.camera)):
            if wanted is not None and named != wanted:
                raise Permanent(
                    f"{what}: got {str(named)[:60]!a} in the document, wanted {wanted[:60]!a} as in its topic"
                )


class TopicTree:
    """The topics of every agent whose settings have these templates."""

    def __init__(self, agent_template: str = "inspectd/{site}", camera_template: str | None = None) -> None:
        """Templates as in the settings of the agents. Raises Permanent where topics could not be told apart."""
        self._agent = agent_template
        self._camera = camera_template or f"{agent_template}/{{camera}}"
        fields, of_camera = _fields(self._agent), _fields(self._camera)
        if of_camera.count("camera") != 1 or set(of_camera) - {"camera"} != set(fields):
            raise Permanent(
                f"camera_topic_template: got {self._camera!r}, wanted {{camera}} once and the levels of "
                f"topic_template, {', '.join(f'{{{name}}}' for name in dict.fromkeys(fields)) or 'which has none'}"
            )
        for template in (self._agent, self._camera):
            _require_whole_levels(template)
        self._status_pattern = re.compile(f"{_pattern(self._agent)}/status")
        self._group_pattern = re.compile(f"{_pattern(self._agent)}/(?P<group_>{VIEW_GROUPS}/[^/]+)/count")
        self._camera_pattern = re.compile(f"{_pattern(self._camera)}/{_DOCUMENTS}")

    def filters(self) -> Iterator[tuple[str, int]]:
        """Topic filters with their QoS, which together match what `read` can read."""
        wild = dict.fromkeys(_fields(self._camera), "+")
        agent, camera = (template.format_map(wild) for template in (self._agent, self._camera))
        yield f"{agent}/status", 1
        yield f"{agent}/{VIEW_GROUPS}/+/count", 0
        yield from ((f"{camera}/{name}", 0) for name in _REPEATED)
        yield from ((f"{camera}/{name}", 1) for name in _ONCE)

    def read(self, topic: str) -> Place | None:
        """What a topic names; None for one that is too long, cannot be shown, or is not of this tree."""
        if len(topic) > MAX_TOPIC_LENGTH or not topic.isprintable():
            return None
        found = self._camera_pattern.fullmatch(topic)
        if found is not None:
            levels = found.groupdict()
            document = "verdict" if levels["document_"].endswith("/verdict") else levels["document_"]
            return Place(self._agent.format_map(levels), levels.get("site"), levels["camera"], document)
        found = self._group_pattern.fullmatch(topic)
        if found is not None:
            levels = found.groupdict()
            return Place(self._agent.format_map(levels), levels.get("site"), levels["group_"], "count")
        found = self._status_pattern.fullmatch(topic)
        return None if found is None else Place(topic[: -len("/status")], found.groupdict().get("site"), None, "status")


def _fields(template: str) -> list[str]:
    try:
        found = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise Permanent(f"topic template: got {template!r}: {error}") from None
    bad = next((name for name in found if not name.isidentifier()), None)
    if bad is not None:
        raise Permanent(f"topic template: got {template!r}, wanted plain names such as {{site}} in the braces")
    return found


def _require_whole_levels(template: str) -> None:
    """MQTT's wildcard stands for a whole level."""
    for level in template.split("/"):
        plain = "{" not in level and level and not set(level) & set("+#$")
        if not plain and not re.fullmatch(r"\{\w+\}", level):
            raise Permanent(f"topic template: got {template!r}, wanted each level to be a name or one {{field}}")


def _pattern(template: str) -> str:
    """A regular expression with a group for each field; a field that returns has the same value each time."""
    parts, seen = [], set()
    for text, name, _, _ in Formatter().parse(template):
        parts.append(re.escape(text))
        if name is not None:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+)")
            seen.add(name)
    return "".join(parts)
