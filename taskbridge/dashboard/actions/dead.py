"""Dead letters: replayed or purged, one, or all of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ...errors import ConfigError
from ...operations import letters as work
from ...store import Store
from ..action import Action, Deed

#: One press of a button goes through so many letters, for so long at most, seconds: somebody waits for the page.
MOST, LONGEST_S = 10_000, 10.0

#: How many are read at a time.
PAGE = 200


def one(do: Callable[..., str], says: str) -> Callable[[Deed], str]:
    """Return what does this to a letter, and says so."""

    def done(deed: Deed) -> str:
        id = deed.form.text("id")
        if problem := do(deed.bridge.store, id, who=deed.who):
            raise ConfigError(problem)
        return f"{id} is {says}"

    return done


def all_of_a_task(each: Each, word: str) -> Callable[[Deed], str]:
    """Return what does this to all letters of a task, and says to how many."""
    return lambda deed: _all(deed, each, word)


def _all(deed: Deed, each: Each, word: str) -> str:
    """Do it to each letter of a task, the newest first; each once, also where it comes back meanwhile."""
    task, store, clock = deed.form.text("task"), deed.bridge.store, deed.bridge.clock
    over_s = clock.monotonic_s() + LONGEST_S
    seen: set[str] = set()
    done = passed = 0
    while (page := work.letters(store, PAGE, passed)) and len(seen) < MOST and clock.monotonic_s() < over_s:
        fresh = [one for one in page if one.record.id not in seen]
        seen |= {one.record.id for one in fresh}
        ids = [one.record.id for one in fresh if one.message is not None and one.message.task == task]
        ended = len(ids) - len(each(store, ids, who=deed.who))
        done += ended
        passed += len(page) - ended
    if not done:
        raise ConfigError(f"no dead letter of {task} was found" + (f" among the newest {len(seen):,}" if page else ""))
    return f"{done:,} dead letters of {task} are {word}" + ("; more may be left: ask again" if page else "")


class Each(Protocol):
    """What is done to several letters, as one action; returns why not, of those it was not done to."""

    def __call__(self, store: Store, ids: Sequence[str], *, who: str) -> list[str]: ...


ACTIONS = (
    Action(
        name="dead.replay", label="Replay", do=one(work.replay, "ready again, its attempts back at one"), fields=("id",)
    ),
    Action(
        name="dead.purge",
        label="Purge",
        do=one(work.purge, "purged"),
        fields=("id",),
        asks="Purge the dead message {id}? It is gone for good, and never runs.",
    ),
    Action(
        name="dead.replay_task",
        label="Replay all of this task",
        do=all_of_a_task(work.replay_all, "replayed"),
        fields=("task",),
        asks="Replay all dead messages of {task}? Each runs again, its attempts back at one.",
    ),
    Action(
        name="dead.purge_task",
        label="Purge all of this task",
        do=all_of_a_task(work.purge_all, "purged"),
        fields=("task",),
        asks="Purge all dead messages of {task}? They are gone for good, and never run.",
    ),
)
