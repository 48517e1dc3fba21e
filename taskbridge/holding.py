"""Locks and limits for code that is no task: the same ones, in turn with the messages that wait for them.

A hold is a claim without a message: leased, renewed by a thread of this process, lost when the process dies.
Spans are seconds or timedelta at the API.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from .clock import Clock, Span, milliseconds
from .current import refuse_in_shadow
from .errors import ClaimLost, ConfigError, LockHeld, StoreUnavailable
from .lease import Lessor
from .message import Message, new_id
from .needs import NeedsLock, NeedsTokens
from .policies.lock import Lock
from .policies.rate import RateLimit
from .store import PATIENCE_MS, Begin, Begun, Finish, Store

log = logging.getLogger("taskbridge")

#: How long one wait for a turn takes at most, seconds, by what refused: then it says again that it still waits, and
#: does what a relay does, for there may be none where no worker runs.
ONE_WAIT_S = {"locked": PATIENCE_MS / 6000, "throttled": 0.05, "paused": PATIENCE_MS / 6000, "stale": 0.05}

#: How many keys are looked at meanwhile.
BATCH = 10


class Hold(msgspec.Struct, frozen=True):
    """What is held. ``fencing_token`` grows with every holder: a resource refuses a lower one than it has seen."""

    fencing_token: int


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What holding needs."""

    store: Store
    clock: Clock
    lessor: Lessor


class Limiter:
    """A limit for code: ``with limit(RateLimit("70/s", name="provider")).hold(): ...``."""

    def __init__(self, rate: RateLimit, holding: Holding) -> None:
        if not rate.name:
            raise ConfigError(f"a limit outside a task needs a name, such as RateLimit({rate.rate!r}, name='provider')")
        self._rate = rate
        self._holding = holding

    @contextmanager
    def hold(self, *, timeout: Span | None = None, **values: Any) -> Iterator[None]:
        """Wait for a turn, then run the block. A limit counts starts: the turn is taken when the block begins.

        Args:
            timeout: how long to wait at most. Defaults to no end.
            values: what the limit's key names.

        Raises:
            LockHeld: no turn came in time.
            ConfigError: a value that the key names is missing.
            StoreUnavailable: the store is away.
        """
        missing = [name for name in self._rate.fields() if name not in values]
        if missing:
            raise ConfigError(f"the limit {self._rate.name} needs {missing[0]!r}: hold({missing[0]}=...)")
        with _held(self._holding, timeout, rates=(self._rate.need(values),), what=f"the limit {self._rate.name}"):
            pass
        yield


@contextmanager
def hold_lock(lock: Lock, timeout: Span | None, holding: Holding) -> Iterator[Hold]:
    """Wait for a lock, and hold it inside the block.

    Raises:
        LockHeld: it was not free in time, or at once where ``on_conflict`` is not ``wait``.
        ClaimLost: when the block ends: it was lost meanwhile, for this process could not renew it.
        StoreUnavailable: the store is away.
    """
    if lock.on_conflict != "wait":
        timeout = 0
    need = NeedsLock(lock.key, "wait", lock.at_most)
    with _held(holding, timeout, locks=(need,), what=f"the lock {lock.key}") as begun:
        yield Hold(begun.fence)


@contextmanager
def _held(
    holding: Holding,
    timeout: Span | None,
    *,
    what: str,
    locks: tuple[NeedsLock, ...] = (),
    rates: tuple[NeedsTokens, ...] = (),
) -> Iterator[Begun]:
    refuse_in_shadow(what)
    store, id = holding.store, f"hold-{new_id()}"
    with holding.lessor.claim(id) as claim:
        message = Message(id=id, task="", queue="")
        request = Begin(message=message, body=b"", claim=claim, max_crashes=0, locks=locks, rates=rates, hold=True)
        begun = _in_turn(store, request, timeout, holding.clock, what)
        try:
            yield begun
        except BaseException:
            _end(store, id, claim)
            raise
        if _end(store, id, claim) in ("refused", "unknown"):
            raise ClaimLost(f"{what} was lost while it was held: another may have it, and had it, meanwhile")


def _in_turn(store: Store, request: Begin, timeout: Span | None, clock: Clock, what: str) -> Begun:
    """Ask, wait to be woken, ask again; a place in line that is given up is left.

    It keeps its place when it asks again, and gets a new one where the store has forgotten it: a process that was
    stopped for longer than it is waited for.
    """
    deadline_s = None if timeout is None else clock.monotonic_s() + milliseconds(timeout, "timeout") / 1000
    try:
        while (begun := store.claims.begin(request)).verdict != "run":
            request = _numbered(request, seq=request.message.seq + 1)
            if store.waiting.await_turn(request.message.id, _one_wait_s(begun.verdict, deadline_s, clock)):
                continue
            store.waiting.let_out(BATCH)
            if begun.verdict == "paused":
                store.control.let_on(BATCH)
            if deadline_s is not None and clock.monotonic_s() >= deadline_s:
                raise LockHeld(f"{what} was not to be had within {timeout} s: {_why_not(begun)}")
        clock.sleep(begun.wait_ms / 1000)
        return begun
    except BaseException:
        _leave(store, _numbered(request, expires_at_ms=1))
        raise


def _why_not(begun: Begun) -> str:
    if begun.verdict == "paused":
        return f"the {begun.key} is paused; taskbridge control resume {begun.key}"
    return "another has it"


def _leave(store: Store, request: Begin) -> None:
    """Give a place in line up: a hold that has expired ends."""
    try:
        store.claims.begin(request)
    except StoreUnavailable as error:
        log.warning("a place in line is forgotten within %d s: %s", PATIENCE_MS // 1000, error)


def _numbered(request: Begin, **changes: int) -> Begin:
    return msgspec.structs.replace(request, message=request.message.copy(**changes))


def _one_wait_s(verdict: str, deadline_s: float | None, clock: Clock) -> float:
    longest_s = ONE_WAIT_S[verdict]
    left_s = longest_s if deadline_s is None else deadline_s - clock.monotonic_s()
    return max(0.01, min(longest_s, left_s))


def _end(store: Store, id: str, claim: str) -> str:
    try:
        return store.claims.finish(Finish(id=id, claim=claim, state="DONE", hold=True))
    except StoreUnavailable as error:
        log.warning("what was held lapses by itself within a lease: %s", error)
        return ""
