"""Shadows as an operator sets them, and what comparing has come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ..bridge import Bridge
from ..errors import ConfigError
from ..routes.changes import change, table_now
from ..routes.shadows import refuse_shadow
from ..routing.rules import Rule
from ..routing.table import Table
from ..store.shadows import Disagreement, Tally
from ..versioning import Changed
from .audit import audited, whoami
from .landscape import landscape_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a task's shadow is to be. Where it has one, what is None stays as it is."""

    task: str
    to: str | None = None
    share: float | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """What setting a shadow came to, or would come to: ``version`` is 0 then."""

    version: int
    shadow: Rule
    written: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A shadow with what was counted; ``rule`` is None for one that is removed."""

    rule: Rule | None
    tally: Tally


@audited("shadow set", "{wanted.task}", "wanted", "note", "force")
def set_shadow(
    bridge: Bridge, wanted: Wanted, note: str, *, modules: bool, force: bool, dry_run: bool, who: str = ""
) -> Set:
    """Set the shadow of a task, or see what that would come to.

    Args:
        bridge: whose store and settings.
        wanted: the shadow.
        note: why.
        modules: whether the tasks declared here are known beside those that live workers announce.
        force: take what can be insisted on.
        dry_run: write nothing.

    Raises:
        ConfigError: the shadow is refused, or a newer release wrote the table.
        StoreUnavailable: it may or may not have been written.
    """
    landscape = landscape_of(bridge, modules=modules)
    made: list[Rule] = []

    def with_shadow(table: Table) -> Table:
        before = table.shadow(wanted.task)
        shadow = _shadow(table, wanted, before)
        table = table.with_shadow(shadow)
        refuse_shadow(table, shadow, before, landscape, force=force)
        made[:] = [shadow]
        return table

    if dry_run:
        with_shadow(table_now(bridge.store)[1])
        return Set(version=0, shadow=made[0], written=False)
    done = change(bridge.store, with_shadow, who=who or whoami(), note=note)
    return Set(version=done.version, shadow=made[0], written=done.written)


@audited("shadow remove", "{task}", "note")
def remove_shadow(bridge: Bridge, task: str, note: str, *, who: str = "") -> Changed[Table]:
    """Send no more copies of a task; what was counted stands for a week.

    Raises:
        ConfigError: it has no shadow.
    """
    return change(bridge.store, lambda table: table.without_shadow(task), who=who or whoami(), note=note)


def compared(bridge: Bridge, limit: int) -> tuple[list[Compared], Sequence[Disagreement]]:
    """Return the shadows that stand, then those that are removed, with their counts; and so many disagreements."""
    shadows = table_now(bridge.store)[1].shadows
    tallies, disagreements = bridge.store.shadows.read(limit)
    counted = {tally.rule: tally for tally in tallies}
    standing = [
        Compared(rule=rule, tally=counted.pop(rule.id, Tally(rule=rule.id, task=rule.task))) for rule in shadows
    ]
    return [*standing, *(Compared(rule=None, tally=tally) for tally in counted.values())], disagreements


def _shadow(table: Table, wanted: Wanted, before: Rule | None) -> Rule:
    words = {word: getattr(wanted, word) for word in ("to", "share", "key")}
    said = {word: value for word, value in words.items() if value is not None}
    if before is not None:
        return msgspec.structs.replace(before, **said)
    if "to" not in said:
        raise ConfigError("to: expected the backend that a new shadow sends copies to")
    if "share" not in said:
        raise ConfigError("share: expected how much of the task's messages a new shadow copies, in percent")
    return Rule(id=table.next_shadow_id(), task=wanted.task, **said)
