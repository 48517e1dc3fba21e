"""``taskbridge migrate drain``: what native producers and we have left in one engine's queues, moved to the other's."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from celery import Celery, chain, group
from dramatiq import Message as DramatiqMessage
from dramatiq import pipeline
from dramatiq.brokers.redis import RedisBroker as DramatiqBroker

from taskbridge import Bridge
from taskbridge.announcement import Announcement, Known, announce
from taskbridge.drain.loop import Drain
from taskbridge.errors import ConfigError, NotSupported, PayloadTooLarge
from taskbridge.leftovers import Leftover
from taskbridge.message import Message, Shadow, decode
from taskbridge.operations.drain import drain_of
from taskbridge.routing import Rule, Table
from taskbridge.routing.table import encode
from taskbridge.store import Begin
from taskbridge.store.memory import MemoryStore
from taskbridge.store.redis.outbox import RedisOutbox
from taskbridge.testing import FakeClock, a_message
from tests.servers import RedisServer

from .conftest import Cli

WORDS = ["migrate", "drain", "--from", "celery", "--to", "dramatiq", "--queues", "emails"]
BACK = ["migrate", "drain", "--from", "dramatiq", "--to", "celery", "--queues", "emails"]

TOLD = """\
would move 3 from celery to dramatiq, queues emails
task              would move   due later   copies
─────────────────────────────────────────────────
app.boom                   1           0        0
app.send_report            2           1        0
5 would stay on celery:
messages   task              why
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
       1   ?                 it cannot be read: expected a Celery message (protocol 2, JSON)
       1   app.gone          no live worker on dramatiq takes it from queue emails
       1   app.send_report   a chain: only celery does what follows
       1   app.send_report   callbacks, errbacks: only celery does what follows
       1   app.send_report   it cannot be read: its content type is application/x-python-serialize; taskbridge reads application/json
"""  # noqa: E501


@pytest.fixture
def celery(redis_server: RedisServer) -> Iterator[Celery]:
    """A producer of Celery's that knows nothing of us."""
    with closing(Celery("native", broker=redis_server.url(), set_as_current=False)) as app:
        yield app


@pytest.fixture
def dramatiq(redis_server: RedisServer) -> Iterator[Callable[..., Any]]:
    """The same of Dramatiq's."""
    broker = DramatiqBroker(url=redis_server.url())  # type: ignore[no-untyped-call]
    broker.declare_queue("emails")

    def send(task: str = "app.send_report", *args: Any, delay: int | None = None, **options: Any) -> str:
        message = DramatiqMessage(queue_name="emails", actor_name=task, args=args, kwargs={}, options=options)
        broker.enqueue(message, delay=delay)
        return str(message.message_id)

    yield send
    broker.close()


@pytest.fixture
def serving(bridge: Bridge, cli: Cli) -> None:
    """Workers of both backends live, and everything new goes to Dramatiq."""
    tasks: dict[str, list[str]] = {"app.send_report": ["day", "user_id"], "app.boom": ["text"]}
    backends = ["celery", "dramatiq"]
    announce(bridge.store, Announcement(name="w", backends=backends, queues=["emails"], processes=1, tasks=tasks))
    cli.set(BACKEND="dramatiq")


def moved(bridge: Bridge, backend: str = "dramatiq") -> list[Message]:
    """What lies in the target's queue."""
    return list(bridge.backend(backend).scan("emails", 1_000))


def drain(bridge: Bridge, origin: str = "celery", target: str = "dramatiq", **more: Any) -> Drain:
    """A drain as the command makes one."""
    return drain_of(bridge, origin, target, ["emails"], os.urandom(4).hex(), **more)


