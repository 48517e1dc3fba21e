"""Plan: one schedule as the store keeps it, in JSON: when it ticks, and which message a tick makes. Pure.

Whoever knows the task writes the plan; the relay, which does not, fires it. An operator's changes go before it.
Instants and spans are milliseconds. New fields come last, with defaults, so that two releases read each other's plans.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from ..errors import ConfigError, DecodeError
from ..message import Message, decode
from ..needs import Same
from ..policies.ticks import Timing
from ..routing import place_of
from ..store.schedules import ScheduleState, Tick

T = TypeVar("T")

#: A tick that is fired later than this was missed. A change of leader is no reason: relay.loop.LEAD_MS is below it.
LATE_MS = 10_000


class Changes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator has set; what is None is as declared."""

    timing: Timing | None = None
    missed: str | None = None
    overlap: str | None = None
    jitter_ms: int | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a schedule ticks, and what of.

    ``message`` is what each tick sends, but for its id and instants. ``origin`` is where it was declared: in ``code``,
    by whoever has the task, or in a ``file``. ``foreign``: no worker of ours has the task. ``ended``: it was declared
    no more, and is kept so that an older release does not bring it back.
    """

    timing: Timing
    message: msgspec.Raw
    missed: str = "last"
    overlap: str = "allow"
    jitter_ms: int = 0
    delay_ms: int = 0
    expires_ms: int = 0
    same: tuple[Same, ...] = ()
    origin: Literal["code", "file"] = "code"
    foreign: bool = False
    ended: bool = False

    @property
    def sent(self) -> Message:
        """What each tick sends."""
        return decode(self.message)

    def message_of(self, name: str, tick_ms: int, now_ms: int) -> Message:
        """Return the message of a tick: the same id whoever makes it; due from the tick on, however late it is made."""
        due_ms = tick_ms + self.delay_ms + self._jitter_of(name, tick_ms)
        return self.made(f"{name}@{tick_ms}", now_ms, due_ms)

    def made(self, id: str, now_ms: int, due_ms: int) -> Message:
        """Return a message with this id, stamped as if it had been enqueued when it was due, at the latest."""
        expires_at_ms = due_ms + self.expires_ms if self.expires_ms else 0
        enqueued_at_ms = min(now_ms, due_ms)  # so that it was first due at its tick, however late that is fired
        return self.sent.copy(id=id, enqueued_at_ms=enqueued_at_ms, due_at_ms=due_ms, expires_at_ms=expires_at_ms)

    def _jitter_of(self, name: str, tick_ms: int) -> int:
        return round(place_of(f"{name}@{tick_ms}") / 100 * self.jitter_ms)


_decoder = msgspec.json.Decoder(Plan)
_changes_decoder = msgspec.json.Decoder(Changes)


def plan_of(state: ScheduleState) -> Plan:
    """Return what was declared.

    Raises:
        DecodeError: a newer release wrote it in other words, or it needs a time zone that this machine does not know.
    """
    return _read(_decoder, state.declared, state.name)


def changes_of(state: ScheduleState) -> Changes:
    """Return what an operator has set.

    Raises:
        DecodeError: as ``plan_of``.
    """
    return _read(_changes_decoder, state.changes, state.name) if state.changes else Changes()


def in_force(state: ScheduleState) -> Plan:
    """Return what holds: what was declared, with what was set before it.

    Raises:
        DecodeError: as ``plan_of``.
    """
    return changed(plan_of(state), changes_of(state))


def changed(plan: Plan, changes: Changes) -> Plan:
    """Return a plan with an operator's changes in it."""
    words = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not None}
    return msgspec.structs.replace(plan, **words)


def next_tick(state: ScheduleState | None, plan: Plan, now_ms: int) -> int | None:
    """Return the next tick of a schedule that comes to have this plan: 0 for none, None to keep the one it has.

    Where the times stay the same nothing changes, and a schedule that had stopped goes on behind its last tick: what
    came meanwhile was missed. Other times count from now.
    """
    if plan.ended:
        return 0
    if state is None:
        return plan.timing.after(now_ms) or 0
    if _timing(state) != plan.timing:
        return plan.timing.after(max(now_ms, state.last_ms)) or 0
    return None if state.tick_ms else plan.timing.after(state.last_ms or now_ms) or 0


def tick_of(state: ScheduleState, plan: Plan) -> Tick:
    """Return what becomes of a schedule whose tick is due, by its policy for missed ticks."""
    tick_ms, now_ms, message, missed = state.tick_ms, state.now_ms, None, 0
    late = now_ms - tick_ms > LATE_MS
    if late and plan.missed != "all":
        missed = plan.timing.count(tick_ms, now_ms)
        tick_ms = plan.timing.last(tick_ms, now_ms)
    if late and plan.missed == "skip":
        missed += 1
    else:
        message = plan.message_of(state.name, tick_ms, now_ms)
    return Tick(
        name=state.name,
        version=state.version,
        tick_ms=tick_ms,
        next_ms=plan.timing.after(tick_ms) or 0,
        message=message,
        missed=missed,
        wait_ms=max(0, message.due_at_ms - now_ms) if message else 0,
        overlap=plan.overlap,
        same=plan.same,
        foreign=plan.foreign,
    )


def _timing(state: ScheduleState) -> Timing | None:
    try:
        return in_force(state).timing
    except DecodeError:  # of another release: it counts as other times
        return None


def _read(decoder: msgspec.json.Decoder[T], text: bytes, name: str) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, ConfigError) as error:
        raise DecodeError(f"the schedule {name!r} cannot be read here: {error}") from error
