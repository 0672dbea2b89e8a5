"""Discovery by Home Assistant: one retained document for each camera, and for each group of cameras.

Device discovery, https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload: `device`, `origin`, and
`components`, each with a `platform` and a `unique_id`. The entities of a camera read the topics `state`, `score` and
`status`; those of cameras that see the same part, `result` and `count`.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from agent.core.records import PartVerdict, Phase, place_of_group
from agent.outputs.mqtt.topics import Topics

# A state is published every five seconds, a score once a second while there are frames: an entity without news for this
# long is unavailable. If an agent is killed while the broker is down, there is no last will.
EXPIRE_SECONDS = 60

# Numbers that do not change are published every hour.
COUNT_EXPIRE_SECONDS = 2 * 3600

# Neither ON nor OFF unless the camera is armed: an alarm that cannot be raised must not look like a good part. For Home
# Assistant, the word None is an unknown state.
_ALARM = "{{ 'ON' if value_json.alarm else 'OFF' if value_json.phase == 'armed' else 'None' }}"

# The same for a part that was not judged.
_BAD = "{{ 'ON' if value_json.verdict == 'nok' else 'OFF' if value_json.verdict == 'ok' else 'None' }}"

_YIELD = (
    "{% set share = value_json.shift.first_pass_yield %}{{ 'None' if share is none else (share * 100) | round(1) }}"
)

_NUMBERS = {"ok": "Good parts", "nok": "Bad parts", "not_judged": "Parts not judged"}


def discovery(topics: Topics, camera: str, *, version: str, model: str) -> tuple[str, bytes]:
    """Topic and document that describe a camera to Home Assistant; to be retained. `model` is the bundle's name."""
    components = {
        name: {**component, "expire_after": EXPIRE_SECONDS} for name, component in _components(topics, camera).items()
    }
    return _document(topics, camera, components, version=version, model=model)


def discovery_of_group(topics: Topics, group: str, *, version: str) -> tuple[str, bytes]:
    """The same for a group of cameras that see the same part."""
    place = place_of_group(group)
    return _document(topics, place, _components_of_group(topics, group, place), version=version, model="parts")


def _document(
    topics: Topics, place: str, components: dict[str, dict[str, Any]], *, version: str, model: str
) -> tuple[str, bytes]:
    identity = object_id(f"inspectd_{topics.site}_{place}")
    document = {
        "device": {
            "identifiers": [identity],
            "name": f"{topics.site} {place}",
            "manufacturer": "inspectd",
            "model": model,
            "sw_version": version,
        },
        "origin": {"name": "inspectd", "sw_version": version},
        "availability": [
            {
                "topic": topics.status(),
                "value_template": "{{ 'online' if value_json.status == 'online' else 'offline' }}",
            }
        ],
        "qos": 1,
        "components": {
            name: {**component, "unique_id": f"{identity}_{name}"} for name, component in components.items()
        },
    }
    return topics.discovery(identity), json.dumps(document, separators=(",", ":")).encode()


def _components(topics: Topics, camera: str) -> dict[str, dict[str, Any]]:
    return {
        "alarm": {
            "platform": "binary_sensor",
            "name": "Alarm",
            "device_class": "problem",
            "state_topic": topics.state(camera),
            "value_template": _ALARM,
        },
        "phase": {
            "platform": "sensor",
            "name": "Phase",
            "device_class": "enum",
            "options": [phase.value for phase in Phase],
            "state_topic": topics.state(camera),
            "value_template": "{{ value_json.phase }}",
        },
        "score": {
            "platform": "sensor",
            "name": "Score",
            "state_class": "measurement",
            "state_topic": topics.score(camera),
            "value_template": "{{ value_json.score }}",
        },
        "threshold": {
            "platform": "sensor",
            "name": "Threshold",
            "entity_category": "diagnostic",
            "state_topic": topics.state(camera),
            "value_template": "{{ value_json.threshold }}",
        },
        "drift": {
            "platform": "binary_sensor",
            "name": "Drift",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": topics.state(camera),
            "value_template": "{{ 'ON' if value_json.drift else 'OFF' }}",
        },
    }


def _components_of_group(topics: Topics, group: str, place: str) -> dict[str, dict[str, Any]]:
    result = {"state_topic": topics.joined_result(group)}
    count = {"state_topic": topics.count(place), "expire_after": COUNT_EXPIRE_SECONDS}
    return {
        "bad": {
            "platform": "binary_sensor",
            "name": "Bad part",
            "device_class": "problem",
            "value_template": _BAD,
            **result,
        },
        "verdict": {
            "platform": "sensor",
            "name": "Verdict",
            "device_class": "enum",
            "options": [verdict.value for verdict in PartVerdict],
            "value_template": "{{ value_json.verdict }}",
            **result,
        },
        "part": {"platform": "sensor", "name": "Part", "value_template": "{{ value_json.part }}", **result},
        **{name: _number(name, label) | count for name, label in _NUMBERS.items()},
        "yield": {
            "platform": "sensor",
            "name": "Yield",
            "state_class": "measurement",
            "unit_of_measurement": "%",
            "value_template": _YIELD,
            **count,
        },
    }


def _number(name: str, label: str) -> dict[str, Any]:
    template = f"{{{{ value_json.shift.{name} }}}}"
    return {"platform": "sensor", "name": label, "state_class": "total_increasing", "value_template": template}


def object_id(name: str) -> str:
    """`name` with only the characters allowed in a discovery topic; different names stay different.

    >>> object_id("inspectd_plant_line-1"), object_id("inspectd_plant_line.1")
    ('inspectd_plant_line-1', 'inspectd_plant_line_1_764bf9')
    """
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