@pytest.mark.usefixtures("serving")
def test_dry_run_says_what_would_move_and_what_cannot(cli: Cli, bridge: Bridge, celery: Celery):
    """With counts per task and the reason; nothing is touched."""
    send = celery.signature("app.send_report", queue="emails").clone
    send(args=(1,)).apply_async()
    send(args=(2,)).apply_async(countdown=60)
    celery.send_task("app.boom", queue="emails")
    celery.send_task("app.gone", queue="emails")
    chain(send(args=(3,)), send(args=(4,)), app=celery).apply_async()
    send(args=(5,)).apply_async(link=send(), link_error=send())
    send(args=(6,)).apply_async(serializer="pickle")
    bridge.store.server.call("LPUSH", "emails", b"\x00 no message")
    before = bridge.store.server.call("LRANGE", "emails", 0, -1)

    result = cli(*WORDS, "--dry-run")

    assert (1, TOLD) == (result.exit_code, "\n".join(line.rstrip() for line in result.stdout.splitlines()) + "\n")
    assert before == bridge.store.server.call("LRANGE", "emails", 0, -1)
    assert [] == bridge.store.server.call("KEYS", "*taskbridge}:m:*")


@pytest.mark.usefixtures("serving")
def test_native_celery_message_moves_with_all_it_says(cli: Cli, bridge: Bridge, celery: Celery):
    """Its arguments, expiry, band and retries; its id is derived from its own."""
    before_ms = bridge.store.now_ms()
    sent = celery.send_task(
        "app.send_report", (7,), {"day": "2026-01-02"}, queue="emails", expires=600, priority=9, retries=2
    )
    sent_ms = bridge.store.now_ms()

    result = cli.json(*WORDS)

    (message,) = moved(bridge)
    assert (1, True, []) == (result["moved"], result["empty"], result["staying"])
    assert (f"{sent.id}#2", "app.send_report", "emails") == (message.id, message.task, message.queue)
    assert ([7], {"day": "2026-01-02"}) == (msgspec.json.decode(message.args), msgspec.json.decode(message.kwargs))
    assert (3, 2, 2) == (message.attempt, message.priority, message.seq)
    assert before_ms - 1 <= message.expires_at_ms - 600_000 <= sent_ms
    assert 0 == bridge.backend("celery").depth("emails")


@pytest.mark.usefixtures("serving")
def test_native_dramatiq_message_moves_with_all_it_says(cli: Cli, bridge: Bridge, dramatiq: Callable[..., str]):
    """The same from there; what waits in its queue of delayed ones waits in the store then."""
    cli.set(BACKEND="celery")
    before_ms = bridge.store.now_ms()
    plain = dramatiq("app.send_report", 7, retries=2, max_age=600_000)
    later = dramatiq("app.send_report", 8, delay=60_000)
    sent_ms = bridge.store.now_ms()

    result = cli.json(*BACK)

    (message,) = moved(bridge, "celery")
    kept = bridge.store.messages.look(f"{later}#0")
    assert kept
    assert [{"task": "app.send_report", "moved": 2, "delayed": 1, "copies": 0}] == result["tasks"]
    assert (f"{plain}#2", 3, 5, [7]) == (
        message.id,
        message.attempt,
        message.priority,
        msgspec.json.decode(message.args),
    )
    assert before_ms - 1 <= message.expires_at_ms - 600_000 <= sent_ms
    assert "DELAYED" == kept.state
    assert before_ms - 1 <= kept.at_ms - 60_000 <= sent_ms
    assert ("emails", [8]) == (decode(kept.body).queue, msgspec.json.decode(decode(kept.body).args))


@pytest.mark.usefixtures("serving")
def test_delay_of_celery_becomes_one_of_the_store(cli: Cli, bridge: Bridge, celery: Celery):
    """It is due when it was to be, to the millisecond that Celery says."""
    before_ms = bridge.store.now_ms()
    sent = celery.send_task("app.send_report", (1,), queue="emails", countdown=60)
    sent_ms = bridge.store.now_ms()

    result = cli(*WORDS)

    kept = bridge.store.messages.look(f"{sent.id}#0")
    assert 0 == result.exit_code, result.output
    assert kept
    assert "DELAYED" == kept.state
    assert decode(kept.body).due_at_ms == kept.at_ms
    assert before_ms - 1 <= kept.at_ms - 60_000 <= sent_ms


