"""The output for an S3 bucket: each message is an object."""

from __future__ import annotations

from agent.core.problems import Problems
from agent.outputs.delivering_output import DeliveringOutput
from agent.outputs.outbox import Outbox
from agent.outputs.s3.client import S3Client
from agent.outputs.s3.keys import object_key
from agent.outputs.s3.settings import S3Settings


class S3Output(DeliveringOutput):
    """Uploads to one bucket."""

    def __init__(self, name: str, settings: S3Settings, *, site: str, outbox: Outbox, problems: Problems) -> None:
        super().__init__(name, S3Client(name, settings), settings.send, outbox=outbox, problems=problems)
        self._site = site
        self._prefix = settings.prefix

    def _identity(self, camera: str, identity: str, name: str, media_type: str) -> str:
        return object_key(self._prefix, self._site, camera, identity, name, media_type)
