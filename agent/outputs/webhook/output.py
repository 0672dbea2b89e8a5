"""The webhook output: messages with an id, posted to one receiver."""

from __future__ import annotations

from agent.core.problems import Problems
from agent.outputs.delivering_output import DeliveringOutput
from agent.outputs.outbox import Outbox
from agent.outputs.webhook.client import WebhookClient
from agent.outputs.webhook.settings import WebhookSettings


class WebhookOutput(DeliveringOutput):
    """Posts to one receiver."""

    def __init__(self, name: str, settings: WebhookSettings, *, site: str, outbox: Outbox, problems: Problems) -> None:
        super().__init__(name, WebhookClient(name, settings), settings.send, outbox=outbox, problems=problems)

    def _identity(self, camera: str, identity: str, name: str, media_type: str) -> str:
        return f"{identity}/{name}"
