"""Hide what is secret in values that were written down: ``repr``, JSON, headers, addresses. Pure.

Text is all that is left of them, so more may be hidden than must be, and never less: a value whose end is not seen, for
it was cut, goes to the end. It takes no longer than the text is long.
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: ``name=``, ``'name':``, ``name\\":`` of a text inside of a text, and ``('name',`` of a pair. A name is looked at from
#: its first letter alone, and the end of a line before it was written as ``\\n``.
_NAMED = re.compile(
    r"""(?:(?P<pair>(?<=[(\[]['"])|(?<=[(\[]b['"]))|(?<![\w-]))"""
    r"""(?:(?<=\\)[nrt])?+(?P<name>[A-Za-z_][\w-]*+)(?P<quote>\\*+['"]?)\s*+(?:[=:]|(?(pair),|(?!)))\s*+"""
)

#: The next piece of a value: a text, which in a text of its own has slashes before its marks; brackets; a word, which
#: in a header stands behind what kind it is, and goes on behind a semicolon.
_PIECE = re.compile(
    r"""(?P<text>[bru]?(?P<slashes>\\*+)(?P<mark>['"])"""
    r"""(?:(?!(?P=slashes)(?P=mark))(?:\\.|.))*+(?:(?P=slashes)(?P=mark)|\Z))"""
    r"""|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<between>[\s,]++)"""
    r"""|(?P<word>(?:(?:basic|bearer|digest|token)\s++)?(?:[^\s,;()\[\]{}'"\\]|;\s*+|\\(?!\\*['"]|[nrt]))++)|(?P<rest>.)""",
    re.IGNORECASE | re.DOTALL,
)


def hidden(text: str, secret: Callable[[str], bool], stands_for_it: str) -> str:
    """Return a text without the values of secret names.

    Args:
        text: what was written down.
        secret: whether a name is.
        stands_for_it: what is shown in place of a value.
    """
    shown, done = [], 0
    while found := _NAMED.search(text, done):
        shown.append(text[done : found.end()])
        done = found.end()
        if secret(found["name"]):
            shown.append(stands_for_it)
            done = _end_of_value(text, done)
    return "".join([*shown, text[done:]])


def _end_of_value(text: str, at: int) -> int:
    """Return where the value that begins there ends: ``b'...'``, ``7``, ``[...]``, ``Card(...)``, ``Bearer ...``."""
    deep, called = 0, False
    while found := _PIECE.match(text, at):
        kind = found.lastgroup
        if not deep and (kind in ("close", "between") or (called and kind != "open")):
            return at
        deep += (kind == "open") - (kind == "close")
        at, called = found.end(), True
    return at
