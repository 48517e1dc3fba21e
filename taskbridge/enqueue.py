"""Send a call on its way: check, stamp, route, then publish now or keep until it is due.

A plain message needs no store: it is published under its id, and a repeat of it is recognised when it is begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from .backend import Backend
from .chunking import encode as encode_bounds
from .clock import Clock
from .config import Settings
from .copies import Copies
from .definition import Definition
from .errors import ArgumentError, ConfigError, PayloadTooLarge
from .events import Events, Sent
from .message import Flow, Message, encode, new_id
from .needs import ALONE, Within
from .options import TaskOptions
from .policies.timeout import stamps
from .policies.unique import sameness_of
from .routing import Router, fill, names_in, route_by_settings
from .scope import scope
from .store import Store
from .trace import Trace

#: How many messages travel in one trip.
BULK = 1_000

#: What a message is apart from its arguments and its place in a run, bytes, rounded up: only near the limit is the
#: whole measured.
_ENVELOPE_BYTES = 1_024


class Receipt(msgspec.Struct, frozen=True):
    """What ``enqueue`` returns: the message's id, and whether this call made it."""

    id: str
    created: bool = True


class Enqueued(msgspec.Struct, frozen=True):
    """What ``enqueue_many`` returns: how many messages it made, and how many were there already."""

    created: int
    existing: int = 0


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """What sending needs. ``store`` and ``backend`` are asked for only when used.

    Without ``router`` no rule holds, without ``copies`` nothing is shadowed.
    """

    settings: Settings
    clock: Clock
    store: Callable[[], Store]
    backend: Callable[[str], Backend]
    events: Events = msgspec.field(default_factory=Events)
    trace: Trace = msgspec.field(default_factory=Trace)
    router: Router | None = None
    copies: Copies | None = None

    def route(self, message: Message) -> str:
        """Return the name of the backend that carries this message now."""
        return route_by_settings(message, self.settings) if self.router is None else self.router.route(message)


def enqueue(
    definition: Definition, options: TaskOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any], sender: Sender
) -> Receipt:
    """Send one call.

    Raises:
        ArgumentError: it does not fit the signature, or JSON cannot carry it.
        PayloadTooLarge: the message is over ``max_payload``.
        BrokerUnavailable, StoreUnavailable, StoreFull: it may or may not have been sent.
    """
    with sender.trace.sending(definition.name, options.queue):
        message = stamp(definition, options, args, kwargs, sender)
        return send(definition, options, [message], sender)[0]


def enqueue_many(
    definition: Definition,
    options: TaskOptions,
    calls: Iterable[Any],
    sender: Sender,
    key: Callable[[Any], str] | None = None,
) -> Enqueued:
    """Send many calls in constant memory, a thousand in a trip.

    Args:
        calls: a mapping of keyword arguments each, or a tuple of positional ones.
        key: says of a call what tells it from others in a chunk or a batch. Defaults to its arguments.

    Raises:
        ConfigError: a key where ids are not made from calls: outside of a chunk and of a task's batch.
        The same as ``enqueue``; what was sent before the error stays sent.
    """
    if key is not None and not scope().seed:
        raise ConfigError("key= tells calls apart in a chunk, or in a batch that a task fills; this is neither")
    created = existing = 0
    stream = (stamp(definition, options, *_call(call), sender, key(call) if key else None) for call in calls)
    trips = iter(lambda: list(islice(stream, BULK)), [])
    with sender.trace.sending(definition.name, options.queue):
        for news in _sent(definition, options, trips, sender):
            new = sum(news)
            created, existing = created + new, existing + len(news) - new
    return Enqueued(created, existing)


def _sent(
    definition: Definition, options: TaskOptions, trips: Iterable[list[Message]], sender: Sender
) -> Iterator[list[bool]]:
    """Send trip by trip; what the store keeps is stamped while it works at the trip before."""
    if _kept(options) and not options.claims_in_store and scope().unsent is None:
        yield from _told(trips, options.delay_ms, definition, sender)
    else:
        for messages in trips:
            yield [receipt.created for receipt in send(definition, options, messages, sender)]


