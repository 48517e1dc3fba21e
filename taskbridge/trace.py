"""What joins a message to who has sent it: headers that travel with it over every broker, delay and chain.

Knows no tracer; an observer says how its headers are made here, and reads them from ``current().trace`` there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from .message import NO_KWARGS

#: Returns the headers of what goes on here, by name; none where nothing is traced.
Injector = Callable[[], Mapping[str, str]]


class Trace:
    """Makes the headers of what is sent here."""

    def __init__(self) -> None:
        self._injectors: list[Injector] = []

    def inject(self, injector: Injector) -> None:
        """Have this one, too, say what travels with each message."""
        self._injectors.append(injector)

    def headers(self) -> msgspec.Raw:
        """Return them as a JSON object; an empty one where nothing is traced."""
        if not self._injectors:
            return NO_KWARGS
        found = {name: text for injector in self._injectors for name, text in injector().items()}
        return msgspec.Raw(msgspec.json.encode(found)) if found else NO_KWARGS
