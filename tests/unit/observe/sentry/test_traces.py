"""Traces: whoever runs a message goes on with the trace of who has sent it, whatever way it took."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import hypothesis.strategies as st
import msgspec
import pytest
import sentry_sdk
from sentry_sdk.scope import Scope

from taskbridge import Backoff, Bridge, Settings, chain, chunked, every, ids
from taskbridge.observe.sentry.traces import follow
from taskbridge.schedules.declared import plans_of
from taskbridge.testing import a_message
from taskbridge.testing.worker import Worker

from ...conftest import BridgeClock
from .conftest import DSN, Init, Kept

SIZE = "messaging.message.body.size"

TRACE = "0af7651916cd43dd8448eb211c80319c"


def trace_here() -> str:
    """The trace that goes on here."""
    return (sentry_sdk.get_traceparent() or "").partition("-")[0]


@pytest.fixture
def ran(bridge: Bridge) -> list[str]:
    """The traces that runs of the task ``note`` saw, in order; it fails once when told to."""
    seen: list[str] = []

    @bridge.task(name="note", retry=Backoff(max_retries=1, base=0, cap=0))
    def note(n: int = 0, fails: bool = False) -> int:
        seen.append(trace_here())
        if fails and len(seen) == 1:
            raise ValueError("once")
        return n

    bridge.task(name="nothing")(lambda: None)
    return seen


def sent(bridge: Bridge, name: str) -> Any:
    """A handle on a task by its name."""
    return bridge.external(name, queue="default")


def enqueued(bridge: Bridge) -> None:
    sent(bridge, "note").enqueue(1)


def enqueued_in_bulk(bridge: Bridge) -> None:
    sent(bridge, "note").enqueue_many([(1,), (2,)])


def delayed(bridge: Bridge) -> None:
    sent(bridge, "note").using(delay=3600).enqueue(1)


def retried(bridge: Bridge) -> None:
    sent(bridge, "note").enqueue(1, fails=True)


WAYS: list[tuple[Callable[[Bridge], None], int]] = [
    (enqueued, 1),
    (enqueued_in_bulk, 2),
    (delayed, 1),
    (retried, 2),
]


@pytest.mark.parametrize("rate", [None, 0.0, 1.0], ids=["traces off", "sampled out", "traces on"])
@pytest.mark.parametrize(("way", "runs"), WAYS, ids=[way.__name__ for way, _ in WAYS])
def test_a_run_goes_on_with_the_trace_of_who_has_sent_it(
    way: Callable[[Bridge], None], runs: int, rate: float | None, bridge: Bridge, ran: list[str], init: Init
):
    """At once, later and again, with transactions and without: the same trace, in which the sender is not any more."""
    init(traces_sample_rate=rate)
    with sentry_sdk.start_transaction(name="the web"):
        way(bridge)
        theirs = trace_here()
    Scope.get_isolation_scope().set_new_propagation_context()

    worker = Worker(bridge)
    worker.run_pending()
    bridge.clock.advance(3600)  # type: ignore[attr-defined]
    worker.run_pending()

    assert [theirs] * runs == ran
    assert theirs != trace_here()


def test_every_part_of_a_flow_is_in_the_trace_of_who_has_begun_it(init: Init, clock: BridgeClock):
    """Each link of a chain, each member of a batch and its callback, each chunk of a run and what it enqueues."""
    init()
    bridge = Bridge(Settings(backend="memory", observers=("sentry",)))
    bridge.clock = clock
    ran: list[tuple[str, str]] = []

    @bridge.task(name="link")
    def link(n: int, more: int = 0) -> int:
        ran.append(("link", trace_here()))
        return n

    @bridge.task(name="member")
    def member(n: int) -> None:
        ran.append(("member", trace_here()))

    @bridge.task(name="then")
    def then() -> None:
        ran.append(("then", trace_here()))

    @bridge.task(name="run")
    @chunked(over=ids(0, 4), size=2)
    def run(chunk: Any) -> None:
        ran.append(("chunk", trace_here()))
        member.enqueue_many([(n,) for n in chunk])

    chain(link.s(1), link.s(), link.s()).enqueue()
    bridge.batch([member.s(1), member.s(2)]).then(then.s()).enqueue()
    run.enqueue()
    theirs = trace_here()
    Scope.get_isolation_scope().set_new_propagation_context()

    Worker(bridge).run_pending()

    assert {theirs} == {trace for _, trace in ran}
    assert ["chunk"] * 2 + ["link"] * 3 + ["member"] * 6 + ["then"] == sorted(what for what, _ in ran)


def test_what_nobody_has_traced_begins_a_trace_of_its_own(bridge: Bridge, ran: list[str], sentry: Kept):
    """Two messages of a producer without Sentry are two traces, and neither is the worker's."""
    bridge.backend("memory").publish([a_message(task="note", queue="default") for _ in range(2)])

    Worker(bridge).run_pending()

    assert 3 == len({*ran, trace_here()})


def test_ticks_are_in_no_trace_of_who_declares_them(init: Init, clock: BridgeClock):
    """A plan is the same whoever writes it, so a tick's trace begins with its run."""
    init()
    bridge = Bridge(Settings(backend="memory", observers=("sentry",)))
    bridge.clock = clock
    bridge.task(name="tick", schedule=every(minutes=5))(lambda: None)

    (plan,) = plans_of(bridge.definitions, bridge.sender).values()

    assert "sentry-trace" not in bytes(plan).decode()


