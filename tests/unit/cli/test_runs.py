"""``taskbridge runs``, and what other verbs say of a chunk."""

from __future__ import annotations

import pytest
from msgspec import Raw

from taskbridge import Bridge
from taskbridge.message import Message, decode
from taskbridge.store import Store
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import a_run, after, ends, enqueue, follow, goes_on, start
from taskbridge.testing.laws.steps import begin, finish, look, publish
from tests.servers import RedisServer, age

from .conftest import Cli


@pytest.fixture
def store(bridge: Bridge) -> Store:
    return bridge.store


def test_runs_are_listed(cli: Cli, store: Store):
    """Those that go on before those that have ended, however new; how far, where, and what went wrong."""
    older = start(store, "c0")
    goes_on(store, older, "c0")
    failed = start(store, "c1")
    finish(store, failed, "c1", "DEAD", why="OSError: away")

    found = cli.json("runs", "list")["runs"]

    assert [(older.id, "waiting", 10), (failed.id, "failed", 0)] == [
        (one["id"], one["state"], one["done"]) for one in found
    ]
    shown = cli("runs", "list").stdout
    assert "10 of 100 (10 %), " in shown
    assert "OSError: away" in shown
    assert 1 == len(cli.json("runs", "list", "--limit", "1")["runs"])


def test_no_run_is_said_so(cli: Cli):
    """An empty table is no answer."""
    assert "no run is known" in cli("runs", "list").stdout


def test_run_is_shown_with_its_pace(cli: Cli, store: Store, redis_server: RedisServer):
    """How much of how many, how fast, how long it takes; where it stands, and what it has enqueued."""
    first = start(store, max_backlog=5, pause_ms=2_000)
    enqueue(store, first, "c0", a_message(), a_message())
    age(redis_server.cli(), "taskbridge", 1_000_000)
    goes_on(store, first, "c0")

    found = cli.json("runs", "show", first.id)
    shown = cli("runs", "show", first.id).stdout

    assert (10, 100, 10, 1) == (found["done"], found["total"], found["position"], found["chunk"])
    assert 0.008 < found["per_s"] <= 0.01
    assert 9_000_000 <= found["left_ms"] < 11_250_000
    assert "10 of 100 (10 %), " in shown
    assert "range      ids from 0 to 100" in shown
    assert "enqueued   2, of which 2 have not ended; at most 5 may be open" in shown
    assert "pause      2 s" in shown


@pytest.mark.parametrize(
    ("how", "word", "told"),
    [
        ("running", "running", "chunk 0 runs"),
        ("delayed", "waiting", "chunk 1 is due at 20"),
        ("ready", "waiting", "chunk 1 waits for a worker"),
        ("retried", "waiting", "last time: OSError: no"),
        ("backlog", "backlog", "1 of what it has enqueued have not ended, and 0 may be open"),
        ("pausing", "pausing", "chunk 0 runs; the run rests after it"),
        ("paused", "paused", "before chunk 1; taskbridge runs resume"),
        ("stopping", "stopping", "chunk 0 runs; the run ends with it"),
        ("cancelled", "cancelled", "at 20"),
        ("failed", "failed", "OSError: no; taskbridge dead replay"),
        ("done", "done", "at 20"),
        ("dropped", "dropped", "dropped: nothing to do"),
    ],
)
def test_every_state_is_told_with_its_reason(cli: Cli, store: Store, how: str, word: str, told: str):
    """What it waits for, and how it goes on."""
    first = brought_to(store, how)

    found = cli.json("runs", "show", first.id)

    assert word == found["state"]
    assert told in found["why"]


def test_run_is_paused_and_goes_on(cli: Cli, store: Store):
    """Each verb says how the run stands then."""
    first = start(store)
    while_it_runs = cli("runs", "pause", first.id)
    goes_on(store, first, "c0")
    again = cli("runs", "pause", first.id)
    held = look(store, after(first)).state
    resumed = cli("runs", "resume", first.id)

    assert [0, 0, 0] == [one.exit_code for one in (while_it_runs, again, resumed)]
    assert f"{first.id} is pausing: chunk 0 runs" in while_it_runs.stdout
    assert f"{first.id} is paused" in again.stdout
    assert f"{first.id} is waiting: chunk 1" in resumed.stdout
    assert ("HELD", "READY") == (held, look(store, after(first)).state)


def test_cancel_asks_first(cli: Cli, store: Store):
    """It cannot be taken back."""
    first = start(store)
    goes_on(store, first, "c0")

    refused = cli("runs", "cancel", first.id, input="n\n")
    still = cli.json("runs", "show", first.id)["state"]
    done = cli("runs", "cancel", first.id, "--yes")

    assert (1, "waiting", 0) == (refused.exit_code, still, done.exit_code)
    assert "10 of 100 (10 %)" in refused.output
    assert "is cancelled" in done.stdout


