"""Batches: many messages that are counted together, and a callback when all of them have ended.

The store counts in the step that ends a member, and makes the callback in the one that ends the last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count, islice
from types import TracebackType
from typing import Any, Literal, Protocol, Self, get_args

from ..current import refuse_in_shadow
from ..definition import Definition
from ..enqueue import BULK, Enqueued, Receipt, Sender
from ..errors import ConfigError
from ..scope import Scope, inside
from ..store.flow import Follower
from .members import Member, bulks, identified, put, refuse_external, refuse_others
from .progress import BatchReceipt
from .signature import Signature

log = logging.getLogger("taskbridge")

#: When ``then`` is made: when all members have ended, or only if none of them failed.
When = Literal["all_done", "all_succeeded"]
CONDITIONS = get_args(When)


class Many(Protocol):
    """What ``enqueue_many`` of a batch takes: a task."""

    @property
    def definition(self) -> Definition: ...
    def enqueue_many(self, calls: Iterable[Any], *, key: Callable[[Any], str] | None = None) -> Enqueued: ...


class _Described:
    """A batch that is not opened yet: its condition and its callbacks."""

    def __init__(self, sender: Callable[[], Sender], when: When, name: str | None) -> None:
        if when not in CONDITIONS:
            raise ConfigError(f"when: expected {' or '.join(CONDITIONS)}, got {when!r}")
        self._sender = sender
        self._when = when
        self._identity = identified(name)
        self._callbacks: dict[str, Follower] = {}
        self._state = "described"

    @property
    def id(self) -> str:
        """The batch's id, known before it is opened: callbacks and members may be told."""
        return self._identity.id

    def then(self, callback: Signature[Any]) -> Self:
        """Make this call once when the batch is complete; of ``all_succeeded``, if none of its members has failed.

        It gets its own arguments; results are not collected.

        Raises:
            ConfigError: it is no signature, there is one already, or the batch is open by now.
            ArgumentError: it cannot be called so.
        """
        return self._with("then", callback)

    def on_error(self, callback: Signature[Any]) -> Self:
        """Make this call once when all members have ended and some have failed; as ``then`` otherwise."""
        return self._with("error", callback)

    def _with(self, which: str, callback: Signature[Any]) -> Self:
        word = "on_error" if which == "error" else which
        if not isinstance(callback, Signature):
            raise ConfigError(f"{word}: expected a signature such as task.s(...), got {callback!r}")
        if which in self._callbacks:
            raise ConfigError(f"{word}: the batch has one already")
        if self._state != "described":
            raise ConfigError(f"{word}: the batch {self.id} is {self._state}; say {word} before that")
        self._callbacks[which] = callback.follower(f"{self.id}:{which}", self._sender(), filled=False)
        return self

    def _open(self) -> None:
        refuse_in_shadow("a batch")
        then, error = (self._callbacks.get(which) for which in ("then", "error"))
        batches, builder = self._sender().store().batches, self._identity.builder
        batches.open(self.id, when=self._when, then=then, error=error, builder=builder)
        self._state = "open"

    def _seal(self) -> None:
        if not self._sender().store().batches.seal(self.id):
            raise ConfigError(f"the batch {self.id} is forgotten: it was open for two weeks with no member on its way")
        self._state = "closed"