def test_a_run_is_a_transaction_below_the_span_that_has_sent_it(bridge: Bridge, ran: list[str], init: Init):
    """Named, and with the data that Sentry's Queues module reads on both sides."""
    kept = init(traces_sample_rate=1.0)
    with sentry_sdk.start_transaction(name="the web"):
        receipt = sent(bridge, "note").enqueue(7)
    bridge.clock.advance(2)  # type: ignore[attr-defined]

    Worker(bridge).run_pending()

    web, run = kept.transactions
    (publish,) = [span for span in web["spans"] if span["op"] == "queue.publish"]
    (process,) = run["spans"]
    trace = run["contexts"]["trace"]
    place = {"messaging.message.id": receipt.id, "messaging.destination.name": "default"}
    assert ("note", "default") == (publish["description"], publish["data"]["messaging.destination.name"])
    assert place | {"messaging.message.body.size": 5} == {name: publish["data"][name] for name in (*place, SIZE)}
    assert ("note", "queue.task", "ok", publish["span_id"]) == (
        run["transaction"],
        trace["op"],
        trace["status"],
        trace["parent_span_id"],
    )
    data = place | {
        "messaging.message.body.size": 5,
        "messaging.message.receive.latency": 2000,
        "messaging.message.retry.count": 0,
        "messaging.system": "memory",
    }
    assert ("queue.process", "note", "ok") == (process["op"], process["description"], process["status"])
    assert data == {name: process["data"][name] for name in data}
    assert "note" == run["tags"]["task"]


def test_a_call_that_sends_many_is_one_span(bridge: Bridge, ran: list[str], init: Init):
    """Which says how many: a span for each would be too many."""
    kept = init(traces_sample_rate=1.0)
    with sentry_sdk.start_transaction(name="the web"):
        sent(bridge, "note").enqueue_many([(1,), (2,), (3,)])

    (span,) = kept.transactions[0]["spans"]
    assert 3 == span["data"]["messaging.batch.message_count"]


def test_a_call_that_does_not_send_is_a_failed_span(bridge: Bridge, ran: list[str], init: Init):
    """And the error is the caller's as ever."""
    kept = init(traces_sample_rate=1.0)
    task = bridge.task(name="strict")(lambda n: n)

    with sentry_sdk.start_transaction(name="the web"), pytest.raises(TypeError):
        task.enqueue(1, 2)

    (span,) = kept.transactions[0]["spans"]
    assert "internal_error" == span["status"]


def test_a_failing_run_is_a_failed_transaction_with_its_report(bridge: Bridge, init: Init):
    """The report names the span that has failed; a retry before it is a transaction of its own, in the same trace."""
    kept = init(traces_sample_rate=1.0)

    @bridge.task(name="fails", retry=Backoff(max_retries=1, base=0, cap=0))
    def fails() -> None:
        raise ValueError("x")

    fails.enqueue()
    theirs = trace_here()

    Worker(bridge).run_pending()

    again, failed = kept.transactions
    (error,) = kept.errors
    assert ["aborted", "internal_error"] == [one["contexts"]["trace"]["status"] for one in (again, failed)]
    assert {theirs} == {one["contexts"]["trace"]["trace_id"] for one in (again, failed, error)}
    assert failed["spans"][0]["span_id"] == error["contexts"]["trace"]["span_id"]


def test_without_a_sample_rate_there_are_no_transactions(bridge: Bridge, ran: list[str], sentry: Kept):
    """Errors are joined all the same."""
    sent(bridge, "note").enqueue(1)

    Worker(bridge).run_pending()

    assert (1, []) == (len(ran), sentry.envelopes)


traces = st.one_of(
    st.from_regex("[0-9a-f]{32}-[0-9a-f]{16}(-[01])?", fullmatch=True),
    st.sampled_from(["", "nonsense", f"00-{TRACE}-b7ad6b7169203331-00", f"{TRACE}-b7ad6b7169203331-1,other"]),
)
baggages = st.lists(
    st.sampled_from(
        [
            "sentry-trace_id=" + TRACE, "sentry-org_id=1", "sentry-org_id=12", "sentry-release=bank%401", "other=1",
            "sentry-sample_rate=0.5", "sentry-sample_rand=0.25", "sentry-environment=test", "no-pair",
        ]
    ),
    unique=True,
).map(",".join)  # fmt: skip


@pytest.mark.parametrize("dsn", [DSN, "http://key@o1.ingest.test:9/1"], ids=["own host", "with an organisation"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_trace_that_is_read_late_is_what_the_sdk_would_have_read(dsn: str, strict: bool, init: Init):
    """Whatever the headers are: the same trace, parent, decision and baggage, or another trace where it begins one."""
    init(dsn=dsn, strict_trace_continuation=strict)

    @hypothesis.given(traces, baggages)
    def law(trace: str, baggage: str) -> None:
        headers = {"sentry-trace": trace, "baggage": baggage}
        ours, theirs = Scope(), Scope()
        follow(ours, a_message(trace=msgspec.Raw(msgspec.json.encode(headers))))
        theirs.generate_propagation_context(headers)

        one, other = ours.get_active_propagation_context(), theirs.get_active_propagation_context()
        if other.parent_span_id:
            assert other.trace_id == one.trace_id
        else:
            assert one.trace_id not in trace
        assert (other.parent_span_id, other.parent_sampled) == (one.parent_span_id, one.parent_sampled)
        if other.baggage:
            assert one.baggage is not None
            assert (other.baggage.sentry_items, other.baggage.serialize()) == (
                one.baggage.sentry_items,
                one.baggage.serialize(),
            )
        else:
            assert not (one.baggage and one.baggage.sentry_items)

    law()
