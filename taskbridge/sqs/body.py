"""A message's bytes as the text of an SQS message: base64, as kombu and dramatiq-sqs write it; plain JSON is read, too.

Source: kombu 5.7 transport/SQS (``sqs_base64_encoding``, ``_optional_b64_decode``), dramatiq-sqs 0.4 broker.py.
"""

from __future__ import annotations

import base64
import binascii


def to_text(raw: bytes) -> str:
    """Return what SQS is told."""
    return base64.b64encode(raw).decode()


def to_bytes(text: str) -> bytes:
    """Return the bytes of what SQS tells; what is no base64 is taken as it is."""
    if not text.startswith(("{", "[")):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            pass
    return text.encode(errors="surrogatepass")
