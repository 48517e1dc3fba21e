"""What is paused, and who did what: tasks, queues and keys that operators hold, and the audit log."""

from __future__ import annotations

from typing import Any

from ...operations.audit import audit
from ...operations.control import pauses
from ..page import Look, Page


def read_paused(look: Look) -> dict[str, Any]:
    """By kind and name."""
    return {"part": look.part_of(pauses(look.bridge))}


def read_audit(look: Look) -> dict[str, Any]:
    """The newest first."""
    return {"part": look.part(audit(look.bridge.store, look.limit + 1, look.offset))}


PAUSED = Page(name="paused", path="/paused", title="Paused", template="paused.html", read=read_paused)
AUDIT = Page(name="audit", path="/audit", title="Audit log", template="audit.html", read=read_audit)
