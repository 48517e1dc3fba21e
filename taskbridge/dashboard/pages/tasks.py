"""All tasks, both engines side by side."""

from __future__ import annotations

from typing import Any

from ...operations.tasks import tasks
from ..page import Look, Page
from .sides import kinds


def read(look: Look) -> dict[str, Any]:
    """Tasks whose name has a part, with what each side did with them in the last ten minutes."""
    name = look.query.text("part", "").strip()
    found = tasks(look.bridge, limit=look.limit, offset=look.offset, part=name)
    names = {one.backend for task in found.tasks for one in task.did}
    return {
        "part": look.part(found.tasks, total=found.total),
        "name": name,
        "kinds": kinds([*look.bridge.settings.backend_names, *names]),
        "since_ms": found.since_ms,
    }


PAGE = Page(name="tasks", path="/tasks", title="Tasks", template="tasks.html", read=read)