def _told(
    trips: Iterable[list[Message]], delay_ms: int, definition: Definition, sender: Sender
) -> Iterator[list[bool]]:
    """Have the store keep trip by trip, and tell of each when it has."""
    asked: deque[list[Message]] = deque()

    def noted() -> Iterator[list[Message]]:
        for messages in trips:
            asked.append(messages)
            yield messages

    for created in sender.store().outbox.put_all(noted(), delay_ms, _within(definition)):
        tell(asked.popleft(), created, sender)
        yield created


def send(definition: Definition, options: TaskOptions, messages: list[Message], sender: Sender) -> list[Receipt]:
    """Publish messages now, or keep them in the store until they are due; returns under which ids they are known.

    What is to be the only one of its kind is claimed and kept in one step: no claim is without its message. What
    belongs to a run or a batch is counted in that step, too, unless only others' workers have the task. In a shadow
    nothing is sent, only counted.
    """
    unsent = scope().unsent
    if unsent is not None:
        unsent.count += len(messages)
        return [Receipt(message.id) for message in messages]
    within = _within(definition)
    if options.claims_in_store:
        same = [sameness_of(definition, options, message) for message in messages]
        found = sender.store().outbox.put_once(messages, same, options.delay_ms or options.debounce_ms, within)
        tell(messages, [one.created for one in found], sender)
        return [Receipt(one.id, created=one.created) for one in found]
    if _kept(options):
        created = sender.store().outbox.put(messages, options.delay_ms, within)
        tell(messages, created, sender)
        return [Receipt(message.id, created=new) for message, new in zip(messages, created, strict=True)]
    publish(messages, sender)
    tell(messages, [True] * len(messages), sender)
    return [Receipt(message.id) for message in messages]


def tell(messages: Sequence[Message], created: Sequence[bool], sender: Sender) -> None:
    """Tell listeners which of these messages were made, if there are any."""
    if not sender.events.hears(Sent):
        return
    for message, new in zip(messages, created, strict=True):
        if new:
            delay_ms = max(0, message.due_at_ms - message.enqueued_at_ms) if message.due_at_ms else 0
            sent = Sent(
                id=message.id,
                task=message.task,
                queue=message.queue,
                backend=sender.route(message),
                delay_ms=delay_ms,
                size=len(message.args) + len(message.kwargs),
            )
            sender.events.emit(sent)


def _kept(options: TaskOptions) -> bool:
    """Whether the store keeps what is sent here until it is due."""
    return options.delay_ms > 0 or scope().within is not ALONE


def _within(definition: Definition) -> Within:
    within = scope().within
    return within.for_others() if definition.external else within


def publish(messages: list[Message], sender: Sender, *, kept: bool = False, front: bool = False) -> None:
    """Hand messages to the backends that carry them now; ``kept`` and ``front`` as in ``Backend.publish``."""
    routed, router = by_backend(messages, sender), sender.router
    copies = copies_of(routed, sender) if router is not None and router.has_shadows else None
    for name, some in routed.items():
        sender.backend(name).publish(some, kept=kept, front=front)
    if copies:
        send_copies(copies, sender)


def by_backend(messages: Iterable[Message], sender: Sender) -> dict[str, list[Message]]:
    """Return which backend carries which of these messages now."""
    routed: dict[str, list[Message]] = {}
    for message in messages:
        routed.setdefault(sender.route(message), []).append(message)
    return routed


def copies_of(routed: dict[str, list[Message]], sender: Sender) -> dict[str, list[Message]]:
    """Return the copies that these messages have, by backend, and mark those messages; nearly always none."""
    router, copies = sender.router, sender.copies
    if router is None or copies is None or not router.has_shadows:
        return {}
    return copies.of(routed, router)


def send_copies(copies: dict[str, list[Message]], sender: Sender) -> None:
    """Send copies whose originals were published; what is wrong with that is told and harms nothing."""
    if copies and sender.copies is not None:
        sender.copies.send(copies)


def stamp(
    definition: Definition,
    options: TaskOptions,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    sender: Sender,
    key: str | None = None,
) -> Message:
    """Check a call and make a message of it; ``key`` as in ``enqueue_many``."""
    sent = definition.arguments.encode(args, kwargs)
    shared_by = route_key(definition, args, kwargs, sender.settings)
    return made(_id(definition, *sent, key), definition, options, sent, sender, route_key=shared_by)


