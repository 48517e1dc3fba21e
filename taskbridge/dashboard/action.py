"""An action: what a button does. ``actions`` has one file for each kind of thing that is acted on.

Asked for by POST alone, by somebody who is signed in; ``doing`` sees to that. One that is ``asks`` is asked once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..bridge import Bridge
from .fields import Fields

#: What the audit log has before the name that a person gave.
WHO = "dashboard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One time that an action is done: by whom, and with what fields."""

    bridge: Bridge
    form: Fields
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action.

    Args:
        name: what buttons call it, ``limit.pause``; it is at ``/act/`` and its name.
        label: what its button says.
        do: does it, and returns a sentence of what has happened. An error of ours is the sentence why not.
        fields: those that it needs; a button that gives no others.
        asks: the question of the page in between, ``{field}`` being what a field says; empty asks nothing.
    """

    name: str
    label: str
    do: Callable[[Deed], str]
    fields: tuple[str, ...] = ()
    asks: str = ""

    def question(self, form: Fields) -> str:
        """Return the question, for these fields.

        Raises:
            BadRequest: one that it needs is not there.
        """
        return self.asks.format_map({name: form.text(name) for name in self.fields})
