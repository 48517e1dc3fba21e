"""Rate limits as an operator sees and changes them: what tasks declare, what was set at run time, who waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..announcement import announced
from ..bridge import Bridge
from ..errors import ConfigError, nearest
from ..policies.rate import RateLimit, pace, spoken
from ..store import LimitState, Store
from .audit import audited

#: How many keys that are waited at are counted where there may be very many.
LOOKED_AT = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit. ``declared`` is what a task of the bridge says, ``set`` what was set at run time; empty if not."""

    name: str
    declared: str = ""
    set: str = ""
    paused: bool = False
    keys: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The limits by name; ``looked_at`` is how many of all keys that are waited at were counted, at most."""

    limits: list[Limit]
    looked_at: int = LOOKED_AT


def summary(bridge: Bridge) -> Summary:
    """Return the limits as ``limits`` does, and those that live workers announce, in a few trips whatever waits."""
    announced_us = {name: one for worker in announced(bridge.store) for name, one in worker.limits.items()}
    told = {name: _paced(interval_us, burst) for name, (interval_us, burst) in sorted(announced_us.items())}
    return Summary(limits=_all(bridge, told, bridge.store.waiting.limits(LOOKED_AT)))


def limits(bridge: Bridge) -> list[Limit]:
    """Return every limit that the bridge's tasks declare, that was set, or that is waited at, by name."""
    return _all(bridge, {}, bridge.store.waiting.limits())


def _all(bridge: Bridge, announced_as: Mapping[str, str], found: Iterable[LimitState]) -> list[Limit]:
    declared = dict(announced_as) | {
        limit.name: _declared(limit)
        for definition in bridge.definitions.values()
        for limit in definition.options.rate_limits
        if isinstance(limit, RateLimit)
    }
    states = {state.name: state for state in found}
    return [
        _limit(name, declared.get(name, ""), states.get(name, LimitState(name=name)))
        for name in sorted({*declared, *states})
    ]


def unheard_of(bridge: Bridge, name: str) -> str:
    """Return that a limit is nobody's, as far as one can tell: code may have it, or a worker that is still to come."""
    known = {one.name for one in summary(bridge).limits}
    if name in known:
        return ""
    return f"no limit is called {name!r}, as far as live workers, the store and the tasks here tell" + (
        nearest(name, known) if known else ""
    )


@audited("limits set", "{name}", "rate", "burst")
def set_rate(store: Store, name: str, rate: str, burst: int = 0, *, who: str = "") -> None:
    """Give a limit another rate, for everyone, from now on; one of zero pauses it, and a paused one stays so.

    Raises:
        ConfigError: it is no rate, or no limit can be called so.
    """
    RateLimit("1/s", name=name)  # refuses a name that no limit has
    interval_us, usual = pace(rate)
    if interval_us:
        paused = _state(store, name).paused
        store.waiting.set_limit(name, interval_us=interval_us, burst=burst or usual, paused=paused)
    else:
        _pause(store, name)


@audited("limits pause", "{name}")
def pause(store: Store, name: str, *, who: str = "") -> None:
    """Let nobody start at a limit; what was set for it stays."""
    _pause(store, name)


def _pause(store: Store, name: str) -> None:
    found = _state(store, name)
    store.waiting.set_limit(name, interval_us=found.interval_us, burst=found.burst, paused=True)


@audited("limits resume", "{name}")
def resume(store: Store, name: str, *, who: str = "") -> None:
    """Let it go on as it was before the pause.

    Raises:
        ConfigError: it is not paused.
    """
    found = _state(store, name)
    if not found.paused:
        raise ConfigError(f"the limit {name!r} is not paused")
    store.waiting.set_limit(name, interval_us=found.interval_us, burst=found.burst)


@audited("limits reset", "{name}")
def reset(store: Store, name: str, *, who: str = "") -> None:
    """Give the limit back to what its task says.

    Raises:
        ConfigError: nothing was set for it.
    """
    found = _state(store, name)
    if not (found.paused or found.interval_us):
        raise ConfigError(f"nothing was set for a limit called {name!r}: its task's own word holds")
    store.waiting.set_limit(name)


def _state(store: Store, name: str) -> LimitState:
    RateLimit("1/s", name=name)
    return next((one for one in store.waiting.limits(0) if one.name == name), LimitState(name=name))


def _limit(name: str, declared: str, state: LimitState) -> Limit:
    shown = _paced(state.interval_us, state.burst) if state.interval_us else ""
    waiting = sum(state.waiting.values())
    return Limit(name=name, declared=declared, set=shown, paused=state.paused, keys=len(state.waiting), waiting=waiting)


def _paced(interval_us: int, burst: int) -> str:
    return f"{spoken(interval_us)}, burst {burst}"


def _declared(limit: RateLimit) -> str:
    need = limit.need(dict.fromkeys(limit.fields()))
    per = f" per {limit.key}" if limit.key else ""
    return f"{limit.rate}, burst {need.burst}{per}"
