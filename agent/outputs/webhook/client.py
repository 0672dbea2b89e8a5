"""Posts messages over one connection that is kept open: signed, with timeouts, and without following redirects."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path

from agent.core.errors import Temporary
from agent.core.printable import printable
from agent.outputs.delivery_thread import NotNow, Rejected
from agent.outputs.outbox import Row
from agent.outputs.webhook.settings import WebhookSettings
from agent.outputs.webhook.signature import read_secret, sign

# Of a response only the status counts; a longer one ends the connection.
MAX_RESPONSE_BYTES = 64 * 1024

# Statuses of the receiver that concern every message: its address, our signature or its load.
_LATER = {408, 425, 429}
_CONFIGURATION = {401, 403, 404, 405, 407, 410, 421, 426, 451}

_REASONS = {
    401: "it rejects the signature: compare secret_file with the secret of the receiver",
    403: "it does not allow this agent",
    404: "it does not know this path: check url",
    405: "it takes no POST at this path: check url",
}


class WebhookClient:
    """Sends rows to one receiver. For one thread; `abort` may be called by any."""

    def __init__(self, name: str, settings: WebhookSettings, *, now: Callable[[], float] = time.time) -> None:
        """Args:
        name: of the output; its credential is `NAME-secret`.
        settings: address, secret and certificates; files are read again for each connection.
        now: wall clock, Unix time in seconds, for the signature.
        """
        self._settings = settings
        self._credential = f"{name}-secret"
        self._now = now
        self._connection: http.client.HTTPConnection | None = None
        self._secret = b""

    @property
    def place(self) -> str:
        """The receiver, without its path: this may hold a secret."""
        host = self._settings.host
        return f"{'https' if self._settings.tls else 'http'}://{host.name}:{host.port}"

    def send(self, row: Row) -> None:
        """Post one message. Raises Rejected if it is not accepted, Temporary if the receiver cannot take it now."""
        reused = self._connection is not None
        try:
            self._post(row)
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError) as error:
            self.close()
            if not reused:
                raise Temporary(self._explain(error)) from None
            # The receiver has closed the idle connection meanwhile.
            self._post_again(row)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise Temporary(self._explain(error)) from None

    def _post_again(self, row: Row) -> None:
        try:
            self._post(row)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise Temporary(self._explain(error)) from None

    def _post(self, row: Row) -> None:
        connection = self._connected()
        connection.request("POST", self._settings.target, row.payload, self._headers(row))
        response = connection.getresponse()
        body = response.read(MAX_RESPONSE_BYTES + 1)
        if response.will_close or len(body) > MAX_RESPONSE_BYTES:
            self.close()
        self._judge(response)

    def _headers(self, row: Row) -> dict[str, str]:
        timestamp = int(self._now())
        return {
            "Content-Type": row.media_type,
            "User-Agent": f"inspectd/{version('inspectd')}",
            "webhook-id": row.topic,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._secret, row.topic, timestamp, row.payload),
        }

    def _judge(self, response: http.client.HTTPResponse) -> None:
        status = response.status
        if 200 <= status < 300:
            return
        text = f"{self.place}: status {status}"
        if 300 <= status < 400:
            raise Temporary(f"{text}: a redirect, which is not followed; set url to the address itself")
        if status in _LATER or status == 503:
            raise NotNow(f"{text}: it asks to wait", _retry_after(response, self._now()))
        if status in _CONFIGURATION:
            raise Temporary(f"{text}: {_REASONS.get(status, 'it takes no message')}")
        if status >= 500 or status < 200:
            raise Temporary(f"{text}: the receiver failed")
        raise Rejected(f"status {status}")

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._secret = read_secret(self._read_secret())
            host, timeout = self._settings.host, self._settings.timeout_seconds
            context = self._settings.tls_context()
            if context is None:
                self._connection = http.client.HTTPConnection(host.name, host.port, timeout=timeout)
            else:
                self._connection = http.client.HTTPSConnection(host.name, host.port, timeout=timeout, context=context)
        return self._connection

    def _read_secret(self) -> str:
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        file = self._settings.secret_file or (Path(directory) / self._credential if directory else None)
        if file is None:
            raise Temporary(f"no secret: set secret_file, or the systemd credential {self._credential}")
        try:
            # With or without the byte order mark of Windows editors.
            return file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise Temporary(f"the secret {file} cannot be read: {reason}") from None

    def close(self) -> None:
        """End the connection; the next message opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """Wake a request that waits for the receiver."""
        connection = self._connection
        sock = None if connection is None else connection.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _explain(self, error: Exception) -> str:
        """Why the receiver could not be reached, in one line without the path of its address."""
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = f"its certificate is rejected: {error.verify_message}"
        elif isinstance(error, ssl.SSLError):
            reason = f"TLS failed: {(error.reason or 'no reason').lower().replace('_', ' ')}"
        elif isinstance(error, socket.gaierror):
            reason = f"the host name cannot be resolved: {error.strerror}"
        elif isinstance(error, TimeoutError):
            reason = "no answer in time"
        elif isinstance(error, http.client.RemoteDisconnected):
            reason = "it closed the connection without a response"
        elif isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
        else:
            reason = f"it does not speak HTTP ({printable(type(error).__name__)})"
        return f"{self.place}: {reason}"


def _retry_after(response: http.client.HTTPResponse, now: float) -> float | None:
    """The wait that the receiver asks for, seconds; None if it asks for none that can be read."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (TypeError, ValueError):
        return None
