"""The signature of a message, by the specification Standard Webhooks (https://www.standardwebhooks.com), version 1.

HMAC-SHA256 over `id.timestamp.body`, base64, in the header `webhook-signature` as `v1,…`. Receivers verify it with any
of the libraries for the specification, or with the few lines in docs/webhook.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from agent.core.errors import Temporary

PREFIX = "whsec_"

# The specification wants 24 to 64 bytes; fewer can be guessed.
LEAST_SECRET_BYTES = 24


def read_secret(text: str) -> bytes:
    """The key of a secret: base64 after `whsec_`, or any other text as it is. Raises Temporary; the text has no secret.

    >>> read_secret("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")
    b'0123456789abcdef01234567'
    """
    text = text.strip()
    if text.startswith(PREFIX):
        try:
            secret = base64.b64decode(text[len(PREFIX) :], validate=True)
        except binascii.Error:
            raise Temporary(f"the secret of the webhook is not base64 after {PREFIX}") from None
    else:
        secret = text.encode()
    if len(secret) < LEAST_SECRET_BYTES:
        raise Temporary(f"the secret of the webhook has {len(secret)} bytes, wanted at least {LEAST_SECRET_BYTES}")
    return secret


def sign(secret: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`.

    The example of the specification:

    >>> secret = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    content = f"{identity}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