@pytest.mark.usefixtures("serving")
def test_what_would_come_back_stays(cli: Cli, bridge: Bridge, celery: Celery):
    """What is due later goes where the routes say then: as long as that is not the target, it stays."""
    rule = Rule(id="r1", to="celery", task="*", share=100)
    bridge.store.routes.write(0, encode(Table(rules=(rule,))), who="me", note="")
    celery.send_task("app.send_report", (1,), queue="emails", countdown=60)
    celery.send_task("app.send_report", (2,), queue="emails")

    result = cli(*WORDS)

    assert 1 == result.exit_code
    assert "the routes send it to celery then, not to dramatiq" in result.stdout
    assert "taskbridge routes set" in result.stdout
    assert [[2]] == [msgspec.json.decode(one.args) for one in moved(bridge)]
    assert 1 == bridge.backend("celery").depth("emails")


@pytest.mark.usefixtures("serving")
def test_what_dramatiq_alone_can_do_stays(cli: Cli, bridge: Bridge, redis_server: RedisServer):
    """Pipelines, groups and callbacks, each named; the bytes lie where they lay."""
    broker = DramatiqBroker(url=redis_server.url())  # type: ignore[no-untyped-call]
    broker.declare_queue("emails")

    def made(**options: Any) -> DramatiqMessage[Any]:
        return DramatiqMessage(queue_name="emails", actor_name="app.send_report", args=(1,), kwargs={}, options=options)

    pipeline([made(), made()], broker=broker).run()
    broker.enqueue(made(on_failure="app.alert"))
    before = bridge.store.server.call("HGETALL", "dramatiq:emails.msgs")
    cli.set(BACKEND="celery")

    result = cli.json(*BACK, code=1)

    assert {"a pipeline: only dramatiq does what follows", "on_failure: only dramatiq does what follows"} == {
        one["why"] for one in result["staying"]
    }
    assert (0, 2) == (result["moved"], bridge.backend("dramatiq").depth("emails"))
    assert before == bridge.store.server.call("HGETALL", "dramatiq:emails.msgs")
    broker.close()


@pytest.mark.usefixtures("serving")
def test_group_of_celery_stays(cli: Cli, bridge: Bridge, celery: Celery):
    """Whoever waits for the group's results would wait for ever."""
    send = celery.signature("app.send_report", queue="emails").clone
    group([send(args=(1,)), send(args=(2,))], app=celery).apply_async()

    result = cli.json(*WORDS, code=1)

    assert [(2, "a group: only celery does what follows")] == [(one["many"], one["why"]) for one in result["staying"]]


@pytest.mark.usefixtures("serving")
def test_our_own_messages_move_as_they_are(cli: Cli, bridge: Bridge, engine: str):
    """Plain ones, and those that the store has handed to the engine: each under its id, its old copy is waste paper."""
    target = {"celery": "dramatiq", "dramatiq": "celery"}[engine]
    cli.set(BACKEND=target)
    plain = a_message(task="app.send_report", queue="emails", priority=8)
    retried = a_message(task="app.send_report", queue="emails", priority=1)
    bridge.store.outbox.put([retried], 0)
    bridge.store.outbox.mark([(one.id, one.seq) for one in bridge.store.outbox.take(10)])
    bridge.backend(engine).publish([plain, retried])

    result = cli("migrate", "drain", "--from", engine, "--to", target, "--queues", "emails")

    begin = [bridge.store.claims.begin(_ask(one)).verdict for one in (plain, retried)]
    assert 0 == result.exit_code, result.output
    assert [(plain.id, 2, 8), (retried.id, 2, 1)] == [(m.id, m.seq, m.priority) for m in moved(bridge, target)]
    assert ["stale", "stale"] == begin


@pytest.mark.usefixtures("serving")
def test_copy_of_a_shadow_stays(cli: Cli, bridge: Bridge):
    """It is compared, on the side it was sent to, and the ledger knows nothing of it."""
    copy = a_message(task="app.send_report", queue="emails", args=msgspec.Raw(b"[1]")).copy(
        shadow=Shadow(rule="s1", of="m1")
    )
    bridge.backend("celery").publish([copy])

    found = cli.json(*WORDS, code=1)

    assert [{"task": "app.send_report", "why": "a shadow's copy: only its own side runs it", "many": 1}] == found[
        "staying"
    ]
    assert (1, 0) == tuple(bridge.backend(name).depth("emails") for name in ("celery", "dramatiq"))