class OpenBatch(_Described):
    """A batch that is filled as it goes, while its first members run. Made by ``open_batch``, not by hand.

    Leaving the block closes it. When an error leaves the block it stays open and calls nobody back, for it is not known
    to be whole: a task that fills it does so again when it is retried.
    """

    def add(self, member: Member, *, key: str | None = None) -> Receipt:
        """Enqueue a call as a member, or a chain of them.

        In a task, the same call is the same member, however often it is added or repeated.

        Args:
            member: the call; a chain counts when its last link has ended, or one has failed.
            key: there, says what tells this call from others. Defaults to its arguments.

        Raises:
            ConfigError: it is no signature, a task that only others' workers have, the batch is not open, or ``key``
                outside of a task.
            The same as ``enqueue``.
        """
        self._refuse_unless_open()
        refuse_others(member)
        if key is not None and not self._identity.scope.seed:
            raise ConfigError("key= tells calls apart in a batch that a task fills; outside each is a member by itself")
        return put([(member, key)], self._identity.scope)[0]

    def enqueue_many(
        self,
        task: Many,
        calls: Iterable[Mapping[str, Any] | tuple[Any, ...]],
        *,
        key: Callable[[Any], str] | None = None,
    ) -> Enqueued:
        """Enqueue a task once per item, each a member; streamed and in bulk as ``task.enqueue_many``, which see.

        Args:
            task: which one.
            calls: for each call a mapping of keyword arguments, or a tuple of positional ones.
            key: as in ``add``, from the call.

        Raises:
            ConfigError: as in ``add``; it is no task.
            The same as ``enqueue``; what was sent before the error stays sent.
        """
        self._refuse_unless_open()
        if not hasattr(task, "enqueue_many"):
            raise ConfigError(f"enqueue_many: expected a task and its calls, got {task!r}; b.add takes a signature")
        refuse_external(task.definition)
        created = existing = 0
        stream = iter(calls)
        while few := list(islice(stream, BULK)):  # what the iterable does by itself is no member
            with inside(self._identity.scope):
                sent = task.enqueue_many(few, key=key)
            created, existing = created + sent.created, existing + sent.existing
        return Enqueued(created, existing)

    def close(self) -> None:
        """Say that no more members come; the block does it when it is left.

        Raises:
            ConfigError: it is closed already, or was never opened.
            StoreUnavailable: it may or may not be closed; call again.
        """
        self._refuse_unless_open()
        self._seal()

    def _refuse_unless_open(self) -> None:
        if self._state == "closed":
            raise ConfigError(f"the batch {self.id} is closed")
        if self._state != "open":
            raise ConfigError(f"the batch {self.id} is not open yet: with open_batch() as b: ...")

    def __enter__(self) -> Self:
        if self._state != "described":
            raise ConfigError(f"the batch {self.id} is {self._state} already: open another")
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._state == "closed":
            return
        if kind is None:
            self._seal()
            return
        again = "the next attempt fills it again" if self._identity.builder else "it calls nobody back"
        log.warning("the batch %s stays open, for %s left its block: %s", self.id, kind.__name__, again)


class Batch(_Described):
    """Members that are given as signatures. Made by ``batch``, not by hand; nothing is sent before ``enqueue``."""

    def __init__(self, members: Iterable[Member], sender: Callable[[], Sender], when: When, name: str | None) -> None:
        try:
            iter(members)
        except TypeError:
            raise ConfigError(f"batch: expected signatures such as [task.s(...), ...], got {members!r}") from None
        for member in members if isinstance(members, Sequence) else ():
            refuse_others(member)
        super().__init__(sender, when, name)
        self._members = members

    def enqueue(self) -> BatchReceipt:
        """Send every member and close the batch: streamed in constant memory, a thousand in a trip.

        When it raises, what was sent stays sent and the batch stays open. Members of a list may be enqueued again then,
        for each has its id from its place; in a task, from the call.

        Raises:
            ConfigError: a member is no signature, or the batch was enqueued already.
            The same as ``enqueue`` of a task.
        """
        if self._state == "closed" or (self._state == "open" and iter(self._members) is self._members):
            raise ConfigError(f"the batch {self.id} was enqueued already: make another")
        self._open()
        created = existing = 0
        for some in bulks(self._members):
            receipts = put(self._named(some, created + existing), self._where())
            new = sum(receipt.created for receipt in receipts)
            created, existing = created + new, existing + len(receipts) - new
        self._seal()
        return BatchReceipt(self.id, created, existing)

    def _where(self) -> Scope:
        return Scope(self.id, self._identity.scope.within)

    def _named(self, members: list[Member], first: int) -> list[tuple[Member, str | None]]:
        """Members with what tells equal calls apart: outside of tasks, their places."""
        if self._identity.builder:
            return [(member, None) for member in members]
        return [(member, str(n)) for n, member in zip(count(first), members, strict=False)]
