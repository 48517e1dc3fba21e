"""Batches: what a member is, who is called back, and what a builder that is repeated does not do twice."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskbridge import Backoff, BatchProgress, Bridge, Chunk, Drop, Reschedule, Settings, chain, chunked, current, ids
from taskbridge.errors import ArgumentError, ConfigError, StoreUnavailable
from taskbridge.needs import Within
from taskbridge.scope import Scope, inside
from taskbridge.store.memory.outbox import MemoryOutbox
from taskbridge.testing.worker import Worker

#: What tasks did, in order.
Log = list[Any]


class Office:
    """A bridge in memory with a few tasks that write down what they do."""

    def __init__(self) -> None:
        self.bridge = Bridge(Settings(backend="memory"))
        self.log: Log = []
        task = self.bridge.task
        self.send = task(name="send", retry=None)(self._send)
        self.report = task(name="report", queue="reports")(self._report)
        self.alert = task(name="alert")(self._alert)

    def _send(self, n: int, how: str = "") -> None:
        self.log.append(n)
        if how == "fails":
            raise ValueError(n)
        if how == "drops":
            raise Drop

    def _report(self, what: str = "report") -> None:
        self.log.append(what)

    def _alert(self, what: str = "alert") -> None:
        self.log.append(what)

    def run(self) -> Log:
        """Run all that is due; returns what was done."""
        self.log.clear()
        Worker(self.bridge, ["default", "reports"]).run_pending()
        return [*self.log]

    def progress(self, id: str) -> BatchProgress:
        found = self.bridge.batch_progress(id)
        assert found is not None
        return found

    def counts(self, id: str) -> tuple[int, int, int, int, int]:
        """Total, open, done, failed, dropped."""
        one = self.progress(id)
        return one.total, one.open, one.done, one.failed, one.dropped

    def builder(self, build: Callable[[], None], **options: Any) -> None:
        """Enqueue a task that builds."""
        self.bridge.task(name="build", retry=Backoff(max_retries=9, base=0, cap=0), **options)(build).enqueue()


@pytest.fixture
def office() -> Office:
    return Office()


def test_batch_calls_back_when_all_have_ended(office: Office) -> None:
    """Once, after the last, with the callback's own arguments; progress tells how far it is."""
    sent = office.bridge.batch([office.send.s(n) for n in range(3)]).then(office.report.s("sent")).enqueue()

    before = office.progress(sent.id)
    log = office.run()

    assert (3, 0, False, 3) == (sent.created, sent.existing, before.complete, before.open)
    assert ([0, 1, 2], ["sent"]) == (sorted(log[:3]), log[3:])
    assert office.progress(sent.id).complete
    assert (3, 0, 3, 0, 0) == office.counts(sent.id)
    assert [] == office.run()


@pytest.mark.parametrize(("when", "called"), [("all_succeeded", ["alert"]), ("all_done", ["alert", "report"])])
def test_failed_member_hangs_nothing(office: Office, when: str, called: list[str]) -> None:
    """``on_error`` tells of it; ``then`` does what ``when`` says."""
    members = [office.send.s(1), office.send.s(2, "fails"), office.send.s(3, how="drops")]
    sent = office.bridge.batch(members, when=when).then(office.report.s()).on_error(office.alert.s()).enqueue()

    log = office.run()

    assert (3, 0, 1, 1, 1) == office.counts(sent.id)
    assert called == sorted(log[3:])


def test_then_may_come_after_a_replay(office: Office) -> None:
    """Of ``all_succeeded``: once the failed ones were replayed and are done, none has failed."""
    fails = True

    @office.bridge.task(retry=None)
    def heals() -> None:
        if fails:
            raise ValueError

    sent = office.bridge.batch([heals.s()]).then(office.report.s()).on_error(office.alert.s()).enqueue()
    first = office.run()
    fails = False
    (letter,) = office.bridge.store.dead.list(9)
    office.bridge.store.dead.replay(letter.id)

    assert (["alert"], ["report"]) == (first, office.run())
    assert (1, 0, 1, 0, 0) == office.counts(sent.id)


def test_empty_batch_calls_back_at_once(office: Office) -> None:
    """Nothing was to be done, and it is done."""
    sent = office.bridge.batch([]).then(office.report.s()).enqueue()

    assert (0, ["report"]) == (sent.created, office.run())


