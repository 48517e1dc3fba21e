"""Hide the secret values of one call wherever they stand without their name: in ``args`` of a decorator, in an error.

Pure. A value of a few letters is not looked for: it would be found in what has nothing to do with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .scrubbing import FILTERED
from .text import safe

#: The shortest value that is looked for, letters: a PIN has four. One that is shorter than a password is only found as
#: a word of its own.
SHORTEST, SHORT = 4, 8

#: Of a longer one its beginning is looked for, for what was written down was cut. How many are looked for.
BEGINNING, MOST = 64, 100


class Values:
    """Hides these.

    Args:
        values: as text.
    """

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in (value, safe(value), repr(value)[1:-1])}
        known = sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)[:MOST]
        self._pattern = re.compile("|".join(map(_found_as, known))) if known else None

    def hidden(self, value: Any) -> Any:
        """Return text, or a table or list of it, without them."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self._pattern.sub(FILTERED, value)
        if isinstance(value, Mapping):
            return {name: self.hidden(one) for name, one in value.items()}
        return [self.hidden(one) for one in value] if isinstance(value, list) else value


def _found_as(form: str) -> str:
    if len(form) < SHORT:
        return rf"(?<!\w){re.escape(form)}(?!\w)"
    if len(form) <= BEGINNING:
        return re.escape(form)
    return re.escape(form[:BEGINNING]) + r"""[^\s'",)\]}]*+"""
