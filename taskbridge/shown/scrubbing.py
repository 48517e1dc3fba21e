"""What of a task's arguments may be shown: nothing under a name that sounds secret, and of the rest not too much.

Pure. Values are JSON; text comes out as text, whatever terminal it would steer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from .text import safe, without_passwords
from .written import hidden

#: What stands for a value. Source: sentry_sdk/utils.py, SENSITIVE_DATA_SUBSTITUTE.
FILTERED = "[Filtered]"

#: A name with one of these words in it is secret, in the plural and with a number, too: ``card_cvv2``, ``authTokens``.
WORDS = frozenset(
    (
        "auth", "authorization", "bearer", "cookie", "credential", "csrf", "cvc", "cvv", "iban", "jwt", "otp", "pan",
        "passcode", "passphrase", "passwd", "password", "pin", "pwd", "secret", "session", "signature", "ssn", "tan",
        "token",
    )
)  # fmt: skip

#: And so is one with these in a row: ``api_key``, ``debit-card-number``.
PAIRS = ("account_number", "api_key", "access_key", "card_number", "private_key", "routing_number", "sort_code")

#: What nobody parts from the words around it, and what such a word may end with: ``dbpassword``, ``accesstoken``.
WITHIN, AT_THE_END = ("password", "passwd", "passphrase", "credential"), ("token", "secret", "secretkey", "apikey")

#: Text is cut to so many characters, lists and tables to so many items, and what lies deeper is not shown.
LONGEST, MOST, DEEPEST = 500, 20, 5

#: What a variable was written down as is looked through, and kept, so far.
LONGEST_VARIABLE = 2_000

_PLURAL = re.compile(r"(?<!s)s$")
_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})|[^A-Za-z0-9]+")


class Scrubber:
    """Hides by name, also in what was written down inside of a text, and the passwords of URLs.

    Args:
        names: further names that are secret, as a whole.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)
        self.secret = lru_cache(maxsize=4096)(self._secret)

    def scrubbed(self, value: Any, deep: int = 0) -> Any:
        """Return a JSON value without what is secret, cut to what is worth showing."""
        if isinstance(value, str):
            return self._cut(value, LONGEST)
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
        if self._is_secret_pair(value):
            return [value[0], FILTERED]
        more = [f"... {len(value) - MOST} more"] if len(value) > MOST else []
        return [self.scrubbed(one, deep + 1) for one in value[:MOST]] + more

    def secrets(self, value: Any, *, secret: bool = False) -> Iterator[str]:
        """Yield the texts and numbers of a JSON value that are hidden, as text.

        Args:
            value: where to look.
            secret: all of it is.
        """
        left = [(value, secret)]  # however deep it is
        while left:
            value, secret = left.pop()
            if isinstance(value, Mapping):
                left += [(one, secret or self.secret(str(name))) for name, one in reversed([*value.items()])]
            elif isinstance(value, list | tuple):
                pair = self._is_secret_pair(value)
                left += [(one, secret or (n == 1 and pair)) for n, one in reversed([*enumerate(value)])]
            elif secret and value is not None and not isinstance(value, bool):
                yield str(value)

    def rewritten(self, value: Any) -> Any:
        """Return what a frame's variables were written down as, without what is secret inside of them."""
        if isinstance(value, str):
            return self._cut(value, LONGEST_VARIABLE)
        if isinstance(value, Mapping):
            return {
                name: FILTERED if self.secret(_unquoted(str(name))) else self.rewritten(one)
                for name, one in value.items()
            }
        if not isinstance(value, list):
            return value
        return [value[0], FILTERED] if self._is_secret_pair(value) else [self.rewritten(one) for one in value]

    def _cut(self, text: str, longest: int) -> str:
        return hidden(without_passwords(cut(text, longest)), self.secret, FILTERED)

    def _is_secret_pair(self, value: Sequence[Any]) -> bool:
        """Whether it is a name with its value, as headers are kept."""
        return len(value) == 2 and isinstance(value[0], str) and self.secret(_unquoted(value[0]))

    def _secret(self, name: str) -> bool:
        parted = [word.lower() for word in _BORDER.split(name) if word]
        words = [_PLURAL.sub("", word.rstrip("0123456789")) for word in parted]
        joined, whole = "_".join(words), "".join(words)
        return (
            name.lower() in self._names
            or "_".join(parted) in self._names
            or not WORDS.isdisjoint(words)
            or any(f"_{pair}_" in f"_{joined}_" for pair in PAIRS)
            or any(word in whole for word in WITHIN)
            or whole.endswith(AT_THE_END)
        )


def _unquoted(name: str) -> str:
    """Return a name that ``repr`` has written."""
    return name.removeprefix("b").strip("'\"") if name[-1:] in ("'", '"') else name


def cut(text: object, longest: int = LONGEST) -> str:
    """Return text that steers no terminal and is not too long."""
    whole = safe(text)
    return whole if len(whole) <= longest else f"{whole[:longest]}... ({len(whole)} characters)"