@pytest.mark.usefixtures("serving")
def test_copy_of_what_runs_or_has_ended_is_waste_paper(cli: Cli, bridge: Bridge):
    """It goes, and is counted apart."""
    message = a_message(task="app.send_report", queue="emails")
    bridge.backend("celery").publish([message])
    bridge.store.claims.begin(_ask(message))

    result = cli.json(*WORDS)

    assert [{"task": "app.send_report", "moved": 0, "delayed": 0, "copies": 1}] == result["tasks"]
    assert ([], 0) == (moved(bridge), bridge.backend("celery").depth("emails"))


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize("after", ["take", "adopt", "publish"])
def test_killed_at_any_step_it_goes_on(
    bridge: Bridge, celery: Celery, after: str, engine: str, monkeypatch: pytest.MonkeyPatch
):
    """The next drain finds what the killed one had on its shelf; nothing is there twice."""
    del engine
    for n in range(10):
        celery.send_task("app.send_report", (n,), queue="emails")

    class Killed(BaseException):
        """As SIGKILL: nothing is given back."""

    def dies(*_: object, **__: object) -> None:
        raise Killed

    first = drain(bridge, force=True)
    monkeypatch.setattr(first, "_close", lambda: None)
    with monkeypatch.context() as patch:
        if after == "take":
            patch.setattr(RedisOutbox, "adopt", dies)
        elif after == "adopt":
            patch.setattr(type(bridge.backend("dramatiq")), "publish", dies)
        else:
            patch.setattr(RedisOutbox, "mark", dies)
        with pytest.raises(Killed):
            list(first.run())

    second = drain(bridge, force=True)
    list(second.run())

    kept = [bridge.store.messages.look(one.id) for one in moved(bridge)]
    ready = bridge.store.messages.counts().get(("emails", "READY"), 0)
    assert {"take": 10, "adopt": 0, "publish": 0}[after] == second.report().moved
    assert {"take": 0, "adopt": 10, "publish": 10}[after] == ready
    assert {"take": 10, "adopt": 0, "publish": 10}[after] == len(kept)
    assert 0 == bridge.backend("celery").depth("emails")
    assert [] == bridge.store.server.call("KEYS", "*held*")


