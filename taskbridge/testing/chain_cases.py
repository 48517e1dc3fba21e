"""The cases of ``BackendSuite`` about chains: results go on, failures stop them or do not, and nothing is lost."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from ..flow.chain import chain
from .suite_links import Sum

if TYPE_CHECKING:
    from .backend_suite import Arena


class ChainCases:
    """Inherited by ``BackendSuite``."""

    def test_a_chain_passes_results_on(self, arena: Arena) -> None:
        """As each is annotated, through a link that waits and one that is retried; the last one's goes nowhere."""
        tasks = arena.tasks
        late = tasks["doubles"].s().using(delay=0.2, priority=9)
        links = chain(tasks["earns"].s(Decimal("1.10")), late, tasks["doubles"].s(), tasks["banks"].s("end"))
        sent = (links | tasks["failing"].si(1) | tasks["banks"].si(None, "last")).enqueue()

        ends = [arena.ended(f"{sent.chain}:{n}") for n in range(6)]
        arena.until(lambda: arena.bridge.store.chains.look(sent.chain) is None, "the chain to have ended")

        lines = [line for n in range(6) for line in arena.lines(f"{sent.chain}:{n}")]
        assert ["earns", "doubles", "doubles", "banks", "failing", "failing", "banks"] == [one["what"] for one in lines]
        assert [repr(Sum(Decimal(text), "EUR")) for text in ("1.10", "2.20", "4.40")] == [
            line["value"] for line in lines[1:4]
        ]
        assert [(sent.chain, 3, "end"), (sent.chain, 5, "last")] == [
            (line["chain"], line["link"], line["text"]) for line in (lines[3], lines[6])
        ]
        assert 200 <= lines[1]["at_ms"] - lines[0]["at_ms"]
        assert [""] * 6 == [record.why for record in ends]

    def test_a_chain_that_failed_goes_on_when_its_link_is_replayed(self, arena: Arena, tmp_path: Path) -> None:
        """With what the links before it returned; they do not run again."""
        tasks, file = arena.tasks, tmp_path / "there"
        links = chain(tasks["earns"].s(Decimal(3)), tasks["gated"].s(str(file)), tasks["banks"].s())
        sent = links.enqueue()
        failed = f"{sent.chain}:1"
        record = arena.ended(failed, "DEAD")
        state = arena.bridge.store.chains.look(sent.chain)
        file.touch()
        replayed = arena.bridge.store.dead.replay(failed)
        arena.ended(f"{sent.chain}:2")

        assert (True, "failed 1 times: ValueError: no such file") == (replayed, record.why)
        assert state
        assert (1, 1) == (state.at, state.left)
        assert [1, 2, 1] == [len(arena.lines(f"{sent.chain}:{n}")) for n in range(3)]
        assert repr(Sum(Decimal(3), "EUR")) == arena.lines(f"{sent.chain}:2")[0]["value"]

    def test_a_chain_may_go_on_without_a_link_that_failed(self, arena: Arena, tmp_path: Path) -> None:
        """The next one is given None."""
        tasks, file = arena.tasks, str(tmp_path / "never")
        links = chain(tasks["earns"].s(Decimal(3)), tasks["gated"].s(file), tasks["banks"].s(), on_error="continue")
        sent = links.enqueue()

        arena.ended(f"{sent.chain}:2")

        assert "DEAD" == arena.state(f"{sent.chain}:1")
        assert "None" == arena.lines(f"{sent.chain}:2")[0]["value"]

    def test_a_chain_that_failed_may_call(self, arena: Arena, tmp_path: Path) -> None:
        """A task is given the id of the link that failed, and the rest is dropped."""
        tasks, file = arena.tasks, str(tmp_path / "never")
        call = tasks["told"].s("call")
        sent = chain(tasks["earns"].s(Decimal(3)), tasks["gated"].s(file), tasks["banks"].s(), on_error=call).enqueue()

        failed = f"{sent.chain}:1"
        arena.until(lambda: [one for one in arena.lines(what="told") if one["of"] == failed], "the call")

        assert ("DEAD", "absent") == (arena.state(failed), arena.state(f"{sent.chain}:2"))
        assert None is arena.bridge.store.chains.look(sent.chain)

    def test_a_result_that_is_too_large_fails_its_link(self, arena: Arena) -> None:
        """At once, with the advice to save it."""
        tasks = arena.tasks
        sent = chain(tasks["earns"].s(Decimal(3)), tasks["overflows"].s(), tasks["told"].s("never")).enqueue()

        record = arena.ended(f"{sent.chain}:1", "DEAD")

        assert "70002 bytes of JSON and max_payload is 65536: save the data and return its id" in record.why
        assert 1 == len(arena.lines(f"{sent.chain}:1"))
