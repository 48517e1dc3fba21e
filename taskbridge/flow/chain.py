"""Chain: calls one after another, each given what the one before returned.

The links lie in the store, not in the message, so a long chain costs a message of the size of a short one's. All are
there before the first is sent: a producer that dies on the way leaves nothing that runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..enqueue import BULK, Receipt, Sender, tell
from ..message import Flow, new_id
from ..scope import scope
from ..store.flow import Follower
from .signature import Signature

#: What a failure leads to, beside a call.
STOP, CONTINUE = "stop", "continue"


class ChainReceipt(Receipt, frozen=True):
    """What ``Chain.enqueue`` returns: the id of its first message, whether this call made it, and the chain's id."""

    chain: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """Calls one after another. Made by ``chain`` and by ``|``, not by hand.

    Args:
        links: the calls.
        on_error: what a link that fails leads to.
    """

    links: tuple[Signature[Any], ...]
    on_error: str | Signature[Any] = STOP

    def enqueue(self) -> ChainReceipt:
        """Send it on its way.

        In a chunk, and in a batch that a task fills, the same chain is the same, however often it is enqueued; what
        counts its first message there counts the chain.

        Raises:
            ArgumentError: the first link is not complete by itself.
            PayloadTooLarge: one of its messages is over ``max_payload``.
            StoreUnavailable, StoreFull: it may or may not have been sent.
        """
        first, sender = self.links[0], self.links[0].sender()
        with sender.trace.sending(first.definition.name, first.options.queue):
            return self._enqueue(sender)

    def _enqueue(self, sender: Sender) -> ChainReceipt:
        id, unsent = self._id(), scope().unsent
        first = self._link(id, 0, sender)
        if unsent is not None:
            unsent.count += 1
            return ChainReceipt(first.message.id, True, id)
        chains, outbox = sender.store().chains, sender.store().outbox
        for start in range(1, max(2, len(self.links)), BULK):
            links = [self._link(id, n, sender) for n in range(start, min(start + BULK, len(self.links)))]
            chains.keep(id, links, first=start, on_error=self._said, call=self._call(id, sender))
        (created,) = outbox.put([first.message], first.wait_ms, scope().within)
        tell([first.message], [created], sender)
        return ChainReceipt(first.message.id, created, id)

    def __or__(self, after: Signature[Any] | Chain) -> Chain:
        """Return the chain that goes on with ``after``; what is checked already is not checked again."""
        from .links import check, flattened

        links = (*self.links, *flattened([after], self.on_error))
        check(links, self.on_error, first=len(self.links))
        return Chain(links, self.on_error)

    @property
    def _said(self) -> str:
        return "call" if isinstance(self.on_error, Signature) else self.on_error

    def _id(self) -> str:
        """The same chain has the same id where calls have: by a hash of them all, in constant memory."""
        where = scope()
        if not where.seed:
            return new_id()
        import hashlib

        whole = hashlib.sha256()
        called = (self.on_error,) if isinstance(self.on_error, Signature) else ()
        for n, call in enumerate((*self.links, *called)):
            sent = call.encoded(filled=n > 0 and call.takes_result)
            same = call.definition.arguments.canonical(*sent)
            whole.update(b"\0".join((b"", call.definition.name.encode(), same)))
        return where.id_of(f"chain {self._said}", whole.digest())

    def _link(self, id: str, n: int, sender: Sender) -> Follower:
        link, after = self.links[n], self.links[n + 1 : n + 2]
        flow = Flow(chain=id, link=n, gives=any(one.takes_result for one in after))
        external = link.definition.external
        return link.follower(f"{id}:{n}", sender, filled=n > 0 and link.takes_result, flow=None if external else flow)

    def _call(self, id: str, sender: Sender) -> Follower | None:
        call = self.on_error
        return call.follower(f"{id}:failed", sender, filled=call.takes_result) if isinstance(call, Signature) else None


def chain(
    *calls: Signature[Any] | Chain | Iterable[Signature[Any] | Chain], on_error: str | Signature[Any] = STOP
) -> Chain:
    """Make one chain of calls: ``chain(extract.s(7), transform.s(), load.s()).enqueue()``, or with ``|``.

    The result of one is the first positional argument of the next, before those of its ``.s(...)``; ``.si(...)`` takes
    none. It travels as JSON: encoded as the one is annotated to return, decoded as the other's parameter is.

    A chain whose first link needs a result is the rest of another: ``extract.s(7) | (transform.s() | load.s())``.

    Args:
        calls: signatures, chains of them, or one iterable of both.
        on_error: what it leads to that a link has failed for the last time. ``stop``: it is among the dead letters with
            the rest, and takes it along when it is replayed. ``continue``: the next link is given None. A signature: it
            is given the id of the message that failed, and the rest is dropped. Defaults to ``stop``.

    Raises:
        ArgumentError: a link that cannot be called so, or cannot take what the one before returns.
        ConfigError: what is no signature, or an option that a link cannot have.
    """
    from .links import check, flattened

    given: Any = calls
    if len(calls) == 1 and isinstance(calls[0], Iterable):
        given = calls[0]
    links = flattened(given, on_error)
    check(links, on_error)
    return Chain(links, on_error)
