"""What a page or an action was asked for: a query or a form, read by type. What does not fit is refused in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from werkzeug.exceptions import BadRequest

from ..shown.text import safe

#: Text is refused beyond so many characters: keys of locks are shorter.
LONGEST = 2_000

#: What is shown of a value that does not fit.
SHOWN = 80

_WHOLE = re.compile("-?[0-9]{1,19}")


class Fields:
    """The fields of a query or a form.

    Args:
        values: as they came; of several of one name, the first.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str | None = None) -> str:
        """Return a field's text; without a default it must be there, and say something.

        Raises:
            BadRequest: it does not, or it is too long.
        """
        value = self._values.get(name, default)
        if value is None or (not value and default is None):
            raise BadRequest(f"{name}: expected a value, and there is none")
        if len(value) > LONGEST:
            raise BadRequest(f"{name}: expected at most {LONGEST} characters, got {len(value)}")
        return value

    def number(self, name: str, default: int | None = None, *, least: int = 0, most: int = 10**12) -> int:
        """Return a whole number.

        Raises:
            BadRequest: it is none, or out of its range.
        """
        text = self.text(name, None if default is None else str(default)).strip()
        if not text and default is not None:
            return default
        if not (_WHOLE.fullmatch(text) and least <= int(text) <= most):
            raise BadRequest(f"{name}: expected a whole number from {least} to {most}, got {_shown(text)}")
        return int(text)

    def fraction(self, name: str, default: float | None = None, *, least: float = 0.0, most: float = 1e12) -> float:
        """Return a number.

        Raises:
            BadRequest: it is none, or out of its range.
        """
        text = self.text(name, None if default is None else str(default)).strip()
        try:
            found = float(text)
        except ValueError:
            found = float("nan")
        if not least <= found <= most:
            raise BadRequest(f"{name}: expected a number from {least:g} to {most:g}, got {_shown(text)}")
        return found

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """Return one of a few words.

        Raises:
            BadRequest: it is none of them.
        """
        found = self.text(name, default)
        if found not in choices:
            raise BadRequest(f"{name}: expected one of {', '.join(choices)}, got {_shown(found)}")
        return found

    def flag(self, name: str) -> bool:
        """Return whether a box was ticked."""
        return self.text(name, "") not in ("", "0", "no", "false")

    def all(self) -> dict[str, str]:
        """Return the fields as they came."""
        return dict(self._values.items())


def _shown(text: str) -> str:
    return repr(safe(text[:SHOWN]) + ("..." if len(text) > SHOWN else ""))