@pytest.mark.parametrize(("to", "at", "done"), [((), "0", 0), (("--to", "40"), "40", 40)])
def test_paused_run_is_rewound(cli: Cli, store: Store, to: tuple[str, ...], at: str, done: int):
    """To the start or a cursor, in a new chunk of the same task; it rests there until it is resumed."""
    first = start(store, message=a_run(args=Raw(b'["monthly"]')))
    goes_on(store, first, "c0")
    goes_on(store, follow(store, "c1"), "c1")
    cli("runs", "pause", first.id)

    said = cli("runs", "rewind", first.id, *to)

    assert 0 == said.exit_code, said.output
    assert "is paused: before chunk 3" in said.stdout
    found = cli.json("runs", "show", first.id)
    assert (int(at), done, 1) == (found["position"], found["done"], found["round"])
    message = decode(look(store, after(first, by=3)).body)
    assert message.flow is not None
    assert (first.id, 3, 1, Raw(at.encode())) == (
        message.flow.run,
        message.flow.chunk,
        message.flow.round,
        message.flow.at,
    )
    assert (f"{first.id}:3", b'["monthly"]', 1) == (message.id, bytes(message.args), message.attempt)
    cli("runs", "resume", first.id)
    assert message.id == follow(store, "c2").id


def test_failed_run_is_rewound_and_goes_on(cli: Cli, store: Store):
    """Its dead letter is gone; also the first chunk's."""
    first = start(store)
    finish(store, first, "c0", "DEAD", why="no")

    said = cli("runs", "rewind", first.id)

    assert "is waiting: chunk 1" in said.stdout
    assert 0 == cli.json("dead", "list")["total"]
    copy = follow(store, "c1")
    assert copy.flow is not None
    assert (first.id, Raw(b"0")) == (copy.flow.run, copy.flow.at)


def test_pace_counts_from_the_rewind(cli: Cli, store: Store, redis_server: RedisServer):
    """What was done before tells nothing of how long the rest takes."""
    first = start(store)
    finish(store, first, "c0", "DEAD", why="no")
    age(redis_server.cli(), "taskbridge", 3_600_000)
    cli("runs", "rewind", first.id, "--to", "90")
    age(redis_server.cli(), "taskbridge", 1_000)

    assert (90, 0.0, None) == tuple(cli.json("runs", "show", first.id)[key] for key in ("done", "per_s", "left_ms"))


@pytest.mark.parametrize(
    ("how", "words", "told"),
    [
        ("running", ["rewind"], "pause it first, taskbridge runs pause"),
        ("ready", ["rewind"], "pause it first, taskbridge runs pause"),
        ("pausing", ["rewind"], "is not at rest yet: chunk 0 runs"),
        ("done", ["rewind"], "has ended (done at 20"),
        ("cancelled", ["rewind"], "start a new one"),
        ("failed", ["pause"], "replay or purge its chunk: taskbridge dead show"),
        ("failed", ["cancel", "--yes"], "replay or purge its chunk"),
        ("done", ["resume"], "has ended (done at 20"),
        ("ready", ["resume"], "is not paused: chunk 1 waits for a worker"),
        ("paused", ["rewind", "--to", "100"], "expected a cursor from 0 up to and without 100, got 100"),
        ("paused", ["rewind", "--to", "-1"], "expected a cursor from 0 up to and without 100, got -1"),
        ("paused", ["rewind", "--to", "soon"], "expected a cursor of ids, got b'\"soon\"'"),
    ],
)
def test_what_cannot_be_is_refused(cli: Cli, store: Store, how: str, words: list[str], told: str):
    """With what to do instead; nothing is changed."""
    first = brought_to(store, how)
    before = store.runs.look(first.id)

    said = cli("runs", words[0], first.id, *words[1:])

    assert 1 == said.exit_code, said.output
    assert told in said.stderr
    assert before == store.runs.look(first.id)


@pytest.mark.parametrize("verb", ["show", "pause", "resume", "cancel", "rewind"])
def test_unknown_run_is_refused(cli: Cli, verb: str):
    """It says where to look."""
    said = cli("runs", verb, "nobody")

    assert 1 == said.exit_code
    assert "no run is called 'nobody'; taskbridge runs list" in said.stderr


