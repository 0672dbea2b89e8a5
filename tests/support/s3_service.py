"""An S3 service on this machine: moto behind a real HTTP server, with a list of what was uploaded, in order."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.support.broker import free_port

CREDENTIALS = "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = geheim-and-very-long\n"
BUCKET = "inspection"


@dataclass
class S3Service:
    """Keeps its objects while it is stopped."""

    port: int = field(default_factory=free_port)
    uploaded: list[str] = field(default_factory=list)
    """Keys, in the order of their arrival."""
    contents: list[tuple[str, bytes]] = field(default_factory=list)
    """Keys with what was uploaded."""
    checksums: list[str] = field(default_factory=list)
    """`x-amz-checksum-sha256` of each upload."""
    _server: Any = None
    _application: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """A client that is none of ours."""
        keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "x"}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **keys)

    def start(self, *, bucket: str | None = BUCKET) -> S3Service:
        if self._application is None:
            self._application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", self.port, self._handle, threaded=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        if bucket is not None:
            self.client().create_bucket(Bucket=bucket)
        return self

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def get(self, key: str) -> bytes:
        """The content of an object."""
        body: bytes = self.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def _handle(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)

        def noted(status: str, headers: Any, *more: Any) -> Any:
            path = environ["PATH_INFO"].split("/", 2)
            if environ["REQUEST_METHOD"] == "PUT" and status.startswith("200") and len(path) == 3 and path[2]:
                self.uploaded.append(path[2])
                self.contents.append((path[2], body))
                self.checksums.append(environ.get("HTTP_X_AMZ_CHECKSUM_SHA256", ""))
            return start_response(status, headers, *more)

        return self._application(environ, noted)  # type: ignore[no-any-return]
