"""``taskbridge dead``."""

from __future__ import annotations

import base64

import msgspec
import pytest

from taskbridge import Bridge
from taskbridge.message import Message
from taskbridge.testing import a_message

from .conftest import Cli, settled

#: Bytes that are no message, and no text.
BYTES = b"\x00\x1b[2J{not json\r\n\x80"


@pytest.fixture
def letter(bridge: Bridge) -> Message:
    message = a_message(queue="emails", args=msgspec.Raw(b'["a\x7f\\u001b"]'), kwargs=msgspec.Raw(b'{"n": 1}'))
    return settled(
        bridge.store, message, "DEAD", why="failed 3 times", traceback='File "x.py"\n  OSError: \x1b[31mno\n'
    )


@pytest.fixture
def raw(bridge: Bridge) -> str:
    bridge.store.dead.bury("raw-1", "emails", BYTES, "expected a message")
    return "raw-1"


def state(bridge: Bridge, id: str) -> str:
    """The state of a message that has a record."""
    record = bridge.store.messages.look(id)
    assert record is not None
    return record.state


def test_list_shows_the_newest_first(cli: Cli, bridge: Bridge):
    """Page by page, with how many there are."""
    for n in range(5):
        settled(bridge.store, a_message(id=f"m{n}"), "DEAD", why=f"why {n}")

    pages = [cli.json("dead", "list", "--limit", "2", "--offset", str(offset)) for offset in (0, 2, 4)]

    shown = [one for page in pages for one in page["dead"]]
    assert {"m0", "m1", "m2", "m3", "m4"} == {one["id"] for one in shown}
    assert sorted((one["at_ms"] for one in shown), reverse=True) == [one["at_ms"] for one in shown]
    assert [5, 5, 5] == [page["total"] for page in pages]
    assert "1 of 5 dead letters" in cli("dead", "list", "--offset", "4").stdout


def test_empty_list_is_no_error(cli: Cli):
    """There are none."""
    assert "0 of 0 dead letters" in cli("dead", "list").stdout


def test_show_has_all_there_is(cli: Cli, letter: Message):
    """Task, arguments, why, traceback."""
    said = cli.json("dead", "show", letter.id)

    assert {
        "task": letter.task,
        "args": ["a\x7f\x1b"],
        "kwargs": {"n": 1},
        "why": "failed 3 times",
    }.items() <= said.items()
    assert "OSError" in said["traceback"]


def test_show_cannot_steer_the_terminal(cli: Cli, letter: Message, raw: str):
    """Arguments, tracebacks and raw bytes are strangers' text; line ends of a traceback stay."""
    shown = cli("dead", "show", letter.id).output + cli("dead", "show", raw).output + cli("dead", "list").output

    assert 'File "x.py"\n  OSError: \\x1b[31mno\n' in shown
    assert "\\x00\\x1b[2J{not json\\r\\n\\x80" in shown
    assert not {"\x1b", "\x00", "\x7f", "\r"} & set(shown)


def test_raw_bytes_are_shown_as_they_are(cli: Cli, raw: str):
    """Byte for byte, for programs in base64."""
    said = cli.json("dead", "show", raw)

    assert said["task"] is None
    assert BYTES == base64.b64decode(said["raw_base64"])


def test_unknown_letter_is_an_error(cli: Cli, bridge: Bridge):
    """Whether nobody knows it, or it is not dead."""
    bridge.store.outbox.put([message := a_message()], 60_000)

    assert "no dead letter has the id 'nobody'" in cli("dead", "show", "nobody").stderr
    assert "is not dead" in cli("dead", "show", message.id).stderr
    assert 1 == cli("dead", "show", message.id).exit_code


def test_replay_makes_ready(cli: Cli, bridge: Bridge, letter: Message):
    """Of several ids, each is answered for; what cannot be is refused with its reason: exit code 1."""
    result = cli("dead", "replay", letter.id, "nobody")

    assert 1 == result.exit_code
    assert "no dead letter has the id 'nobody'" in result.stderr
    assert "1 replayed" in result.stdout
    assert "READY" == state(bridge, letter.id)


def test_replay_of_raw_bytes_is_refused(cli: Cli, bridge: Bridge, raw: str):
    """No engine could read them; they stay where they are."""
    result = cli("dead", "replay", raw)

    assert 1 == result.exit_code
    assert "bytes that no engine could read" in result.stderr
    assert "DEAD" == state(bridge, raw)


def test_purge_ends_for_good(cli: Cli, bridge: Bridge, letter: Message, raw: str):
    """Messages and raw bytes alike."""
    result = cli("dead", "purge", letter.id, raw)

    assert 0 == result.exit_code
    assert ["DONE", "DONE"] == [state(bridge, letter.id), state(bridge, raw)]


@pytest.mark.parametrize(("verb", "end"), [("replay", "READY"), ("purge", "DONE")])
def test_all_asks_first(cli: Cli, bridge: Bridge, letter: Message, verb: str, end: str):
    """No is no, silence is no, ``--yes`` is yes."""
    refused = [cli("dead", verb, "--all", input=answer) for answer in ("n\n", "")]
    before = state(bridge, letter.id)
    done = cli("dead", verb, "--all", "--yes")

    assert [1, 1] == [one.exit_code for one in refused]
    assert "1 dead letters?" in refused[0].output
    assert "DEAD" == before
    assert (0, end) == (done.exit_code, state(bridge, letter.id))


@pytest.mark.parametrize("verb", ["replay", "purge"])
def test_some_and_all_are_two_things(cli: Cli, bridge: Bridge, letter: Message, verb: str):
    """Neither and both are refused, and nothing is touched."""
    refused = [cli("dead", verb, *words) for words in ([], ["--all", letter.id])]

    assert [2, 2] == [one.exit_code for one in refused]
    assert all("expected ids or --all, and not both" in one.stderr for one in refused)
    assert "DEAD" == state(bridge, letter.id)


def test_all_is_all_there_are(cli: Cli, bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """Also when they fill several pages."""
    monkeypatch.setattr("taskbridge.operations.letters.PAGE", 2)
    for n in range(5):
        settled(bridge.store, a_message(id=f"m{n}"), "DEAD")

    result = cli("dead", "purge", "--all", input="y\n")

    assert "5 purged" in result.stdout
    assert [] == bridge.store.dead.list(10)


def test_no_password_of_a_url_is_shown(cli: Cli, bridge: Bridge):
    """In a reason or a traceback, as text or as JSON."""
    said = "OSError: redis://:hush@host/0 is away"
    message = settled(bridge.store, a_message(), "DEAD", why=said, traceback=f"Traceback\n{said}")

    shown = [cli("dead", *words).stdout for words in (("list",), ("list", "--json"), ("show", message.id))]
    shown.append(cli("dead", "show", message.id, "--json").stdout)

    assert [True] * 4 == ["OSError: redis://" in text for text in shown]
    assert [] == [text for text in shown if "hush" in text]
