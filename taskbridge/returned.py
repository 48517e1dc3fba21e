"""What a task returns, as JSON by its annotation: a link of a chain gives it to the next one.

Asked for only where a result goes somewhere, so that a task outside of chains may return anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, get_type_hints

import msgspec

from .codec import carried, decoder_of


class Returned:
    """The result of one task.

    Args:
        function: the task's function.
        task: its name, for the errors.

    Raises:
        ConfigError: its return annotation is one that JSON cannot carry.
    """

    def __init__(self, function: Callable[..., Any], task: str) -> None:
        self.annotation = get_type_hints(function, include_extras=True).get("return", Any)
        self._where = f"{task}: its result"
        self._written = inspect.formatannotation(self.annotation)
        plain = self.annotation is Any or self.annotation is object
        self._decoder = None if plain else decoder_of(self.annotation, self._where)

    def encode(self, value: Any) -> msgspec.Raw:
        """Return the result as JSON.

        Raises:
            ArgumentError: it would not come back as it is annotated, or JSON cannot carry it.
        """
        return carried(value, self._decoder, self._written, self._where)


@lru_cache(maxsize=1024)
def returned_by(function: Callable[..., Any], task: str) -> Returned:
    """Return what encodes the results of a task; made once for each.

    Raises:
        ConfigError: as ``Returned``.
    """
    return Returned(function, task)
