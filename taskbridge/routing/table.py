"""The route table: rules in order, as a document in the store. Pure.

Read whole or not at all: a release that does not know a word of it would take messages that were not meant.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..document import read
from ..errors import ConfigError, nearest
from .rules import Rule

#: The form of the document; one of another is refused.
FORM = 1

#: Most rules, and most bytes of a table: every producer reads it.
MOST_RULES = 100
MOST_BYTES = 32 * 1024


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules, the first that takes a message wins.

    Args:
        rules: in their order.
        named: how many rules were given a name of its own: none is given twice.
        form: of the document.
        shadows: rules that send copies, each of one task by its whole name; they route nothing. A table without is
            written as releases before shadows read it.

    Raises:
        ConfigError: two rules of one name, too many, or a shadow of anything else than one task.
    """

    rules: tuple[Rule, ...] = ()
    named: int = 0
    form: int = FORM
    shadows: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        every = (*self.rules, *self.shadows)
        if len(every) > MOST_RULES:
            raise ConfigError(f"expected at most {MOST_RULES} rules, got {len(every)}: one may match 'bank.*'")
        if len({rule.id for rule in every}) < len(every):
            raise ConfigError("expected each rule's name once")
        for shadow in self.shadows:
            if not shadow.task or "*" in shadow.task or shadow.queue or shadow.tag:
                raise ConfigError(f"a shadow is of one task, by its whole name; got {shadow.what}")
        if len({shadow.task for shadow in self.shadows}) < len(self.shadows):
            raise ConfigError("expected one shadow of a task")

    def rule(self, id: str) -> Rule:
        """Return a rule by its name.

        Raises:
            ConfigError: none is called so.
        """
        found = self.like(id=id)
        if found is None:
            known = [rule.id for rule in self.rules]
            raise ConfigError(f"no rule is called {id!r}{nearest(id, known) if known else '; there is none'}")
        return found

    def like(self, **words: str) -> Rule | None:
        """Return the first rule with these words, if there is one."""
        alike = (rule for rule in self.rules if all(getattr(rule, word) == value for word, value in words.items()))
        return next(alike, None)

    def next_id(self) -> str:
        """Return a name that no rule has had."""
        return f"r{self.named + 1}"

    def with_rule(self, rule: Rule, before: str = "") -> Table:
        """Return the table with a rule in place of the one of its name; a new one stands last, or before another.

        Raises:
            ConfigError: ``before`` is no rule.
        """
        rules = [rule if one.id == rule.id else one for one in self.rules]
        if before not in ("", rule.id) or rule not in rules:
            rules = [one for one in rules if one.id != rule.id]
            rules.insert(rules.index(self.rule(before)) if before else len(rules), rule)
        return self.with_rules(rules, named=self.named + (rule.id == self.next_id()))

    def without(self, ids: Iterable[str]) -> Table:
        """Return the table without these rules.

        Raises:
            ConfigError: one that there is not.
        """
        gone = [self.rule(id) for id in ids]
        return self.with_rules(rule for rule in self.rules if rule not in gone)

    def with_rules(self, rules: Iterable[Rule], named: int | None = None) -> Table:
        """Return the table with these rules alone, and its shadows."""
        return Table(rules=tuple(rules), named=self.named if named is None else named, shadows=self.shadows)

    def shadow(self, task: str) -> Rule | None:
        """Return the shadow of a task, if it has one."""
        return next((shadow for shadow in self.shadows if shadow.task == task), None)

    def with_shadow(self, shadow: Rule) -> Table:
        """Return the table with this shadow in place of the one that its task has."""
        new = shadow.id == self.next_shadow_id()
        shadows = [shadow if one.task == shadow.task else one for one in self.shadows]
        shadows += [] if self.shadow(shadow.task) else [shadow]
        return msgspec.structs.replace(self, shadows=tuple(shadows), named=self.named + new)

    def without_shadow(self, task: str) -> Table:
        """Return the table without the shadow of a task.

        Raises:
            ConfigError: it has none.
        """
        if self.shadow(task) is None:
            known = [shadow.task for shadow in self.shadows]
            raise ConfigError(f"{task!r} has no shadow{nearest(task, known) if known else '; nothing has one'}")
        return msgspec.structs.replace(self, shadows=tuple(one for one in self.shadows if one.task != task))

    def next_shadow_id(self) -> str:
        """Return a name that no shadow has had."""
        return f"s{self.named + 1}"


EMPTY = Table()

_decoder = msgspec.json.Decoder(Table)


def encode(table: Table) -> bytes:
    """Return a table as the store keeps it.

    Raises:
        ConfigError: it is too large.
    """
    words = msgspec.structs.asdict(table)
    document = msgspec.json.encode({word: value for word, value in words.items() if value or word != "shadows"})
    if len(document) > MOST_BYTES:
        raise ConfigError(f"the route table would be {len(document)} bytes, and {MOST_BYTES} is the most")
    return document


def decode(document: bytes) -> Table:
    """Read what ``encode`` wrote; nothing is the empty table.

    Raises:
        DecodeError: a newer release wrote it in other words, or it is no table.
    """
    return read(document, _decoder, FORM, "the route table", MOST_BYTES) if document else EMPTY
