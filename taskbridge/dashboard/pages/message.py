"""One message: all that has happened to it, where it is, and what it waits for."""

from __future__ import annotations

import json
from typing import Any

from ...errors import UnknownMessage
from ...operations.history import why
from ..page import Look, Page


def read(look: Look) -> dict[str, Any]:
    """Its story, and without an id the question for one; queues of engines are looked through if that is asked for."""
    id = look.query.text("id", "").strip()
    if not id:
        return {"story": None}
    story = why(look.bridge, id, scan=SCANNED if look.query.flag("scan") else 0)
    if story.state == "unknown" and not look.query.flag("scan"):
        raise UnknownMessage(f"{id!r}: {story.where.why.removesuffix(HINT)}")
    return {"story": story, "record": story.where.record, "arguments": _arguments(story.args, story.kwargs)}


#: How many messages of each queue are looked through, if that is asked for.
SCANNED = 1_000

#: What the command line says.
HINT = "; look through the queues with --scan 1000"


def _arguments(args: Any, kwargs: Any) -> list[tuple[str, str]]:
    """What is shown of each: its name or place, and its value as JSON."""
    named = [(str(n), value) for n, value in enumerate(args)] + list(kwargs.items())
    return [(name, json.dumps(value, ensure_ascii=False, indent=2)) for name, value in named]


PAGE = Page(
    name="message",
    path="/message",
    title="Message",
    template="message.html",
    read=read,
    menu=False,
    within="messages",
    of="id",
)
