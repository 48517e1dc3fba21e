"""The dead letters: seen, replayed, purged. A refusal says why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import DecodeError, UnknownMessage
from ..message import Message, decode
from ..store import Record, Store
from .audit import action, refused
from .links import Link, link_of

#: How many are read at a time.
PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead message; ``message`` is None for bytes that are none, ``link`` for what is no link of a chain."""

    record: Record
    message: Message | None
    link: Link | None = None


def letters(store: Store, limit: int, offset: int = 0) -> list[Letter]:
    """Return the newest dead letters first."""
    return [_letter(store, record) for record in store.dead.list(limit, offset)]


def letter(store: Store, id: str) -> Letter:
    """Return one dead letter.

    Raises:
        UnknownMessage: no dead letter has this id.
    """
    record = store.messages.look(id)
    if record is None or record.state != "DEAD":
        raise UnknownMessage(_not_dead(id, record))
    return _letter(store, record)


def count(store: Store) -> int:
    """Return how many dead letters there are."""
    return sum(number for (_, state), number in store.messages.counts().items() if state == "DEAD")


def every_id(store: Store) -> list[str]:
    """Return the ids of all that are dead now, the newest first; what dies meanwhile may be among them."""
    ids: dict[str, None] = {}
    while page := store.dead.list(PAGE, len(ids)):
        known = len(ids)
        ids |= dict.fromkeys(record.id for record in page)
        if len(ids) == known:
            break
    return list(ids)


def replay(store: Store, id: str, *, who: str = "") -> str:
    """Make a dead message ready again; returns why not, or nothing."""
    return "".join(replay_all(store, [id], who=who))


def replay_all(store: Store, ids: Sequence[str], *, who: str = "") -> list[str]:
    """Make dead messages ready again, as one action; returns why not, of those that were not."""
    return _each(store, ids, "dead replay", who, _replay)


def _replay(store: Store, id: str) -> str:
    if store.dead.replay(id):
        return ""
    record = store.messages.look(id)
    if record is None or record.state != "DEAD":
        return _not_dead(id, record)
    return f"{id} is bytes that no engine could read as a message; see them with taskbridge dead show {id}"


def purge(store: Store, id: str, *, who: str = "") -> str:
    """End a dead message for good; returns why not, or nothing."""
    return "".join(purge_all(store, [id], who=who))


def purge_all(store: Store, ids: Sequence[str], *, who: str = "") -> list[str]:
    """End dead messages for good, as one action; returns why not, of those that were not."""
    return _each(store, ids, "dead purge", who, _purge)


def _each(store: Store, ids: Sequence[str], verb: str, who: str, do: Callable[[Store, str], str]) -> list[str]:
    if not ids:
        return []
    alone = len(ids) == 1
    subject, detail = (ids[0], "") if alone else (f"{len(ids)} dead letters", f"the first is {ids[0]}")
    with action(store, who, verb, subject, detail):
        refusals = [why for id in ids if (why := do(store, id))]
    if refusals:
        refused(store, who, verb, subject, refusals[0] if len(refusals) == 1 else f"{len(refusals)} of them")
    return refusals


def _purge(store: Store, id: str) -> str:
    return "" if store.dead.purge(id) else _not_dead(id, store.messages.look(id))


def _not_dead(id: str, record: Record | None) -> str:
    if record is None:
        return f"no dead letter has the id {id!r}; taskbridge dead list shows those that there are"
    return f"{id} is not dead; taskbridge status {id} says where it is"


def _letter(store: Store, record: Record) -> Letter:
    message = _message(record)
    return Letter(record=record, message=message, link=link_of(store, message))


def _message(record: Record) -> Message | None:
    try:
        return decode(record.body)
    except DecodeError:
        return None