def leave_on_a_shelf(bridge: Bridge, celery: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain takes a native message, and is killed before the store takes it over."""
    celery.send_task("app.send_report", (1,), queue="emails")
    killed = drain(bridge)
    monkeypatch.setattr(killed, "_close", lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(RedisOutbox, "adopt", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            list(killed.run())


@pytest.mark.usefixtures("serving")
def test_shelf_that_no_drain_comes_back_to_is_given_back(
    bridge: Bridge, celery: Celery, monkeypatch: pytest.MonkeyPatch
):
    """By any worker of ours on that backend, when the drain has shown no life for long; then it can move again."""
    leave_on_a_shelf(bridge, celery, monkeypatch)
    keeper, server = bridge.backend("celery").keeper(["emails"]), bridge.store.server
    lying = (keeper.sweep(), bridge.backend("celery").depth("emails"))

    (owner,) = server.call("ZRANGE", "{taskbridge}:held:celery", 0, -1)
    server.call("ZADD", "{taskbridge}:held:celery", 1, owner)
    swept = (keeper.sweep(), bridge.backend("celery").depth("emails"))
    list((again := drain(bridge)).run())

    assert ((0, 0), (1, 1), 1) == (lying, swept, again.report().moved)


@pytest.mark.usefixtures("serving")
def test_drain_of_other_queues_moves_nothing_of_a_killed_ones(
    bridge: Bridge, celery: Celery, monkeypatch: pytest.MonkeyPatch
):
    """What is on its shelf goes back to where it was."""
    leave_on_a_shelf(bridge, celery, monkeypatch)

    list((other := drain_of(bridge, "celery", "dramatiq", ["slow"], "other")).run())

    assert (0, 1, []) == (other.report().moved, bridge.backend("celery").depth("emails"), moved(bridge))


@pytest.mark.usefixtures("serving")
def test_target_that_cannot_keep_what_a_task_asks_for_is_refused(bridge: Bridge):
    """With what and whose it is; a task of another queue does not matter."""
    known = {"app.slow": Known(queue="emails", hard_timeout_ms=1_000), "app.other": Known(queue="x", timeout_ms=1)}
    worker = Announcement(name="v", backends=["celery"], queues=["emails"], processes=1, tasks={}, known=known)
    announce(bridge.store, msgspec.structs.replace(worker, tasks={key: [] for key in known}))
    there: Any = bridge.backend("dramatiq")
    there.capabilities = msgspec.structs.replace(there.capabilities, soft_timeout=False)
    drain(bridge)

    there.capabilities = msgspec.structs.replace(there.capabilities, hard_timeout=False)
    with pytest.raises(NotSupported, match=r"app\.slow"):
        drain(bridge)


@pytest.mark.usefixtures("serving")
def test_interruption_leaves_all_whole(cli: Cli, bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C ends it between two pages; what is left is in its queue, in its order."""
    monkeypatch.setattr("taskbridge.redis.leftovers.PAGE", 10)
    messages = [a_message(task="app.send_report", queue="emails") for _ in range(50)]
    bridge.backend("celery").publish(messages)
    adopt, calls = RedisOutbox.adopt, []

    def interrupted(outbox: RedisOutbox, copies: Any, *more: str) -> Any:
        calls.append(len(copies))
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return adopt(outbox, copies, *more)

    monkeypatch.setattr(RedisOutbox, "adopt", interrupted)

    result = cli(*WORDS)

    assert 1 == result.exit_code
    assert "moved 20" in result.stdout
    assert "the same command goes on" in result.stderr
    assert [one.id for one in messages[20:]] == [one.id for one in bridge.backend("celery").scan("emails", 100)]
    assert [one.id for one in messages[:20]] == [one.id for one in moved(bridge)]
    assert [] == bridge.store.server.call("KEYS", "*held*")


@pytest.mark.usefixtures("serving")
def test_second_drain_of_a_backend_waits_and_is_refused(bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """While the first one goes on."""
    bridge.backend("celery").publish([a_message(task="app.send_report", queue="emails")])

    with closing(drain(bridge).run()) as steps:
        with monkeypatch.context() as patch:
            patch.setattr("taskbridge.drain.loop.LEAD_MS", 60_000)  # it renews no more, for it stands still here
            next(steps)
        second = drain(bridge).run()
        with pytest.raises(ConfigError, match="another drain of celery is under way"):
            next(second)


@pytest.mark.usefixtures("serving")
def test_watch_goes_on_until_producers_are_silent(cli: Cli, bridge: Bridge, celery: Celery):
    """What comes while it watches moves, too."""
    celery.send_task("app.send_report", (1,), queue="emails")
    one = drain(bridge)
    one._clock = clock = FakeClock()
    watching = one.run(1.5)
    while clock.monotonic_s() < 1.0:
        next(watching)

    celery.send_task("app.send_report", (2,), queue="emails")
    sent_s = clock.monotonic_s()
    list(watching)

    assert [[1], [2]] == [msgspec.json.decode(one.args) for one in moved(bridge)]
    assert 1.5 <= clock.monotonic_s() - sent_s < 4
    assert 0 == cli(*WORDS, "--watch", "--quiet-for", "0.5").exit_code


@pytest.mark.usefixtures("serving")
def test_watch_that_was_held_up_looks_again(bridge: Bridge, celery: Celery, monkeypatch: pytest.MonkeyPatch):
    """A machine that stood still after a look says nothing of producers: what they sent meanwhile moves, too."""
    celery.send_task("app.send_report", (1,), queue="emails")
    one = drain(bridge)
    one._clock = clock = FakeClock()
    look, stands_still = one._leftovers.look, iter([False, True])

    def slowly() -> Iterator[list[Leftover]]:
        yield from look()
        if next(stands_still, False):
            celery.send_task("app.send_report", (2,), queue="emails")
            clock.advance(60)

    monkeypatch.setattr(one._leftovers, "look", slowly)

    list(one.run(1.5))

    assert [[1], [2]] == [msgspec.json.decode(one.args) for one in moved(bridge)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from", "celery", "--to", "celery"], "a drain into itself moves nothing"),
        (["--from", "celery", "--to", "same"], "a drain into itself moves nothing"),
        (["--from", "celery", "--to", "dramatik"], "did you mean 'dramatiq'"),
        (["--from", "clery", "--to", "dramatiq"], "did you mean 'celery'"),
        (["--from", "celery", "--to", "dramatiq"], "no live worker serves the backend 'dramatiq'"),
        (["--from", "celery", "--to", "memory"], "lives in one process"),
        (["--from", "memory", "--to", "celery", "--force"], "lives in one process"),
    ],
)
def test_what_is_put_wrongly_is_refused(cli: Cli, bridge: Bridge, celery: Celery, words: list[str], told: str):
    """Before anything is touched, with what to do."""
    celery.send_task("app.send_report", (1,), queue="emails")
    cli.write("t.toml", "[backends.same]\nengine = 'celery'\n")
    cli.set(CONFIG="t.toml")

    result = cli("migrate", "drain", *words, "--queues", "emails")

    assert 1 == result.exit_code
    assert told in result.stderr
    assert 1 == bridge.backend("celery").depth("emails")


def test_no_queue_is_known(cli: Cli):
    """Then they must be named."""
    result = cli("migrate", "drain", "--from", "celery", "--to", "dramatiq", "--force")

    assert (1, True) == (result.exit_code, "--queues a,b" in result.stderr)


def test_task_that_is_declared_here_is_known(cli: Cli, bridge: Bridge, celery: Celery):
    """With ``--module``, though no worker that announces itself has it: the engine's own command does not."""
    celery.send_task("app.send_report", (1,), queue="emails")
    celery.send_task("app.gone", (1,), queue="emails")
    worker = Announcement(name="w", backends=["dramatiq"], queues=["other"], processes=1, tasks={})
    announce(bridge.store, worker)

    result = cli.json(*WORDS, "--module", "app", code=1)

    assert (1, ["app.gone"]) == (result["moved"], [one["task"] for one in result["staying"]])


def _ask(message: Message) -> Begin:
    from taskbridge.message import encode as encoded

    return Begin(message=message, body=encoded(message), claim="c1", max_crashes=5)


@pytest.mark.usefixtures("serving")
def test_what_is_too_large_for_the_target_is_left_to_the_relay(
    bridge: Bridge, celery: Celery, monkeypatch: pytest.MonkeyPatch
):
    """The drain goes to its end and the store has all of it: the relay tells apart what its broker never takes."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PayloadTooLarge("over 1 MiB")

    for n in range(3):
        celery.send_task("app.send_report", [n], queue="emails")
    monkeypatch.setattr(bridge.backend("dramatiq"), "publish", refuse)
    one = drain(bridge)

    list(one.run())

    assert (3, True) == (one.report().moved, one.report().empty)
    assert 3 == bridge.store.messages.counts()["emails", "READY"]


@pytest.mark.usefixtures("serving")
def test_a_drain_that_was_halted_asks_whether_it_leads(bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """What it was told before the halt is as old as that: by now another one may move what lies there."""
    clock = FakeClock()
    store, one = MemoryStore(clock), drain(bridge)
    one._store, one._clock = store, clock
    hold = store.leader.hold

    def halted(duty: str, owner: str, ms: int) -> bool:
        held = hold(duty, owner, ms)
        clock.advance(3)
        return held

    with monkeypatch.context() as patch:
        patch.setattr(store.leader, "hold", halted)
        one._lead()
    assert store.leader.hold("drain:celery", "other", 2_000)

    with pytest.raises(ConfigError, match="another drain of celery is under way"):
        one._lead()
