"""Rate limits as an operator sees and changes them: what tasks declare, what was set at run time, who waits."""

from __future__ import annotations

from dataclasses import dataclass

from ..bridge import Bridge
from ..errors import ConfigError
from ..policies.rate import RateLimit, pace
from ..store import LimitState, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit. ``declared`` is what a task of the bridge says, ``set`` what was set at run time; empty if not."""

    name: str
    declared: str = ""
    set: str = ""
    paused: bool = False
    keys: int = 0
    waiting: int = 0


def limits(bridge: Bridge) -> list[Limit]:
    """Return every limit that the bridge's tasks declare, that was set, or that is waited at, by name."""
    declared = {
        limit.name: _declared(limit)
        for definition in bridge.definitions.values()
        for limit in definition.options.rate_limits
        if isinstance(limit, RateLimit)
    }
    states = {state.name: state for state in bridge.store.waiting.limits()}
    return [
        _limit(name, declared.get(name, ""), states.get(name, LimitState(name=name)))
        for name in sorted({*declared, *states})
    ]


def set_rate(store: Store, name: str, rate: str, burst: int = 0) -> None:
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
        pause(store, name)


def pause(store: Store, name: str) -> None:
    """Let nobody start at a limit; what was set for it stays."""
    found = _state(store, name)
    store.waiting.set_limit(name, interval_us=found.interval_us, burst=found.burst, paused=True)


def resume(store: Store, name: str) -> None:
    """Let it go on as it was before the pause.

    Raises:
        ConfigError: it is not paused.
    """
    found = _state(store, name)
    if not found.paused:
        raise ConfigError(f"the limit {name!r} is not paused")
    store.waiting.set_limit(name, interval_us=found.interval_us, burst=found.burst)


def reset(store: Store, name: str) -> None:
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
    return next((one for one in store.waiting.limits() if one.name == name), LimitState(name=name))


def _limit(name: str, declared: str, state: LimitState) -> Limit:
    shown = f"1 in {state.interval_us / 1000:g} ms, burst {state.burst}" if state.interval_us else ""
    waiting = sum(state.waiting.values())
    return Limit(name=name, declared=declared, set=shown, paused=state.paused, keys=len(state.waiting), waiting=waiting)


def _declared(limit: RateLimit) -> str:
    need = limit.need(dict.fromkeys(limit.fields()))
    per = f" per {limit.key}" if limit.key else ""
    return f"{limit.rate}, burst {need.burst}{per}"
