"""What every script of the store must say for itself."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

SCRIPTS = {
    path.name: path.read_text()
    for path in (files("taskbridge.store.redis") / "lua").iterdir()
    if path.name not in {"look.lua", "record.lua", "flow.lua", "shadow.lua"}
}

#: What may end a message or take it back, and so asks flow.lua what follows.
MOVES = re.compile(r"\b(settle_done|settle_dead|lost|redispatch)\(")


@pytest.mark.parametrize("name", sorted(name for name, text in SCRIPTS.items() if MOVES.search(text)))
def test_what_may_end_a_message_begins_with_flow(name: str) -> None:
    """In another script the end of a link, a member or a chunk would raise instead of being followed by anything."""
    assert re.search(r"^-- (begins|goes on) with flow\.lua$", SCRIPTS[name], re.MULTILINE)
