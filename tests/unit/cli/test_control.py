"""``taskbridge control``."""

from __future__ import annotations

from contextlib import suppress

import pytest

from taskbridge import Bridge
from taskbridge.announcement import Announcement, Team, announce
from taskbridge.errors import ConfigError, StoreUnavailable
from taskbridge.events import Dropped
from taskbridge.operations import limits
from taskbridge.operations.audit import audit, whoami
from taskbridge.operations.control import cancel, pause
from taskbridge.operations.history import why
from taskbridge.store import Store
from taskbridge.store.flow import Next
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import after, goes_on, open_run, seen, start
from taskbridge.testing.laws.steps import begin, finish, take
from tests.servers import RedisServer

from .conftest import Cli, begun, settled


def a_worker(store: Store, name: str = "w.1.ab") -> None:
    """Announce a live worker that knows one task and one queue."""
    announce(
        store, Announcement(name=name, backends=["celery"], queues=["emails"], processes=1, tasks={"app.boom": []})
    )


def noted(store: Store) -> list[tuple[str, str, str]]:
    """What the audit log has, the oldest first."""
    return [(one.verb, one.subject, one.detail) for one in reversed(audit(store))]


def test_what_is_paused_is_listed_and_goes_on(cli: Cli, bridge: Bridge):
    """Since when, by whom and why, and how many wait; what is resumed is paused no more."""
    assert 0 == cli("control", "pause", "queue", "emails", "--why", "the bank is down").exit_code
    pause(bridge, "key", "user:7", who="me@dashboard")
    (key, queue) = cli.json("control", "paused")["paused"]
    shown = cli("control", "paused").stdout
    resumed = cli("control", "resume", "queue", "emails")

    assert [("key", "user:7", "me@dashboard", ""), ("queue", "emails", whoami(), "the bank is down")] == [
        (one["kind"], one["name"], one["who"], one["why"]) for one in (key, queue)
    ]
    assert "the bank is down" in shown
    assert (0, "the queue emails goes on, 0 messages that wait in the store first\n") == (
        resumed.exit_code,
        resumed.stdout,
    )
    assert ["key"] == [one["kind"] for one in cli.json("control", "paused")["paused"]]


def test_name_that_no_worker_knows_is_refused(cli: Cli, bridge: Bridge):
    """A typo pauses nothing, and the nearest name is told; ``--anyway`` pauses it, and says what is doubted."""
    a_worker(bridge.store)

    refused = cli("control", "pause", "task", "app.bom")
    assert (1, []) == (refused.exit_code, bridge.store.control.pauses())
    assert "app.boom" in refused.stderr

    paused = cli("control", "pause", "task", "app.bom", "--anyway")
    assert 0 == paused.exit_code
    assert "no live worker knows such a task" in paused.stderr


def test_pause_without_workers_is_taken_with_a_remark(cli: Cli, bridge: Bridge):
    """Nobody could know the name then, and pausing before they start is wanted."""
    paused = cli("control", "pause", "task", "app.any")

    assert 0 == paused.exit_code
    assert "no worker lives" in paused.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pause", "queue", "emails"), "is paused already since"),
        (("resume", "queue", "email"), "email is not paused; did you mean 'emails'?"),
        (("resume", "task", "x"), "is not paused; no task is"),
        (("cancel", "one two"), "expected the id of a message"),
        (("pause", "key", "a\x1b[2Jb"), "printable"),
    ],
)
def test_what_makes_no_sense_is_refused(cli: Cli, bridge: Bridge, words: tuple[str, ...], says: str):
    """With why, exit code 1, and nothing changed."""
    pause(bridge, "queue", "emails")
    before = bridge.store.control.pauses()

    result = cli("control", *words)

    assert 1 == result.exit_code
    assert says in result.stderr
    assert before == bridge.store.control.pauses()


def test_each_is_cancelled_or_told_why_not(cli: Cli, bridge: Bridge):
    """Waiting, running, never seen, dead: the exit code says that one had ended."""
    waits, runs, unseen = a_message(), begun(bridge.store, a_message()), a_message()
    bridge.store.outbox.put([waits], 60_000)
    dead = settled(bridge.store, a_message(), "DEAD", why="OSError")

    said = cli.json("control", "cancel", waits.id, runs.id, unseen.id, dead.id, "--why", "twice", code=1)

    assert [(waits.id, True), (runs.id, False), (unseen.id, False)] == [
        (one["id"], one["ended"]) for one in said["cancelled"]
    ]
    assert [dead.id] == [one["id"] for one in said["refused"]]
    assert "is dead already (OSError)" in said["refused"][0]["why"]
    record = bridge.store.messages.look(waits.id)
    assert record
    assert f"cancelled by {whoami()}: twice" == record.why


def test_native_id_is_recognised_too(cli: Cli, bridge: Bridge):
    """The store calls what a native producer sent by its id and a count."""
    cli("control", "cancel", "native-1")

    assert ["DONE", "DONE"] == [
        record.state for id in ("native-1", "native-1#0") if (record := bridge.store.messages.look(id))
    ]


