"""Bytes as the text of an SQS message."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.sqs.body import to_bytes, to_text


@given(some.binary())
def test_any_bytes_come_back(raw: bytes):
    """SQS takes only some characters; base64 is among them."""
    assert raw == to_bytes(to_text(raw))


@pytest.mark.parametrize("text", [json.dumps({"task": "t"}), "not base64 at all!", "abc", "Zm9v YmFy", "", "\ud800"])
def test_what_is_no_base64_is_taken_as_it_is(text: str):
    """Such as kombu's plain JSON (``sqs_base64_encoding=False``), or a stranger's words."""
    assert text.encode(errors="surrogatepass") == to_bytes(text)


def test_json_is_never_taken_for_base64():
    """An array of digits could be both."""
    text = base64.b64encode(b"x").decode()

    assert f"[{text}]".encode() == to_bytes(f"[{text}]")
