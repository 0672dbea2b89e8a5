"""Uploads objects with their SHA-256, and reports in one line why one is not accepted."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from botocore.session import get_session

from agent.core.errors import InspectdError, Temporary
from agent.core.printable import printable
from agent.outputs.delivery_thread import NotNow, Rejected
from agent.outputs.outbox import Row
from agent.outputs.s3.settings import S3Settings

# The service asks to wait.
_LATER = {"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "Throttling", "429", "503"}

# The object itself is not accepted; another attempt has the same end.
_REJECTED = {"EntityTooLarge", "KeyTooLongError", "InvalidArgument", "InvalidRequest", "MetadataTooLarge"}

# Everything else concerns every object: bucket, rights, credentials, clock. No object is lost for it.
_REASONS = {
    "NoSuchBucket": "there is no such bucket",
    "404": "there is no such bucket",
    "AccessDenied": "the credentials may not write there",
    "AllAccessDisabled": "the bucket is closed",
    "403": "the credentials are wrong, or may not write there",
    "InvalidAccessKeyId": "the access key is not known",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the session token is wrong",
    "RequestTimeTooSkewed": "the clock of this device is wrong",
    "PermanentRedirect": "the bucket is in another region: set region",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set region",
    "301": "the bucket is in another region: set region",
    "BadDigest": "the object was damaged on the way",
    "InternalError": "the service failed",
}


class S3Client:
    """Uploads rows to one bucket. For one thread; `abort` may be called by any."""

    def __init__(self, name: str, settings: S3Settings) -> None:
        """`name` of the output; its credential is `NAME-credentials`."""
        self._settings = settings
        self._credential = f"{name}-credentials"
        self._client: Any = None

    @property
    def place(self) -> str:
        """The bucket with the address of its service."""
        settings = self._settings
        return f"s3://{settings.bucket}" + ("" if settings.endpoint is None else f" at {settings.endpoint}")

    def send(self, row: Row) -> None:
        """Upload one object. Raises Rejected if it is not accepted, Temporary if the service cannot take it now."""
        checksum = base64.b64encode(hashlib.sha256(row.payload).digest()).decode()
        try:
            self._connected().put_object(
                Bucket=self._settings.bucket,
                Key=row.topic,
                Body=row.payload,
                ContentType=row.media_type,
                ChecksumSHA256=checksum,
                Metadata={"camera": row.camera, "id": row.alarm, "sequence": str(row.sequence)},
            )
        except (ClientError, BotoCoreError, OSError, ValueError) as error:
            # Credentials and files are read again for the next attempt.
            self._client = None
            raise self._explained(error) from None

    def examine(self) -> str | None:
        """What keeps this user from writing to the bucket, as far as a question can show it; None: nothing."""
        try:
            self._connected().head_bucket(Bucket=self._settings.bucket)
        except InspectdError as error:
            return str(error)
        except (ClientError, BotoCoreError, OSError, ValueError) as error:
            return str(self._explained(error))
        return None

    def abort(self) -> None:
        """Close the connections; what waits for a response is left to its timeout, or to the end of the process."""
        client = self._client
        if client is not None:
            client.close()

    def _connected(self) -> Any:
        if self._client is None:
            settings = self._settings
            if settings.ca_file is not None and not settings.ca_file.is_file():
                raise Temporary(f"{self.place}: ca_file {settings.ca_file} cannot be read")
            self._client = boto3.session.Session(
                botocore_session=self._session(), region_name=settings.region, profile_name=settings.profile
            ).client(
                "s3",
                endpoint_url=settings.endpoint,
                verify=None if settings.ca_file is None else str(settings.ca_file),
                config=self._config(),
            )
        return self._client

    def _config(self) -> Config:
        """One attempt at a time: the outbox repeats. Services that are not AWS rarely have names for buckets."""
        seconds = self._settings.timeout_seconds
        style = "path" if self._settings.endpoint is not None else "auto"
        return Config(
            connect_timeout=seconds,
            read_timeout=seconds,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": style},
            proxies={},
        )

    def _session(self) -> Any:
        """A session with the credentials of the settings, of systemd, or of the usual places."""
        session = get_session()
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        given = Path(directory) / self._credential if directory else None
        file = self._settings.credentials_file or (given if given is not None and given.exists() else None)
        if file is None:
            return session
        try:
            file.read_bytes()
        except OSError as error:
            raise Temporary(f"{self.place}: {file} cannot be read: {error.strerror}") from None
        session.set_config_variable("credentials_file", str(file))
        return session

    def _explained(self, error: Exception) -> Exception:
        """The same as one line; botocore's own text may contain the access key."""
        if isinstance(error, ClientError):
            return self._judged(error)
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            wanted = f"credentials_file, the systemd credential {self._credential}, or the usual places of AWS"
            return Temporary(f"{self.place}: no credentials; wanted {wanted}")
        if isinstance(error, OSError):
            return Temporary(f"{self.place}: {error.strerror or type(error).__name__}")
        return Temporary(f"{self.place}: {_WORDS.get(type(error).__name__, type(error).__name__)}")

    def _judged(self, error: ClientError) -> Exception:
        code = printable(str(error.response.get("Error", {}).get("Code", "")))[:60]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        text = f"{self.place}: {_REASONS.get(code, code or f'status {status}')}"
        if code in _LATER or status in (429, 503):
            return NotNow(f"{text}: it asks to wait")
        return Rejected(text) if code in _REJECTED else Temporary(text)


def examine(name: str, settings: S3Settings) -> str | None:
    """What keeps the output `name` from uploading, with the credentials of this user; None: nothing."""
    return S3Client(name, settings).examine()


_WORDS = {
    "ConfigParseError": "the credentials are no file like ~/.aws/credentials, with sections such as [default]",
    "EndpointConnectionError": "no connection",
    "ConnectionClosedError": "it closed the connection without a response",
    "ConnectTimeoutError": "no answer in time",
    "ReadTimeoutError": "no answer in time",
    "SSLError": "its certificate is rejected, or TLS failed",
    "ProfileNotFound": "the credentials have no such profile: check profile",
    "InvalidRegionError": "there is no such region: check region",
    "ResponseStreamingError": "the connection broke",
    "HTTPClientError": "the connection failed",
}
