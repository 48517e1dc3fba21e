"""The route table as a document: what it keeps, and what no release takes for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from taskbridge.errors import ConfigError, DecodeError
from taskbridge.routing.rules import Rule
from taskbridge.routing.table import EMPTY, MOST_BYTES, MOST_RULES, Table, decode, encode

RULE = Rule(id="r1", to="dramatiq", task="bank.*", share=5, key="{user_id}")
OTHER = Rule(id="r2", to="celery", queue="mail")
TABLE = Table(rules=(RULE, OTHER), named=2)

#: Golden: what producers of other releases read.
WRITTEN = (
    b'{"rules":[{"id":"r1","to":"dramatiq","task":"bank.*","share":5.0,"key":"{user_id}"},'
    b'{"id":"r2","to":"celery","queue":"mail"}],"named":2,"form":1}'
)


def test_table_is_written_as_it_was():
    """Its form is fixed, and read back equal; nothing is the empty table."""
    assert WRITTEN == encode(
        Table(rules=(Rule(id="r1", to="dramatiq", task="bank.*", share=5.0, key="{user_id}"), OTHER), named=2)
    )
    assert TABLE == decode(WRITTEN)
    assert EMPTY == decode(b"") == decode(encode(EMPTY))


@pytest.mark.parametrize(
    "document",
    [
        b"null",
        b"[]",
        b"\xff",
        b'{"form":2}',
        b'{"word":1}',
        b'{"rules":[{"id":"r1","to":"dramatiq","task":"a","tenant":"x"}]}',
        b'{"rules":[{"id":"r1","to":"dramatiq"}]}',
        b'{"rules":[{"id":"r1","to":"dramatiq","task":"a","share":101}]}',
        b'{"rules":[{"id":"r1","to":"a","task":"a"},{"id":"r1","to":"a","task":"b"}]}',
        b" " * (MOST_BYTES + 1),
    ],
)
def test_what_is_no_table_is_refused_whole(document: bytes):
    """A word that a newer release has added, too: without it the rule would take what is not meant."""
    with pytest.raises(DecodeError, match="the route table cannot be read by this release: "):
        decode(document)


def test_table_is_bounded():
    """So many rules, so many bytes."""
    with pytest.raises(ConfigError, match=f"expected at most {MOST_RULES} rules, got {MOST_RULES + 1}"):
        Table(rules=tuple(Rule(id=f"r{n}", to="a", task=f"t{n}") for n in range(MOST_RULES + 1)))
    with pytest.raises(ConfigError, match=f"and {MOST_BYTES} is the most"):
        encode(
            Table(rules=tuple(Rule(id=f"{n}", to="a", task="x" * 196, key="{" + "x" * 190 + "}") for n in range(100)))
        )


def test_new_rule_stands_last_or_before_another():
    """One that is there is changed where it stands, or moved."""
    third = Rule(id="r3", to="celery", task="x")
    changed = Rule(id="r1", to="celery", task="bank.*")

    assert ["r1", "r2", "r3"] == ids(TABLE.with_rule(third))
    assert ["r1", "r3", "r2"] == ids(TABLE.with_rule(third, before="r2"))
    assert (changed, OTHER) == TABLE.with_rule(changed).rules
    assert (changed, OTHER) == TABLE.with_rule(changed, before="r1").rules
    assert ["r2", "r1"] == ids(TABLE.with_rule(OTHER, before="r1"))
    assert ["r2", "r1"] == ids(TABLE.with_rule(RULE).without(["r1"]).with_rule(RULE))


def test_no_name_is_given_twice():
    """Also when the rule that had it is gone: what is written in a history stays true."""
    table = EMPTY.with_rule(named(EMPTY)).with_rule(Rule(id="mine", to="a", task="x"))

    table = table.with_rule(named(table)).without(["r2"])

    assert "r3" == table.next_id()


def test_unknown_rule_is_refused():
    """With the nearest that is known."""
    with pytest.raises(ConfigError, match="no rule is called 'r11'; did you mean 'r1'"):
        TABLE.without(["r11"])
    with pytest.raises(ConfigError, match="no rule is called 'r1'; there is none"):
        EMPTY.rule("r1")
    with pytest.raises(ConfigError, match="no rule is called 'x'"):
        TABLE.with_rule(OTHER, before="x")


def test_rule_is_found_by_its_words():
    """The first that has all of them."""
    assert OTHER == TABLE.like(queue="mail", to="celery")
    assert None is TABLE.like(queue="mail", to="dramatiq")


def ids(table: Table) -> list[str]:
    return [rule.id for rule in table.rules]


def named(table: Table) -> Any:
    return Rule(id=table.next_id(), to="dramatiq", task=f"task-{json.dumps(table.named)}")