def made(
    id: str,
    definition: Definition,
    options: TaskOptions,
    sent: tuple[msgspec.Raw, msgspec.Raw],
    sender: Sender,
    *,
    route_key: str = "",
    flow: Flow | None = None,
    filled: bool = False,
) -> Message:
    """Make a message of a call that was checked.

    Args:
        id: the message's.
        definition: what is called.
        options: with what this call asks for.
        sent: its arguments as JSON, positional and by name.
        sender: whose clock and whose limit of size count.
        route_key: what a share of the settings is sticky by. Defaults to the id.
        flow: what it is part of.
        filled: its first argument is filled in later. Defaults to no.

    Raises:
        PayloadTooLarge: it is over ``max_payload``.
    """
    delay_ms, expires_ms = options.delay_ms or options.debounce_ms, options.expires_ms
    now_ms = sender.clock.now_ms()
    due_ms = now_ms + delay_ms
    timeouts = stamps(options, definition.options)
    tags, router = tuple(options.tags), sender.router
    message = Message(
        id=id,
        task=definition.name,
        queue=options.queue,
        args=sent[0],
        kwargs=sent[1],
        enqueued_at_ms=now_ms,
        due_at_ms=due_ms if delay_ms else 0,
        expires_at_ms=due_ms + expires_ms if expires_ms else 0,
        priority=options.priority,
        route_key=route_key,
        timeout_ms=timeouts.soft_ms,
        hard_timeout_ms=timeouts.hard_ms,
        flow=_over(options, flow),
        trace=sender.trace.headers(),
        tags=tags,
        route_keys=router.keys_of(definition, options.queue, tags, sent, filled=filled) if router else None,
    )
    refuse_large(message, sender.settings.max_payload)
    return message


def route_key(
    definition: Definition,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    settings: Settings,
    *,
    filled: bool = False,
) -> str:
    """Return what a share of the settings is sticky by; empty, for the id, where there is none or it is not known yet.

    Args:
        definition: what is called.
        args: its positional arguments.
        kwargs: its keyword arguments.
        settings: where the shares are.
        filled: one more argument, before ``args``, is filled in later.
    """
    share = settings.shares.get(definition.name)
    if share is None or not share.key:
        return ""
    bound = definition.arguments.signature.bind(*([None] if filled else []), *args, **kwargs)
    later = next(iter(bound.arguments), "") if filled else ""
    bound.apply_defaults()
    named = names_in(share.key, set(bound.arguments), f"shares.{definition.name}.key")
    return "" if later in named else fill(share.key, bound.arguments)


def _over(options: TaskOptions, flow: Flow | None) -> Flow | None:
    """A run over a range of its own begins with its bounds."""
    if not options.over:
        return flow
    return msgspec.structs.replace(flow or Flow(), bounds=msgspec.Raw(encode_bounds(options.over)))


def _id(definition: Definition, args: msgspec.Raw, kwargs: msgspec.Raw, key: str | None) -> str:
    where = scope()
    if not where.seed:
        return new_id()
    return where.id_of(definition.name, definition.arguments.canonical(args, kwargs) if key is None else key.encode())


def _call(call: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    if isinstance(call, Mapping):
        return (), call
    if isinstance(call, tuple):
        return call, {}
    raise ArgumentError(
        f"enqueue_many takes a dict of keyword arguments or a tuple of positional ones for each call; got {call!r}"
    )


def refuse_large(message: Message, limit: int) -> None:
    """Refuse a message that is over ``limit`` bytes.

    Raises:
        PayloadTooLarge: with the advice to save the data.
    """
    flow = message.flow
    more = len(message.trace) + (len(flow.at) + len(flow.bounds) if flow else 0)
    if message.tags or message.route_keys:
        more += len(msgspec.json.encode((message.tags, message.route_keys)))
    if len(message.args) + len(message.kwargs) + more + _ENVELOPE_BYTES <= limit:
        return
    size = len(encode(message))
    if size > limit:
        raise PayloadTooLarge(
            f"{message.task}: the message is {size} bytes and max_payload is {limit}: save the data and pass its id"
        )
