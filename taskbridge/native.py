"""An engine's own tasks, as they are declared in this process: what somebody would write to declare them with us.

Each backend reads its engine's (``inventory.py``); ``taskbridge migrate check`` tells them.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class NativeOption(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a native task asks for, or that its engine does unasked.

    Args:
        said: the engine's own words for it, such as ``rate_limit='10/m'``.
        ours: what to write for it in ``@task(...)``, such as ``rate_limit=RateLimit('10/m')``; empty for nothing.
        differs: what is not the same afterwards, in words; empty where nothing is.
    """

    said: str
    ours: str = ""
    differs: str = ""


class NativeTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task of the engine's own.

    Args:
        name: by which its messages call it.
        queue: where they go.
        where: the function, as ``module.name``.
        options: what it asks for.
        untyped: its parameters without an annotation.
    """

    name: str
    queue: str
    where: str
    options: tuple[NativeOption, ...] = ()
    untyped: tuple[str, ...] = ()

    @property
    def declaration(self) -> str:
        """The decorator that declares it with us."""
        named = [] if self.name == self.where else [f"name={self.name!r}"]
        queue = [] if self.queue == "default" else [f"queue={self.queue!r}"]
        return f"@task({', '.join([*named, *queue, *_ours(self.options)])})"

    @property
    def differences(self) -> list[str]:
        """What is not the same afterwards."""
        told = [f"{one.said}: {one.differs}" for one in self.options if one.differs]
        if self.untyped:
            names = ", ".join(self.untyped)
            told.append(
                f"{names}: annotate, so that a date, Decimal or UUID comes back as one; without, as JSON has it"
            )
        return told


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What of an engine this process has.

    Args:
        tasks: the engine's own.
        settings: what the team has given the engine alone, in words: it is of no use to another.
    """

    tasks: tuple[NativeTask, ...] = ()
    settings: tuple[str, ...] = ()


EMPTY = Inventory()


def _ours(options: Iterable[NativeOption]) -> list[str]:
    return [one.ours for one in options if one.ours]
