"""Locks: taken from whoever holds them."""

from __future__ import annotations

from ...operations import locks as work
from ..action import Action, Deed


def break_lock(deed: Deed) -> str:
    key = deed.form.text("key")
    number = work.break_lock(deed.bridge.store, key, who=deed.who)
    return f"The lock {key} was taken from {number}; the next in line has it"


ACTIONS = (
    Action(
        name="lock.break",
        label="Break",
        do=break_lock,
        fields=("key",),
        asks="Take the lock {key} from whoever holds it? What they run goes on unprotected.",
    ),
)