def test_callbacks_may_have_options(office: Office) -> None:
    """A queue, a priority, a delay of their own; one that is unique would be made whatever stands, and is refused."""
    urgent = office.report.using(queue="default", priority=9, delay=60).s()
    sent = office.bridge.batch([]).then(urgent).enqueue()

    record = office.bridge.store.messages.look(f"{sent.id}:then")

    assert record is not None
    assert ("DELAYED", "default") == (record.state, record.queue)
    with pytest.raises(ConfigError, match="unique is decided when a call is enqueued"):
        office.bridge.batch([]).then(office.report.using(unique="until_done").s())


def test_id_is_known_before(office: Office) -> None:
    """Members and callbacks may be told it; it is the callback's own, too."""
    batch = office.bridge.batch([])
    opened = office.bridge.open_batch()

    sent = batch.then(office.report.s(batch.id)).enqueue()
    with opened.then(office.report.s(opened.id)) as b:
        b.add(office.report.s(b.id))

    assert sent.id == batch.id
    assert [batch.id, opened.id, opened.id] == sorted(office.run(), key=[batch.id, opened.id].index)


def test_open_batch_is_filled_while_it_runs(office: Office) -> None:
    """Members that have ended meanwhile make it no whole: the block's end does."""
    logs = []
    with office.bridge.open_batch(then=office.report.s()) as b:
        b.add(office.send.s(1))
        logs.append(office.run())
        assert not office.progress(b.id).complete
        sent = b.enqueue_many(office.send, [{"n": 2}, (3,)])
        logs.append(sorted(office.run()))
        b.add(office.alert.s("other"))
    logs.append(office.run())

    assert [[1], [2, 3], ["other", "report"]] == logs
    assert (2, 0) == (sent.created, sent.existing)
    assert (4, 0, 4, 0, 0) == office.counts(b.id)


