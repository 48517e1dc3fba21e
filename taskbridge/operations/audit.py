"""Who did what: each action of an operator is noted before it is done, and noted again if it was refused.

Whoever offers an action calls a function of ``operations``, which notes it: the command and the dashboard alike.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import Field, fields, is_dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..errors import TaskbridgeError
from ..lease import host
from ..store import Store
from ..store.audit import Entry

#: Most characters of a word of an entry.
LONGEST = 500

#: What an action is done to where its name was left out, for there is one only.
THE_ONLY_ONE = "the only one"

P = ParamSpec("P")
R = TypeVar("R")


def note(store: Store, who: str, verb: str, subject: str, detail: str = "") -> None:
    """Write an entry; nobody named is whoever runs this process.

    Raises:
        StoreUnavailable, StoreFull: it was not written, and the action must not be done.
    """
    store.audit.note(*(_text(word)[:LONGEST] for word in (who or whoami(), verb, subject, detail)))


def audit(store: Store, limit: int = 100, offset: int = 0) -> list[Entry]:
    """Return what operators did, the newest first."""
    return store.audit.read(limit, offset)


@contextmanager
def action(store: Store, who: str, verb: str, subject: str, detail: str = "") -> Iterator[None]:
    """Note what is done inside, and why, if it is refused."""
    note(store, who, verb, subject, detail)
    try:
        yield
    except TaskbridgeError as error:
        refused(store, who, verb, subject, str(error))
        raise


def refused(store: Store, who: str, verb: str, subject: str, why: str) -> None:
    """Note that it was not done; where even that fails, the error that is on its way says more."""
    try:
        note(store, who, verb, subject, f"refused: {why}")
    except TaskbridgeError:
        return


def audited(verb: str, subject: str, *details: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have an operation noted whenever it is called, unless it only looks (``dry_run``).

    Args:
        verb: what is done.
        subject: to what, with the operation's arguments in braces; nothing named is the only one that there is.
        details: arguments that are told where they say something: another thing than their defaults.
    """

    def decorate(do: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(do)

        @wraps(do)
        def noted(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            words = bound.arguments
            if words.get("dry_run"):
                return do(*args, **kwargs)
            store: Store = words["store"] if "store" in words else words["bridge"].store
            said = {name: words[name] for name in details if _says(words[name], signature.parameters[name].default)}
            told = ", ".join(f"{name}={_shown(value)}" for name, value in said.items())
            with action(store, words["who"], verb, subject.format(**words) or THE_ONLY_ONE, told):
                return do(*args, **kwargs)

        return noted

    return decorate


def _says(value: object, default: object) -> bool:
    """Whether an argument is worth telling; a number is, 0 included."""
    return value is not False and value not in (None, "", (), []) and value != default


def _text(word: str) -> str:
    """Return a word that can be written, whatever was passed: it is refused by who does it, and that is noted, too."""
    return word.encode(errors="backslashreplace").decode()


def _shown(value: object) -> str:
    """Return an argument as text: of one with fields, those that say something."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    names = getattr(value, "__struct_fields__", None) or [one.name for one in _fields(value)]
    said = {name: getattr(value, name) for name in names}
    return " ".join(f"{name}={one}" for name, one in said.items() if one not in ("", None)) if names else str(value)


def _fields(value: object) -> tuple[Field[Any], ...]:
    return fields(value) if is_dataclass(value) else ()


def whoami() -> str:
    """Return who acts here: user@host."""
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without a name for its user
        user = str(os.getuid())
    return f"{user}@{host()}"
