"""Text on a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskbridge.cli.screen import say_json, shown_bytes, table
from taskbridge.observe.text import safe

#: Lone surrogates too: what Python makes of bytes that are no text.
ANYTHING = st.text(st.characters(exclude_categories=()))


@given(ANYTHING)
def test_safe_text_is_printable(text: str):
    """No control, no bidirectional mark, no lone surrogate is left; what was printable stays."""
    shown = safe(text)

    assert shown.isprintable()
    shown.encode()
    assert not text.isprintable() or text == shown


@given(ANYTHING)
def test_lines_are_kept_on_request(text: str):
    """Line ends and tabs, and nothing else."""
    assert text.count("\n") == safe(text, lines=True).count("\n")
    assert "\r" not in safe(text, lines=True)


@given(st.recursive(st.none() | st.booleans() | st.integers() | ANYTHING, st.lists, max_leaves=5))
def test_json_is_plain_and_comes_back(value: Any):
    """What is printed as JSON is printable ASCII that reads as the same value."""
    from click.testing import CliRunner

    with CliRunner().isolation() as (out, *_):
        say_json(value)
        shown = out.getvalue().decode("ascii")

    assert shown.replace("\n", "").isprintable()
    assert value == json.loads(shown)


@given(st.binary())
def test_bytes_are_shown_as_text(raw: bytes):
    """Any bytes can be shown."""
    assert safe(shown_bytes(raw)).isprintable()


def test_table_is_never_folded_in_a_pipe(capsys: pytest.CaptureFixture[str]):
    """A row is one line, however long, and markup in a cell is text."""
    table(("id", "why"), [("x" * 500, "[red]y[/red] \x1b[31m")])

    lines = capsys.readouterr().out.splitlines()
    assert 3 == len(lines)
    assert "[red]y[/red] \\x1b[31m" in lines[2]
