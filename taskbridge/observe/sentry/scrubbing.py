"""What of a task's arguments may be shown: nothing under a name that sounds secret, and of the rest not too much.

Pure. Values are JSON; text comes out as text, whatever terminal it would steer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ..text import safe

#: What stands for a value. Source: sentry_sdk/utils.py, SENSITIVE_DATA_SUBSTITUTE.
FILTERED = "[Filtered]"

#: A name with one of these words in it is secret: ``card_cvv``, ``refreshToken``.
WORDS = frozenset(
    (
        "auth", "authorization", "cookie", "credential", "credentials", "csrf", "cvc", "cvv", "cvv2", "iban", "jwt",
        "otp", "pan", "passphrase", "passwd", "password", "pin", "pwd", "secret", "secrets", "session", "signature",
        "ssn", "tan", "token", "tokens",
    )
)  # fmt: skip

#: And so is one with these in a row: ``api_key``, ``debit-card-number``.
PAIRS = ("account_number", "api_key", "access_key", "card_number", "private_key", "routing_number", "sort_code")

#: Text is cut to so many characters, lists and tables to so many items, and what lies deeper is not shown.
LONGEST, MOST, DEEPEST = 500, 20, 5

#: What a variable was written down as is looked through, and kept, so far.
LONGEST_VARIABLE = 2_000

#: ``name=value`` and ``'name': value``, as ``repr`` writes them. A name is looked at from its first letter alone, so
#: that a long word takes no longer than its length.
_NAMED = re.compile(
    r"""(?<![\w-])(?P<name>[A-Za-z_][\w-]*+)(?P<quote>['"]?)(?P<mark>\s*+[=:]\s*+)"""
    r"""(?P<value>'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|[^\s,)}\]]++)"""
)
_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


class Scrubber:
    """Hides by name.

    Args:
        names: further names that are secret, as a whole.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)
        self.secret = lru_cache(maxsize=4096)(self._secret)

    def scrubbed(self, value: Any, deep: int = 0) -> Any:
        """Return a JSON value without what is secret, cut to what is worth showing."""
        if isinstance(value, str):
            return cut(value)
        if not isinstance(value, Mapping | list | tuple):
            return value
        if deep >= DEEPEST:
            return "..."
        if isinstance(value, Mapping):
            few = list(value.items())[:MOST]
            shown = {
                cut(name): FILTERED if self.secret(str(name)) else self.scrubbed(one, deep + 1) for name, one in few
            }
            return shown | {"...": f"{len(value) - MOST} more"} if len(value) > MOST else shown
        more = [f"... {len(value) - MOST} more"] if len(value) > MOST else []
        return [self.scrubbed(one, deep + 1) for one in value[:MOST]] + more

    def rewritten(self, value: Any) -> Any:
        """Return what a frame's variables were written down as, without what is secret inside of them."""
        if isinstance(value, str):
            return _NAMED.sub(self._hidden, cut(value, LONGEST_VARIABLE))
        if isinstance(value, Mapping):
            return {
                name: FILTERED if self.secret(str(name).strip("'\"")) else self.rewritten(one)
                for name, one in value.items()
            }
        return [self.rewritten(one) for one in value] if isinstance(value, list) else value

    def _hidden(self, found: re.Match[str]) -> str:
        if not self.secret(found["name"]):
            return found[0]
        return f"{found['name']}{found['quote']}{found['mark']}{FILTERED}"

    def _secret(self, name: str) -> bool:
        words = [word.lower() for word in _BORDER.split(name) if word]
        joined = "_".join(words)
        return (
            name.lower() in self._names
            or joined in self._names
            or not WORDS.isdisjoint(words)
            or any(f"_{pair}_" in f"_{joined}_" for pair in PAIRS)
        )


def cut(text: object, longest: int = LONGEST) -> str:
    """Return text that steers no terminal and is not too long."""
    whole = safe(text)
    return whole if len(whole) <= longest else f"{whole[:longest]}... ({len(whole)} characters)"
