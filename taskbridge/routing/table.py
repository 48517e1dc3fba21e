"""The route table: rules in order, as a document in the store. Pure.

Read whole or not at all: a release that does not know a word of it would take messages that were not meant.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..errors import ConfigError, DecodeError, nearest
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

    Raises:
        ConfigError: two rules of one name, or too many.
    """

    rules: tuple[Rule, ...] = ()
    named: int = 0
    form: int = FORM

    def __post_init__(self) -> None:
        if len(self.rules) > MOST_RULES:
            raise ConfigError(f"expected at most {MOST_RULES} rules, got {len(self.rules)}: one may match 'bank.*'")
        if len({rule.id for rule in self.rules}) < len(self.rules):
            raise ConfigError("expected each rule's name once")

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
        """Return the table with these rules alone."""
        return Table(rules=tuple(rules), named=self.named if named is None else named)


EMPTY = Table()

_decoder = msgspec.json.Decoder(Table)


def encode(table: Table) -> bytes:
    """Return a table as the store keeps it.

    Raises:
        ConfigError: it is too large.
    """
    document = msgspec.json.encode(table)
    if len(document) > MOST_BYTES:
        raise ConfigError(f"the route table would be {len(document)} bytes, and {MOST_BYTES} is the most")
    return document


def decode(document: bytes) -> Table:
    """Read what ``encode`` wrote; nothing is the empty table.

    Raises:
        DecodeError: a newer release wrote it in other words, or it is no table.
    """
    if not document:
        return EMPTY
    try:
        if len(document) > MOST_BYTES:
            raise ConfigError(f"{len(document)} bytes, and {MOST_BYTES} is the most")
        table = _decoder.decode(document)
        if table.form != FORM:
            raise ConfigError(f"its form is {table.form}, and this release knows {FORM}")
    except (msgspec.MsgspecError, UnicodeDecodeError, ConfigError) as error:
        raise DecodeError(f"the route table cannot be read by this release: {error}") from error
    return table
