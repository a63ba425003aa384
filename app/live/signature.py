"""Signatures of Standard Webhooks 1.0: who receives a body knows who sent it, and when."""

import base64
import binascii
import hashlib
import hmac
from typing import Final

SECRET_BYTES: Final = 32
_PREFIX: Final = "whsec_"


def secret_of(text: str) -> bytes:
    """Read a secret: `whsec_` and base64, or any text.

    Raises:
        ValueError: It is none, or too short; the message does not repeat it.
    """
    said = text.strip()
    if said.startswith(_PREFIX):
        try:
            secret = base64.b64decode(said.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise ValueError("what follows whsec_ is not base64") from None
    else:
        secret = said.encode()
    if len(secret) < SECRET_BYTES:
        raise ValueError(f"a secret has {SECRET_BYTES} bytes or more")
    return secret


def headers(secret: bytes, identifier: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Sign a body.

    Args:
        secret: Shared with whoever receives it.
        identifier: The same for each attempt at one event; without a dot.
        timestamp: Of the attempt, in seconds since 1970.
        body: As it is sent.
    """
    signed = f"{identifier}.{timestamp}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