@pytest.mark.parametrize("fails", ["cancel", "record_all"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_cancel_that_got_no_answer_is_made_again(bridge: Bridge, monkeypatch: pytest.MonkeyPatch, fails: str, at: int):
    """Whatever was done by then: the store recognises it by either name, and has workers ask about it."""
    control, calls = type(bridge.store.control), list[str]()
    unhurt = getattr(control, fails)

    def fail(*words: object, **more: object) -> object:
        calls.append(fails)
        if len(calls) == at + 1:
            raise StoreUnavailable("away")
        return unhurt(*words, **more)

    monkeypatch.setattr(control, fails, fail)
    for _ in range(2):
        with suppress(StoreUnavailable, ConfigError):
            cancel(bridge, "native-1")

    assert ["DONE", "DONE"] == [
        record.state for id in ("native-1", "native-1#0") if (record := bridge.store.messages.look(id))
    ]
    assert bridge.store.control.halts().records


def test_last_retry_of_a_native_message_is_meant(bridge: Bridge):
    """Its engine's own retries are told apart by the store; whoever asks for the id means the one that stands."""
    first, second = (a_message(id=f"native-1#{n}") for n in range(2))
    settled(bridge.store, first, "DONE")
    begun(bridge.store, second)

    assert (second.id, "running") == (why(bridge, "native-1").id, why(bridge, "native-1").state)
    assert (second.id, False) == ((done := cancel(bridge, "native-1")).id, done.ended)


def test_kill_says_whether_somebody_will(bridge: Bridge):
    """A child of a live worker of ours, or a process that nobody ends."""
    a_worker(bridge.store, "host.1.ab")
    ours, native = begun(bridge.store, a_message()), begun(bridge.store, a_message(), "host.2.abcdef:celery:1")

    assert "is ended within two seconds" in cancel(bridge, ours.id, kill=True).says
    assert "is not ended" in cancel(bridge, native.id, kill=True).says


def test_link_of_a_chain_that_stands_is_cancelled(bridge: Bridge):
    """By the chain's id, and so the chain ends."""
    task = bridge.task(name="app.link", queue="emails")(lambda: None)
    sent = (task.si() | task.si()).enqueue()

    done = cancel(bridge, sent.chain)

    assert ("chain", True) == (done.kind, done.ended)
    assert bridge.store.chains.look(sent.chain) is None


def test_link_that_is_a_run_is_cancelled(bridge: Bridge):
    """Its first message has ended long since; the chunk that stands ends, the run, and the chain with them."""
    task = bridge.task(name="app.link", queue="emails")(lambda: None)
    sent = (task.si() | task.si()).enqueue()
    (link,) = take(bridge.store)
    begin(bridge.store, link, "c0")
    open_run(bridge.store, link, "c0")
    chunk = link.copy(id=f"{link.id}:1", seq=1)
    finish(bridge.store, link, "c0", next=Next(did=10, message=chunk))
    assert (chunk.id, "ready") == (why(bridge, sent.chain).id, why(bridge, sent.chain).state)

    done = cancel(bridge, sent.chain)

    assert ("chain", True) == (done.kind, done.ended)
    run = bridge.store.runs.look(link.id)
    assert run
    assert "cancelled" == run.state
    assert bridge.store.chains.look(sent.chain) is None


@pytest.mark.parametrize("runs", [False, True])
def test_why_a_run_was_cancelled_is_kept(cli: Cli, bridge: Bridge, runs: bool):
    """In the audit log, with the run, and with its chunk."""
    first = start(bridge.store, "host.1.ab.0.1:celery:1")
    if not runs:
        goes_on(bridge.store, first, "host.1.ab.0.1:celery:1")

    assert 0 == cli("control", "cancel", first.id, "--kill", "--why", "twice").exit_code
    if runs:
        bridge.store.claims.lose(first.id, "host.1.ab.0.1:celery:1")

    assert [("runs cancel", first.id, "why=twice, kill=True")] == noted(bridge.store)
    run, chunk = seen(bridge.store, first), first if runs else after(first)
    record = bridge.store.messages.look(chunk.id)
    assert record
    assert ["cancelled", *[f"cancelled by {whoami()}: twice"] * 2] == [run.state, run.error, record.why]
    assert "twice" in cli("runs", "show", first.id).stdout


def test_listeners_hear_of_a_run_that_was_cancelled(bridge: Bridge):
    """Of its chunk that never runs; of one that runs they hear when it ends."""
    heard: list[Dropped] = []
    bridge.events.subscribe(heard.append, Dropped)
    waits, runs = start(bridge.store, "c0"), start(bridge.store, "c1")
    goes_on(bridge.store, waits, "c0")

    for run in (waits, runs):
        cancel(bridge, run.id, who="me")

    assert [(after(waits).id, "cancelled", "cancelled by me")] == [(one.id, one.how, one.why) for one in heard]


def test_listeners_are_told(bridge: Bridge):
    """It was dropped: no failure."""
    heard: list[Dropped] = []
    bridge.events.subscribe(heard.append, Dropped)
    message = a_message()
    bridge.store.outbox.put([message], 60_000)

    cancel(bridge, message.id, who="me")

    assert [(message.id, "tests.send", "mail", "cancelled", "cancelled by me")] == [
        (one.id, one.task, one.queue, one.how, one.why) for one in heard
    ]


def test_every_action_is_noted_before_it_is_done(cli: Cli, bridge: Bridge):
    """Of the command, whatever it changes; what is refused is noted again, and looking is noted nowhere."""
    dead = settled(bridge.store, a_message(), "DEAD", why="OSError")
    for words in (
        "limits set provider 10/s",
        "limits resume provider",
        "locks break user:7 --yes",
        f"dead replay {dead.id}",
        "purge emails --yes",
        "runs cancel nowhere --yes",
        "schedules pause nowhere",
        "routes remove nowhere",
        "limits list",
    ):
        cli(*words.split())

    verbs = [(verb, subject, detail.startswith("refused: ")) for verb, subject, detail in noted(bridge.store)]
    assert [
        ("limits set", "provider", False),
        ("limits resume", "provider", False),
        ("limits resume", "provider", True),
        ("locks break", "user:7", False),
        ("locks break", "user:7", True),
        ("dead replay", dead.id, False),
        ("schedules pause", "nowhere", False),
        ("schedules pause", "nowhere", True),
        ("routes remove", "routes", False),
        ("routes remove", "routes", True),
    ] == verbs
    assert ("limits set", "provider", "rate=10/s") == noted(bridge.store)[0]


def test_what_it_was_done_with_is_noted(cli: Cli, bridge: Bridge):
    """What is not as it is by default, zeros included; what is done to the only one that there is says so."""
    team = {"low": Team(1, ["emails"])}
    told = Announcement(name="w.1.ab", backends=["celery"], queues=["emails"], processes=1, tasks={}, groups=team)
    announce(bridge.store, told)

    cli("workers", "scale", "low", "0")
    cli("migrate", "share", "0")
    cli("limits", "set", "provider", "10/s")

    entries = [entry for entry in noted(bridge.store) if not entry[2].startswith("refused")]
    assert [
        ("workers scale", "low", "processes=0"),
        ("migrate share", "the only one", "percent=0"),
        ("limits set", "provider", "rate=10/s"),
    ] == [(verb, subject, detail.replace("0.0", "0")) for verb, subject, detail in entries]


def test_what_is_no_text_is_refused_and_noted(bridge: Bridge):
    """As half a surrogate pair is, that some other caller passes: in words, and with nothing done."""
    for refused in (
        lambda: pause(bridge, "queue", "\udcff"),
        lambda: cancel(bridge, "\udcff"),
    ):
        with pytest.raises(ConfigError, match="expected the"):
            refused()

    assert [("pause", "queue \\udcff")] * 2 == [entry[:2] for entry in noted(bridge.store)]


def test_who_it_was_is_noted(cli: Cli, bridge: Bridge):
    """Whoever offers the action says for whom; nobody is who runs the process."""
    limits.pause(bridge.store, "provider", who="ann@example.org")
    with pytest.raises(ConfigError):
        limits.resume(bridge.store, "other", who="bob")

    entries = cli.json("control", "audit", "--limit", "2")["audit"]

    assert [("bob", True), ("bob", False)] == [(one["who"], one["detail"].startswith("refused")) for one in entries]
    assert "ann@example.org" in cli("control", "audit").stdout


def test_terminal_is_not_steered_by_what_was_said(cli: Cli, bridge: Bridge):
    """Escapes in a reason are shown as text."""
    pause(bridge, "queue", "emails", why="\x1b[2Jgone")

    for verb in ("paused", "audit"):
        assert "\x1b" not in cli("control", verb).stdout


@pytest.mark.parametrize("words", ["pause queue emails", "resume queue emails", "cancel x", "paused", "audit"])
def test_store_that_is_away_is_said(cli: Cli, nowhere: str, words: str):
    """In one clear line: exit code 1, no traceback, no password."""
    cli.set(BROKER_URL=nowhere)

    result = cli("control", *words.split())

    assert (1, 1) == (result.exit_code, len(result.stderr.splitlines()))
    assert "hush" not in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_full_store_takes_what_operators_say(cli: Cli, bridge: Bridge, redis_server: RedisServer):
    """Pauses, cancels and the audit log work when memory is full: that is when they are wanted."""
    message = a_message()
    bridge.store.outbox.put([message], 60_000)
    server = redis_server.cli()
    before = server.config_get("maxmemory")["maxmemory"]
    server.config_set("maxmemory", 1)
    try:
        codes = [
            cli("control", *words.split()).exit_code
            for words in ("pause queue emails", f"cancel {message.id}", "resume queue emails", "cancel never-seen")
        ]
    finally:
        server.config_set("maxmemory", before)

    assert [0] * 4 == codes
    assert ["pause", "cancel", "resume", "cancel"] == [verb for verb, _, _ in noted(bridge.store)]
    assert bridge.store.control.halts().records
