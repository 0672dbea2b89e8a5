"""Events of a camera, for clients that subscribe to its object or to the server."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from asyncua import ua
from asyncua.common.events import get_event_obj_from_type_node

from agent.opcua.address_space.model import SystemNodes

# Event types in the nodeset, by their numbers there.
TYPES = {
    "JobStartedEventType": 1013,
    "StateChangedEventType": 1018,
    "ErrorEventType": 1019,
    "ErrorResolvedEventType": 1020,
    "RecipePreparedEventType": 1022,
    "ReadyEventType": 1023,
    "ResultReadyEventType": 1024,
    "VisionInformationEventType": 1038,
}

# Severities of OPC UA are 1 to 1000.
INFORMATION, WARNING, FAULT = 100, 500, 800

Fields = Mapping[str, tuple[Any, ua.VariantType]]
"""Further fields of an event with their types."""


class Events:
    """Sends the events of one camera."""

    def __init__(self, nodes: SystemNodes) -> None:
        self._nodes = nodes
        self._empty: dict[str, Any] = {}

    async def send(self, kind: str, message: str, severity: int, fields: Fields | None = None) -> None:
        """Send an event of this type."""
        event = copy.copy(await self._new(kind))
        event.data_types = dict(event.data_types)
        name, node = str(self._nodes.root.nodeid.Identifier), self._nodes.root.nodeid
        now = datetime.now(timezone.utc)
        event.EventId = uuid.uuid4().bytes
        event.Time = event.ReceiveTime = now
        event.SourceNode, event.SourceName = node, name
        event.Message, event.Severity = ua.LocalizedText(message), severity
        for field, (value, variant) in (fields or {}).items():
            event.add_property(field, value, variant)
        server = self._nodes.model.server
        for place in (node, ua.NodeId(ua.ObjectIds.Server)):
            event.emitting_node = place
            await server.iserver.subscription_service.trigger_event(event)

    async def _new(self, kind: str) -> Any:
        """An event of a type with its fields, still without values; the types do not change."""
        if kind not in self._empty:
            self._empty[kind] = await get_event_obj_from_type_node(self._nodes.model.type_node(TYPES[kind]))
        return self._empty[kind]


def identity(value: Any) -> tuple[Any, ua.VariantType]:
    """A field with a structure."""
    return value, ua.VariantType.ExtensionObject