def test_range_of_a_function_is_rewound_anywhere(cli: Cli, store: Store):
    """Only the task knows what a cursor means; text that is no JSON is a text."""
    bounds = Raw(b'{"kind":"keyset","start":null}')
    message = a_run()
    begin(store, message, "c0")
    store.runs.open(message, "c0", bounds=bounds, at=Raw(b"null"), total=-1, max_backlog=-1, pause_ms=0)
    cli("runs", "pause", message.id)
    goes_on(store, message, "c0")

    said = cli("runs", "rewind", message.id, "--to", "key-7")

    assert 0 == said.exit_code, said.output
    found = cli.json("runs", "show", message.id)
    assert ("key-7", 0, -1, None) == (found["position"], found["done"], found["total"], found["left_ms"])


def test_time_without_steps_is_told_as_time(cli: Cli, store: Store):
    """Its unit is the microsecond, which nobody reads."""
    bounds = Raw(b'{"kind":"times","start":"2026-01-01T00:00:00Z","stop":"2026-01-01T10:00:00Z","total":36000000000}')
    message = a_run()
    begin(store, message, "c0")
    store.runs.open(
        message,
        "c0",
        bounds=bounds,
        at=Raw(b'"2026-01-01T00:00:00Z"'),
        total=36_000_000_000,
        max_backlog=-1,
        pause_ms=0,
    )
    cli("runs", "pause", message.id)
    goes_on(store, message, "c0")
    cli("runs", "rewind", message.id, "--to", "2026-01-01T02:30:00Z")

    assert "2 h 30 min of 10 h (25 %)" in cli("runs", "show", message.id).stdout


def test_watch_ends_with_the_run(cli: Cli, store: Store):
    """The last picture stays."""
    first = start(store)
    ends(store, first, "c0")

    said = cli("runs", "show", first.id, "--watch")

    assert 0 == said.exit_code, said.output
    assert "state      done" in said.stdout


def test_watch_and_json_are_two_things(cli: Cli, store: Store):
    """A program reads again by itself."""
    assert 2 == cli("runs", "show", "x", "--watch", "--json").exit_code


@pytest.mark.parametrize("which", ["first", "second"])
def test_status_of_a_chunk_tells_its_run(cli: Cli, store: Store, which: str):
    """While it is on its way, and when it has ended: the id that enqueue returned is the run's."""
    first = start(store)
    goes_on(store, first, "c0")
    id = first.id if which == "first" else after(first).id

    found = cli.json("status", id)

    assert (first.id, "waiting") == (found["run"], found["run_state"])
    assert f"a chunk of a run, which is waiting; see taskbridge runs show {first.id}" in cli("status", id).stdout


def test_status_of_another_message_tells_none(cli: Cli, store: Store):
    """Not even of one that a run has enqueued."""
    first, mail = start(store), a_message()
    enqueue(store, first, "c0", mail)

    assert "run" not in cli.json("status", mail.id)


def test_status_of_a_held_chunk(cli: Cli, store: Store):
    """And queues count it."""
    first = brought_to(store, "paused")

    found = cli.json("status", after(first).id)

    assert ("held", "paused") == (found["state"], found["run_state"])
    (queue,) = cli.json("queues")["queues"]
    assert ("walks", 1) == (queue["queue"], queue["held"])


def test_dead_letter_of_a_chunk_names_its_run(cli: Cli, store: Store):
    """Replaying it goes on with more than a message."""
    first = brought_to(store, "failed")

    assert first.id == cli.json("dead", "show", first.id)["run"]
    assert f"run        {first.id}: it has failed" in cli("dead", "show", first.id).stdout


def test_purge_tells_of_runs_that_end(cli: Cli, bridge: Bridge, store: Store):
    """A chunk in the queue is more than one message."""
    first = start(store)
    goes_on(store, first, "c0")
    for copy in publish(store):
        bridge.backend("celery").publish([copy])

    said = cli("purge", "walks", "--yes")

    assert 0 == said.exit_code, said.output
    assert f"these runs have ended: {first.id}" in said.stdout
    assert "dropped" == cli.json("runs", "show", first.id)["state"]


def brought_to(store: Store, how: str) -> Message:
    """Bring a run to such a state; returns its first chunk."""
    first = start(store, max_backlog=0, pause_ms=60_000 if how == "delayed" else 0)
    if how in ("pausing", "paused"):
        store.runs.steer(first.id, "pause")
    if how in ("stopping", "cancelled"):
        store.runs.steer(first.id, "cancel")
    if how == "backlog":
        enqueue(store, first, "c0", a_message())
    if how in ("delayed", "ready", "backlog", "paused", "cancelled"):
        goes_on(store, first, "c0")
    elif how == "retried":
        finish(store, first, "c0", "READY", counted=True, why="OSError: no")
    elif how == "failed":
        finish(store, first, "c0", "DEAD", why="OSError: no")
    elif how == "done":
        ends(store, first, "c0")
    elif how == "dropped":
        finish(store, first, "c0", why="dropped: nothing to do")
    return first