def test_error_in_the_block_leaves_it_open(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """It is not known to be whole: nobody is called back, its members run, and the log says so."""
    with pytest.raises(KeyError), office.bridge.open_batch(then=office.report.s(), on_error=office.alert.s()) as b:
        b.add(office.send.s(1))
        raise KeyError

    assert [1] == office.run()
    assert not office.progress(b.id).sealed
    assert f"the batch {b.id} stays open, for KeyError left its block: it calls nobody back" in caplog.text


def test_equal_calls_are_two_members_outside_of_tasks(office: Office) -> None:
    """Each call is a member; a list and a generator alike, and in an open batch."""
    members = [office.send.s(7), office.send.s(7)]

    first = office.bridge.batch(members).enqueue()
    second = office.bridge.batch(one for one in members).enqueue()
    with office.bridge.open_batch() as b:
        for one in members:
            b.add(one)

    assert [2, 2, 2] == [office.progress(id).total for id in (first.id, second.id, b.id)]
    assert [7] * 6 == office.run()


def test_list_may_be_enqueued_again_after_an_error(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store went away in the middle: what was sent is known by its place, and none runs twice."""
    put, puts = MemoryOutbox.put, 0

    def away(self: MemoryOutbox, *given: Any) -> list[bool]:
        nonlocal puts
        puts += 1
        answer = put(self, *given)
        if puts == 2:
            raise StoreUnavailable("the reply was lost")
        return answer

    monkeypatch.setattr(MemoryOutbox, "put", away)
    batch = office.bridge.batch([office.send.s(7) for _ in range(2_500)]).then(office.report.s())

    with pytest.raises(StoreUnavailable):
        batch.enqueue()
    sent = batch.enqueue()

    assert (500, 2_000) == (sent.created, sent.existing)
    log = office.run()
    assert (2_501, "report") == (len(log), log[-1])


def test_members_are_streamed_in_bulk(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several tasks a thousand are asked for at a time; what waits equally long goes in one trip."""
    trips: list[int] = []
    pulled = 0
    put = MemoryOutbox.put

    def counted(self: MemoryOutbox, messages: Any, *rest: Any) -> list[bool]:
        trips.append(len(messages))
        assert pulled <= sum(trips) + 1_000
        return put(self, messages, *rest)

    def members() -> Iterator[Any]:
        nonlocal pulled
        for n in range(2_100):
            pulled += 1
            yield office.report.s() if n % 2 else office.send.using(priority=n % 10).s(n)
        yield office.send.using(delay=5).s(1)

    monkeypatch.setattr(MemoryOutbox, "put", counted)
    sent = office.bridge.batch(members()).enqueue()

    assert (2_101, [1_000, 1_000, 100, 1]) == (sent.created, trips)


def test_members_take_constant_memory(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, what is held of them is one trip."""
    monkeypatch.setattr(MemoryOutbox, "put", lambda self, messages, *rest: [True] * len(messages))

    def peak_of(count: int) -> int:
        tracemalloc.start()
        office.bridge.batch(office.send.s(n) for n in range(count)).enqueue()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_of(1_000)
    assert peak_of(10_000) < 1.2 * peak_of(2_000)


def test_what_stands_already_is_no_member(office: Office) -> None:
    """A unique call gives the message that is there, which nobody here waits for."""
    unique = office.send.using(unique="until_done")
    outside = unique.enqueue(1)

    sent = office.bridge.batch([unique.s(1), unique.s(2)]).then(office.report.s()).enqueue()

    assert (1, 1, 1) == (sent.created, sent.existing, office.progress(sent.id).total)
    log = office.run()
    assert ([1, 2], "report") == (sorted(log[:-1]), log[-1])
    assert outside.created


def test_chain_is_one_member(office: Office) -> None:
    """It ends with its last link, or with one that fails; two that are equal are two, each by its place."""
    made = office.send.s(1) | office.send.si(2)
    fails = chain(office.send.s(3, "fails"), office.send.si(4))

    batch = office.bridge.batch([made, office.send.s(5), made, fails], when="all_done")
    sent = batch.then(office.report.s()).on_error(office.alert.s()).enqueue()
    log = office.run()

    assert ((4, 0, 3, 1, 0), 4) == (office.counts(sent.id), sent.created)
    assert ([1, 1, 2, 2, 3, 5], ["alert", "report"]) == (sorted(log[:-2]), sorted(log[-2:]))


def test_run_of_chunks_is_one_member(office: Office) -> None:
    """It ends with its last chunk; and each chunk may fill a batch of its own."""

    @office.bridge.task
    @chunked(over=ids(0, 9), size=3)
    def spread(chunk: Chunk[int]) -> None:
        with office.bridge.open_batch(then=office.alert.s(f"chunk {chunk.number}")) as b:
            b.enqueue_many(office.send, [(n,) for n in chunk])

    sent = office.bridge.batch([spread.s(), office.send.s(100)]).then(office.report.s()).enqueue()
    log = office.run()

    assert (2, 0, 2, 0, 0) == office.counts(sent.id)
    assert [*range(9), 100] == sorted(one for one in log if isinstance(one, int))
    assert ["chunk 0", "chunk 1", "chunk 2", "report"] == sorted(one for one in log if isinstance(one, str))
    assert [2, 3, 3, 3] == sorted(one.done for one in office.bridge.store.batches.newest(9))


class TestInATask:
    """The builder may be killed anywhere and is run again: it fills the same batch, with the same members."""

    @pytest.mark.parametrize("died", ["in the block", "after the block", "in the list"])
    def test_repeat_counts_once(self, office: Office, died: str) -> None:
        """Wherever the first attempt ended: each member runs once, and each callback."""
        made: list[str] = []
        sent: list[tuple[int, int]] = []

        def build() -> None:
            if died == "in the list":
                batch = office.bridge.batch(members()).then(office.report.s())
                made.append(batch.id)
                receipt = batch.enqueue()
                sent.append((receipt.created, receipt.existing))
                return
            with office.bridge.open_batch(then=office.report.s()) as b:
                made.append(b.id)
                b.add(office.send.s(1))
                b.enqueue_many(office.send, [(2,), {"n": 3}])
                b.add(chain(office.send.s(5), office.send.si(6)))
                fail_in("in the block")
                again = b.enqueue_many(office.send, [(2,), {"n": 4}])
                sent.append((again.created, again.existing))
            fail_in("after the block")

        def fail_in(where: str) -> None:
            if where == died and current().attempt == 1:
                raise ConnectionError

        def members() -> Iterator[Any]:
            for n in range(1, 1_500):
                yield office.send.s(n)
                if n == 1_200:
                    fail_in("in the list")

        office.builder(build)
        log = office.run()

        expected = [*range(1, 1_500)] if died == "in the list" else [1, 2, 3, 4, 5, 6]
        assert ([*expected, "report"], 1) == ([*sorted(log[:-1]), log[-1]], len(set(made)))
        count = len(expected) - (died != "in the list")
        assert (count, 0, count, 0, 0) == office.counts(made[0])
        assert {"in the block": [(1, 1)], "after the block": [(1, 1), (0, 2)], "in the list": [(499, 1_000)]}[
            died
        ] == sent

    def test_equal_calls_are_one_member_unless_keys_tell(self, office: Office) -> None:
        """They could not be told from repeats."""

        def build() -> None:
            with office.bridge.open_batch() as b:
                equal = [b.add(office.send.s(7)), b.add(office.send.s(n=7)), b.add(office.send.s(7), key="again")]
                many = b.enqueue_many(office.send, [(8,), (8,), (8,)], key=first)
                seen.extend([receipt.created for receipt in equal])
                seen.extend([many.created, many.existing])

        keys = iter("aba")
        seen: list[Any] = []

        def first(call: Any) -> str:
            return next(keys)

        office.builder(build)

        assert [7, 7, 8, 8] == sorted(office.run())
        assert [True, False, True, 2, 1] == seen

    def test_several_batches_of_a_task_are_told_apart(self, office: Office) -> None:
        """By their number in the attempt, or by name; another message has others, so has a run with other arguments."""
        runs: list[list[str]] = []

        @office.bridge.task(retry=Backoff(max_retries=1, base=0, cap=0))
        def build(page: int) -> None:
            named = [office.bridge.open_batch(name="b"), office.bridge.open_batch(name="a")]
            numbered = [office.bridge.batch([]), office.bridge.open_batch()]
            runs.append([one.id for one in (*named, *numbered)])
            if current().attempt == 1:
                raise ConnectionError
            if page == 1:
                raise Reschedule(kwargs={"page": 2})

        build.enqueue(page=1)
        build.enqueue(page=1)
        office.run()

        assert 6 == len(runs)
        assert 4 * 4 == len({id for some in runs for id in some})
        assert all(4 == len(set(some)) for some in runs)

    def test_run_that_asked_to_be_repeated_needs_a_name(self, office: Office) -> None:
        """``Reschedule`` with the same arguments looks like a repeat: other members than last time are refused."""
        rounds: list[int] = []

        def build() -> None:
            rounds.append(1)
            name = f"round {len(rounds)}" if len(rounds) > 2 else None
            office.bridge.batch([office.send.s(len(rounds))], name=name).enqueue()
            if len(rounds) < 4:
                raise Reschedule

        office.bridge.task(name="build", retry=Backoff(max_retries=1, base=0, cap=0))(build).enqueue()

        assert [1, 3, 4] == sorted(office.run())

    def test_batch_in_a_scope_keeps_what_counts_there(self, office: Office) -> None:
        """In a chunk members belong to its run and are its claim's, too; another scope has other batches."""
        seen: list[Any] = []

        def build() -> None:
            for seed in ("x", "y"):
                with inside(Scope(seed, Within(runs=("run",), chunk=current().id, claim="other"))):
                    batch = office.bridge.open_batch(name="same")
                    seen.append(batch.id)
                    seen.append(batch._identity.scope.within)

        office.builder(build)
        office.run()

        first, within, second, _ = seen
        assert first != second
        assert (("run",), (first,), "other") == (within.runs, within.batches, within.claim)


class TestWhatIsRefused:
    """At once, with the reason, and nothing is sent."""

    def test_members(self, office: Office) -> None:
        """A task, a text, a call that was made, a single signature, one that lacks an argument."""
        with pytest.raises(
            ConfigError, match=r"a member of a batch is a signature such as task\.s\(\.\.\.\), .*; got <Task"
        ):
            office.bridge.batch([office.send])  # type: ignore[list-item]
        with pytest.raises(ConfigError, match="got 'a'"):
            office.bridge.batch("abc")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="expected signatures such as"):
            office.bridge.batch(office.send.s(1))  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="got None"):
            office.bridge.batch([office.send.s(1), None]).enqueue()  # type: ignore[list-item]
        with office.bridge.open_batch() as b, pytest.raises(ConfigError, match="got 7"):
            b.add(7)  # type: ignore[arg-type]
        with office.bridge.open_batch() as b, pytest.raises(ArgumentError, match="missing"):
            b.add(office.send.s())
        for wrong in (print, office.send.s(1)):
            with (
                office.bridge.open_batch() as b,
                pytest.raises(ConfigError, match="expected a task and its calls, got"),
            ):
                b.enqueue_many(wrong, [(1,)])  # type: ignore[arg-type]

        others = office.bridge.external("legacy.send", queue="legacy")
        with pytest.raises(ConfigError, match=r"legacy\.send is a task that only others' workers have"):
            office.bridge.batch([others.s(1)])
        with office.bridge.open_batch() as b, pytest.raises(ConfigError, match="nobody tells a batch how it ends"):
            b.enqueue_many(others, [(1,)])

        assert [] == office.run()

    def test_callbacks(self, office: Office) -> None:
        """No signature, a second one, one after the fact, one that lacks an argument."""
        with pytest.raises(
            ConfigError, match=r"then: expected a signature such as task\.s\(\.\.\.\), got <Task report"
        ):
            office.bridge.batch([]).then(office.report)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="on_error: expected a signature"):
            office.bridge.open_batch(on_error=print)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="then: the batch has one already"):
            office.bridge.batch([]).then(office.report.s()).then(office.report.s())
        with office.bridge.open_batch() as b, pytest.raises(ConfigError, match="is open; say on_error before"):
            b.on_error(office.alert.s())
        with pytest.raises(ArgumentError, match="missing"):
            office.bridge.batch([]).then(office.send.s())

    @pytest.mark.parametrize("name", ["", "  ", 7])
    def test_names(self, office: Office, name: Any) -> None:
        """An empty one, one that is no text, and any outside of a task."""
        with pytest.raises(ConfigError, match="name: expected a text"):
            office.bridge.batch([], name=name)
        with pytest.raises(ConfigError, match="outside of tasks each has an id of its own"):
            office.bridge.open_batch(name="monthly")

    def test_conditions(self, office: Office) -> None:
        """Unknown words."""
        with pytest.raises(ConfigError, match="when: expected all_done or all_succeeded, got 'always'"):
            office.bridge.batch([], when="always")

    def test_what_is_closed(self, office: Office) -> None:
        """A batch closed twice, filled before or after its block, entered or enqueued twice."""
        described = office.bridge.open_batch()
        with pytest.raises(ConfigError, match="is not open yet"):
            described.add(office.send.s(1))
        with described as b:
            b.close()
            with pytest.raises(ConfigError, match=f"the batch {b.id} is closed"):
                b.close()
            with pytest.raises(ConfigError, match="is closed"):
                b.enqueue_many(office.send, [(1,)])
        with pytest.raises(ConfigError, match="is closed already: open another"), described:
            pass
        listed = office.bridge.batch([office.send.s(1)])
        listed.enqueue()
        with pytest.raises(ConfigError, match="was enqueued already"):
            listed.enqueue()

    def test_generators_are_enqueued_once(self, office: Office) -> None:
        """One that failed in the middle has given its first members away."""

        def members() -> Iterator[Any]:
            yield office.send.s(1)
            raise KeyError

        batch = office.bridge.batch(members())
        with pytest.raises(KeyError):
            batch.enqueue()
        with pytest.raises(ConfigError, match="was enqueued already: make another"):
            batch.enqueue()

    def test_keys_outside_of_tasks(self, office: Office) -> None:
        """They would be ignored."""
        with office.bridge.open_batch() as b:
            with pytest.raises(ConfigError, match="key= tells calls apart"):
                b.add(office.send.s(1), key="x")
            with pytest.raises(ConfigError, match="key= tells calls apart"):
                b.enqueue_many(office.send, [(1,)], key=str)

    def test_batch_of_another_store(self, office: Office) -> None:
        """A task of another bridge is counted elsewhere."""
        with pytest.raises(ConfigError, match="closed, or was never opened"):
            office.bridge.batch([Office().send.s(1)]).enqueue()

    def test_batch_that_is_forgotten(self, office: Office) -> None:
        """It was open for two weeks, and nothing of it was on its way."""
        now_ms = office.bridge.store.now_ms
        assert office.bridge.batch_progress("nobody") is None
        b = office.bridge.open_batch()
        with pytest.raises(ConfigError, match=f"the batch {b.id} is forgotten"), b:
            office.bridge.clock.offset_ms += 15 * 24 * 3_600_000
            assert now_ms()


def test_warning_names_the_next_attempt(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """In a task the batch is filled again."""

    def build() -> None:
        with office.bridge.open_batch() as b:
            b.add(office.send.s(1))
            if current().attempt == 1:
                raise ConnectionError

    office.builder(build)
    with caplog.at_level(logging.WARNING):
        office.run()

    assert "stays open, for ConnectionError left its block: the next attempt fills it again" in caplog.text
