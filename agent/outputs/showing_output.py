"""What outputs share that show states and results as they come, and send no messages."""

from __future__ import annotations

from abc import abstractmethod

from agent.messages import DeliveryPayload, EventPayload
from agent.outputs.delivery_report import outbox_report
from agent.outputs.outbox import Message, Outbox
from agent.outputs.output import Output, RecordedAlarm


class ShowingOutput(Output):
    """An output that sends no messages and keeps nothing in the outbox: a result that nobody reads in time is gone."""

    def __init__(self, name: str, outbox: Outbox) -> None:
        super().__init__(name)
        self._outbox = outbox

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether somebody, or something, sees what it shows."""

    def messages_for(self, recorded: RecordedAlarm) -> list[Message]:
        return []

    def publish_event(self, event: EventPayload) -> None:
        """An event is a text for people; drift is a part of the state."""

    def report(self) -> DeliveryPayload:
        return DeliveryPayload(connected=self.connected, outbox=outbox_report(self.name, self._outbox))
