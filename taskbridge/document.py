"""Documents of the store that say their form: read whole or not at all, for who does not know a word would obey half.

Pure.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from .errors import ConfigError, DecodeError


class Formed(Protocol):
    """A document that says of which form it is."""

    @property
    def form(self) -> int: ...


D = TypeVar("D", bound=Formed)


def read(document: bytes, decoder: msgspec.json.Decoder[D], form: int, what: str, most_bytes: int = 0) -> D:
    """Return what is in a document of this form.

    Args:
        document: its bytes.
        decoder: refuses words that it does not know.
        form: the one that this release knows.
        what: it is called, for the error.
        most_bytes: a longer one is refused. Defaults to any length.

    Raises:
        DecodeError: a newer release wrote it in other words, or it is no such document.
    """
    try:
        if most_bytes and len(document) > most_bytes:
            raise ConfigError(f"{len(document)} bytes, and {most_bytes} is the most")
        found = decoder.decode(document)
        if found.form != form:
            raise ConfigError(f"its form is {found.form}, and this release knows {form}")
    except (msgspec.MsgspecError, UnicodeDecodeError, ConfigError) as error:
        raise DecodeError(f"{what} cannot be read by this release: {error}") from error
    return found
