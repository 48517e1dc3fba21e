"""What a message is part of: which link of which chain, and what is left of that chain."""

from __future__ import annotations

from dataclasses import dataclass

from ..message import Message
from ..store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link of a chain: ``n`` counts from 0, ``left`` how many follow; ``why`` says in words what becomes of them.

    ``left`` is 0 where the chain has ended, or has gone on without it.
    """

    chain: str
    n: int
    left: int
    why: str


def link_of(store: Store, message: Message | None) -> Link | None:
    """Return which link of a chain a message is; None when it is none.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    if message is None or message.flow is None or not message.flow.chain:
        return None
    chain, n = message.flow.chain, message.flow.link
    state = store.chains.look(chain)
    if state is None:
        return Link(chain=chain, n=n, left=0, why=f"link {n + 1} of chain {chain}, which has ended")
    if state.at != n:
        return Link(chain=chain, n=n, left=0, why=f"link {n + 1} of chain {chain}, which has gone on without it")
    follow = f"{state.left} more follow" if state.left != 1 else "one more follows"
    return Link(chain=chain, n=n, left=state.left, why=f"link {n + 1} of chain {chain}; {follow}")
