"""The declared tasks as an operator reads them: name, queue, options that are set, arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from typing import Any

from ..definition import Definition, Definitions
from ..options import TaskOptions
from ..policies.retry import Backoff
from ..policies.schedule import Schedule

#: What a task has that asks for nothing.
PLAIN = TaskOptions(retry=Backoff())


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One task. ``options`` has those that differ from the defaults; spans are seconds."""

    name: str
    queue: str
    options: Mapping[str, Any]
    arguments: str

    @property
    def said(self) -> dict[str, str]:
        """The options as a person reads them."""
        return {name: _said(value) for name, value in self.options.items()}


def catalogue(definitions: Definitions) -> list[Entry]:
    """Return all tasks by name."""
    return [_entry(definitions[name]) for name in sorted(definitions)]


def _entry(definition: Definition) -> Entry:
    options = definition.options
    asked = {field.name: getattr(options, field.name) for field in fields(options) if field.name != "queue"}
    return Entry(
        name=definition.name,
        queue=options.queue,
        options={name: _plain(value) for name, value in asked.items() if value != getattr(PLAIN, name)},
        arguments=definition.arguments.written,
    )


def _said(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    words = ", ".join(map(str, value))
    return words if len(value) == 1 else f"[{words}]"


def _plain(value: Any) -> Any:
    """A value that JSON has: seconds for a span, words for a policy."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Schedule):
        return str(value.timing)
    if is_dataclass(value):
        changed = [f"{f.name}={_plain(now)}" for f in fields(value) if (now := getattr(value, f.name)) != f.default]
        return f"{type(value).__name__}({', '.join(changed)})"
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, type):
        return value.__name__
    return value if value is None or isinstance(value, str | int | float) else repr(value)
