"""The route table as an operator sees and changes it: the rules, who changed them, and what would be wrong."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from ..bridge import Bridge
from ..errors import ConfigError, TaskbridgeError
from ..routes.changes import change, like, table_now, table_of, version_of
from ..routes.checks import left_nothing, refuse
from ..routes.shadows import refuse_shadow
from ..routing.rules import Rule
from ..routing.table import EMPTY, Table
from ..store.versions import KEPT
from ..versioning import Changed
from .audit import audited, whoami
from .landscape import landscape_of

log = logging.getLogger("taskbridge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a rule is to be. Where it is there already, what is None stays as it is.

    ``rule`` names it; without, it is the one of this task, queue, tag and backend, or a new one.
    """

    rule: str = ""
    task: str | None = None
    queue: str | None = None
    tag: str | None = None
    to: str | None = None
    share: float | None = None
    key: str | None = None
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The table in force, and what holds where no rule takes a message."""

    version: int
    at_ms: int
    who: str
    note: str
    rules: tuple[Rule, ...]
    shadows: tuple[Rule, ...]
    default: str
    shares: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version in the history; ``changes`` tells what it made of the one before, as far as that is kept."""

    version: int
    at_ms: int
    who: str
    note: str
    changes: list[str]
    rules: tuple[Rule, ...] | None
    """None where a newer release wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """What setting a rule came to, or would come to: ``version`` is 0 then.

    ``tasks`` are the announced tasks that it matches, of so many that are ``known``; ``remarks`` what there is to know.
    """

    version: int
    rule: Rule
    written: bool
    tasks: list[str]
    known: int
    remarks: list[str] = field(default_factory=list)


def listed(bridge: Bridge) -> Listing:
    """Return the table in force.

    Raises:
        ConfigError: a newer release wrote it.
    """
    found, table = table_now(bridge.store)
    settings = bridge.settings
    return Listing(
        version=found.version,
        at_ms=found.at_ms,
        who=found.who,
        note=found.note,
        rules=table.rules,
        shadows=table.shadows,
        default=settings.backend,
        shares={task: dict(share.to) for task, share in settings.shares.items()},
    )


@audited("routes set", "routes", "wanted", "note", "force")
def set_rule(
    bridge: Bridge, wanted: Wanted, note: str, *, modules: bool, force: bool, dry_run: bool, who: str = ""
) -> Set:
    """Set a rule, or see what that would come to.

    Args:
        bridge: whose store and settings.
        wanted: the rule.
        note: why.
        modules: whether the tasks declared here are known beside those that live workers announce.
        force: take what can be insisted on.
        dry_run: write nothing.

    Raises:
        ConfigError: the rule is refused, or a newer release wrote the table.
        NotSupported: its backend cannot keep what a task asks for.
        StoreUnavailable: it may or may not have been written.
    """
    landscape = landscape_of(bridge, modules=modules)
    made: list[Rule] = []

    def with_rule(table: Table) -> Table:
        rule, before = _rule(table, wanted)
        table = table.with_rule(rule, wanted.before)
        refuse(table, rule, before, landscape, force=force)
        made[:] = [rule]
        return table

    if dry_run:
        _, before = table_now(bridge.store)
        done = Changed(version=0, before=before, now=with_rule(before), written=False)
    else:
        done = change(bridge.store, with_rule, who=who or whoami(), note=note)
    (rule,) = made
    shadowed = left_nothing(done.now, rule) if rule in done.now.rules else []
    return Set(
        version=done.version,
        rule=rule,
        written=done.written,
        tasks=sorted(landscape.matched(rule)),
        known=len(landscape.tasks()),
        remarks=[f"nothing is left to {other} ({other.id}), which stands behind it" for other in shadowed],
    )


@audited("routes remove", "routes", "ids", "note")
def remove(bridge: Bridge, ids: Sequence[str], note: str, *, who: str = "") -> Changed[Table]:
    """Take rules out; what they took goes on to those behind them, or where the settings say.

    Raises:
        ConfigError: one that there is not.
    """
    return change(bridge.store, lambda table: table.without(list(ids)), who=who or whoami(), note=note)


@audited("routes revert", "routes", "version", "note", "force")
def revert(bridge: Bridge, version: int, note: str, *, modules: bool, force: bool, who: str = "") -> Changed[Table]:
    """Write the rules of an older version as a new one; what would take more than now is checked as ``set_rule`` does.

    Raises:
        ConfigError: that version is not kept, or one of its rules is refused.
    """
    older, landscape = version_of(bridge.store, version), landscape_of(bridge, modules=modules)

    def reverted(before: Table) -> Table:
        table = like(before, older)
        for rule in table.rules:
            refuse(table, rule, before.like(id=rule.id), landscape, force=force)
        for shadow in table.shadows:
            refuse_shadow(table, shadow, before.shadow(shadow.task), landscape, force=force)
        return table

    note = note or f"back to version {version}"
    return change(bridge.store, reverted, who=who or whoami(), note=note)


def history(bridge: Bridge, limit: int) -> list[Version]:
    """Return the newest versions, the newest first."""
    found = bridge.store.routes.history(min(limit + 1, KEPT))
    tables: list[Table | None] = []
    for one in found:
        try:
            tables.append(table_of(one))
        except ConfigError:
            tables.append(None)
    first = found and found[-1].version == 1
    older = [*tables[1:], EMPTY if first else None]
    return [
        Version(
            version=one.version,
            at_ms=one.at_ms,
            who=one.who,
            note=one.note,
            changes=_changes(before, table),
            rules=table.rules if table else None,
        )
        for one, table, before in zip(found, tables, older, strict=False)
    ][:limit]


def backends_in_use(bridge: Bridge) -> list[str]:
    """Return the backends of the settings, and those that rules lead to, as far as the table can be read here."""
    names = dict.fromkeys(bridge.settings.backend_names)
    try:
        table = table_now(bridge.store)[1]
        names |= dict.fromkeys(rule.to for rule in (*table.rules, *table.shadows))
    except TaskbridgeError as error:
        log.debug("where the routes lead is not known: %s", error)
    return [name for name in names if _is_known(bridge, name)]


def _is_known(bridge: Bridge, name: str) -> bool:
    try:
        bridge.settings.backend_settings(name)
    except ConfigError:
        return False
    return True


def _rule(table: Table, wanted: Wanted) -> tuple[Rule, Rule | None]:
    """The rule as it is to be, and as it is."""
    words = {word: getattr(wanted, word) for word in ("task", "queue", "tag", "to", "share", "key")}
    said = {word: value for word, value in words.items() if value is not None}
    if wanted.rule:
        before = table.like(id=wanted.rule)
    else:
        before = table.like(**{word: said.get(word, "") for word in ("task", "queue", "tag", "to")})
    if before is not None:
        return msgspec.structs.replace(before, **said), before
    if re.fullmatch(r"r\d+", wanted.rule):  # such names are given, none twice: this one is gone, or a slip
        table.rule(wanted.rule)
    if "to" not in said:
        raise ConfigError("to: expected the backend that a new rule leads to")
    return Rule(**{"id": wanted.rule or table.next_id()} | said), None


def _changes(before: Table | None, table: Table | None) -> list[str]:
    if table is None:
        return ["written by a newer release"]
    if before is None:
        return [f"{rule.id}: {rule}" for rule in table.rules] + [_named(shadow) for shadow in table.shadows]
    told = _changed(before.rules, table.rules, lambda rule: f"{rule.id}: {rule}")
    told += _changed(before.shadows, table.shadows, _named)
    kept = [rule.id for rule in before.rules if table.like(id=rule.id)]
    if kept != [rule.id for rule in table.rules if before.like(id=rule.id)]:
        told.append("the order: " + ", ".join(rule.id for rule in table.rules))
    return told


def _changed(before: Sequence[Rule], after: Sequence[Rule], named: Callable[[Rule], str]) -> list[str]:
    """What became of rules: new, changed, gone."""
    old, new = ({rule.id: rule for rule in rules} for rules in (before, after))
    told = []
    for id, rule in new.items():
        was = old.get(id)
        if was is None:
            told.append(f"+ {named(rule)}")
        elif was == msgspec.structs.replace(rule, share=was.share):
            told += [f"{id}: {was.share:g} % -> {rule.share:g} %"] if was != rule else []
        else:
            told.append(f"{named(was)} -> {rule}")
    return told + [f"- {named(rule)}" for id, rule in old.items() if id not in new]


def _named(shadow: Rule) -> str:
    return f"{shadow.id}: shadow of {shadow}"
