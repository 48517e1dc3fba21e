"""The ids of a batch and of its members, and how members are sent.

Outside of tasks ids are random. In a task they are made from its message and from the calls, so that a task which is
killed and repeated fills the same batch with the same members.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from ..current import running_here
from ..definition import Definition
from ..enqueue import BULK, Receipt, send, stamp
from ..errors import ConfigError
from ..message import Message, new_id
from ..scope import Scope, inside, scope
from .chain import Chain
from .signature import Signature

#: What a batch takes: a call, or a chain of them, which counts as one.
Member = Signature[Any] | Chain


@dataclass(frozen=True, slots=True)
class Identity:
    """What a batch is called, and where its members belong. ``builder`` is the message whose task fills it, if any."""

    id: str
    scope: Scope
    builder: str = ""


def identified(name: object) -> Identity:
    """Name a new batch: at random outside of tasks; in a task from its message and the batch's name or number.

    Raises:
        ConfigError: the name is empty or no text, or is given outside of a task.
    """
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise ConfigError(f"name: expected a text that tells a task's batches apart, got {name!r}")
    me, where = running_here(), scope()
    if me is None:
        if name is not None:
            raise ConfigError("name= tells the batches of a task apart; outside of tasks each has an id of its own")
        id, seed, builder = new_id(), "", ""
    else:
        whose = Scope("\0".join((where.seed, me.id, *(bytes(part).decode() for part in me.call))))
        id = whose.id_of("batch", (f"name:{name}" if name else f"number:{me.nth_batch()}").encode())
        seed, builder = id, me.id
    within = msgspec.structs.replace(where.within, batches=(id,))
    return Identity(id, Scope(seed, within), builder)


def refuse_others(member: object) -> None:
    """Refuse what is no call that is written down, and what nobody tells the end of."""
    if isinstance(member, Signature):
        refuse_external(member.definition)
    elif not isinstance(member, Chain):
        raise ConfigError(f"a member of a batch is a signature such as task.s(...), or a chain of them; got {member!r}")


def refuse_external(definition: Definition) -> None:
    """Refuse a task that only other workers have: the batch would wait for ever."""
    if definition.external:
        raise ConfigError(
            f"{definition.name} is a task that only others' workers have, and nobody tells a batch how it ends; "
            f"import the task where taskbridge workers run it"
        )


def bulks(members: Iterable[Member]) -> Iterable[list[Member]]:
    """Take as many as travel in one trip."""
    stream = iter(members)
    while some := list(islice(stream, BULK)):
        for member in some:
            refuse_others(member)
        yield some


def put(members: list[tuple[Member, str | None]], where: Scope) -> list[Receipt]:
    """Send members, in one trip those that the store is asked in the same words; a chain by itself."""
    trips: dict[tuple[object, ...], list[tuple[Signature[Any], Message]]] = {}
    receipts: list[Receipt] = []
    for one, key in members:
        if isinstance(one, Chain):
            with inside(where if key is None else Scope(f"{where.seed}\0{key}", where.within)):
                receipts.append(one.enqueue())
    with inside(where):
        for one, key in members:
            if isinstance(one, Chain):
                continue
            sender = one.sender()
            message = stamp(one.definition, one.options, one.args, one.kwargs, sender, key)
            apart = (one.definition.name, id(one.options)) if one.options.claims_in_store else one.options.delay_ms
            trips.setdefault((id(sender), apart), []).append((one, message))
        for trip in trips.values():
            first = trip[0][0]
            receipts += send(first.definition, first.options, [message for _, message in trip], first.sender())
    return receipts
