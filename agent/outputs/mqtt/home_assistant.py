"""Discovery by Home Assistant: one retained document for each camera, with its entities.

Device discovery, https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload: `device`, `origin`, and
`components`, each with a `platform` and a `unique_id`. The entities read the topics `state`, `score` and `status`.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from agent.core.records import Phase
from agent.outputs.mqtt.topics import Topics

# A state is published every five seconds, a score once a second while there are frames: an entity without news for this
# long is unavailable. If an agent is killed while the broker is down, there is no last will.
EXPIRE_SECONDS = 60

# Neither ON nor OFF unless the camera is armed: an alarm that cannot be raised must not look like a good part. For Home
# Assistant, the word None is an unknown state.
_ALARM = "{{ 'ON' if value_json.alarm else 'OFF' if value_json.phase == 'armed' else 'None' }}"


def discovery(topics: Topics, camera: str, *, version: str, model: str) -> tuple[str, bytes]:
    """Topic and document that describe a camera to Home Assistant; to be retained. `model` is the bundle's name."""
    identity = object_id(f"inspectd_{topics.site}_{camera}")
    document = {
        "device": {
            "identifiers": [identity],
            "name": f"{topics.site} {camera}",
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
            name: {**component, "expire_after": EXPIRE_SECONDS, "unique_id": f"{identity}_{name}"}
            for name, component in _components(topics, camera).items()
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


def object_id(name: str) -> str:
    """`name` with only the characters allowed in a discovery topic; different names stay different.

    >>> object_id("inspectd_plant_line-1"), object_id("inspectd_plant_line.1")
    ('inspectd_plant_line-1', 'inspectd_plant_line_1_764bf9')
    """
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
