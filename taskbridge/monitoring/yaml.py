"""Write YAML that people read: maps, lists, texts and numbers; a text of several lines stands below its key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

#: What can be written: as in JSON.
Value = str | int | float | bool | None | Sequence["Value"] | Mapping[str, "Value"]

#: Stands without quotes and is a text to every reader: it begins with a letter, or is a span such as 5m.
_PLAIN = re.compile(r"[A-Za-z_](?:[!-9;-~]|:(?=[!-~])| (?=[!\"$-~]))*|[0-9]+(?:ms|[smhd])")

#: An exponent behind a whole number, which older readers take for a text.
_EXPONENT = re.compile(r"^(-?[0-9]+)e")

#: Means something else to some reader, in whatever case.
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", ""}


def yaml_of(value: Value) -> str:
    """Return a document."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Value) -> Iterator[str]:
    """Yield the lines of a value that begins on a line of its own."""
    if isinstance(value, Mapping) and value:
        for key, one in value.items():
            yield from _entry(f"{_scalar(key)}:", one)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for one in value:
            first, *more = _lines(one)
            yield f"- {first}"
            yield from _indented(more)
    else:
        yield _scalar(value)


def _entry(key: str, value: Value) -> Iterator[str]:
    if isinstance(value, str) and _is_block(value):
        yield f"{key} |-"
        yield from _indented(value.split("\n"))
    elif isinstance(value, Mapping | Sequence) and not isinstance(value, str) and value:
        yield key
        yield from _indented(_lines(value))
    else:
        yield f"{key} {_scalar(value)}"


def _indented(lines: Iterator[str] | Sequence[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _is_block(text: str) -> bool:
    """Whether it can stand as it is on lines of its own: each line has text, and the first is not indented."""
    lines = text.split("\n")
    return (
        len(lines) > 1
        and not lines[0].startswith(" ")
        and all(line.strip() and line == line.rstrip() and line.isprintable() for line in lines)
    )


def _scalar(value: Value) -> str:
    if isinstance(value, float):
        return _EXPONENT.sub(r"\1.0e", json.dumps(value))
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return "".join(map(_escaped, json.dumps(value, ensure_ascii=False)))


def _escaped(letter: str) -> str:
    """Write out what a reader of YAML refuses, or takes for the end of a line."""
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"
