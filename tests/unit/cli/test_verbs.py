"""What every verb has in common: help, usage, errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest

from taskbridge import Bridge
from taskbridge.cli import Verbs

from .conftest import Cli

#: Each verb with what it needs to ask broker or store for something.
ASKING = {
    "batches list": ["batches", "list"],
    "batches show": ["batches", "show", "an-id"],
    "queues": ["queues", "--queues", "emails"],
    "status": ["status", "an-id"],
    "dead list": ["dead", "list"],
    "messages": ["messages"],
    "dead show": ["dead", "show", "an-id"],
    "dead replay": ["dead", "replay", "an-id"],
    "dead purge": ["dead", "purge", "--all"],
    "purge": ["purge", "emails"],
    "send": ["send", "app.boom", "--module", "app"],
    "delayed send": ["send", "app.boom", "--module", "app", "--delay", "60"],
    "check": ["check"],
}


def verbs() -> Iterator[str]:
    """Every verb, and every word below it."""
    for verb in Verbs.names:
        yield verb
        found = getattr(import_module(f"taskbridge.cli.{verb}"), verb)
        yield from (f"{verb} {word}" for word in getattr(found, "commands", ()))


@pytest.mark.parametrize("verb", list(verbs()))
def test_every_verb_shows_examples(cli: Cli, verb: str):
    """``--help`` of a verb ends with commands that can be copied, each of that verb."""
    result = cli(*verb.split(), "--help")

    examples = result.stdout.partition("Examples:")[2].strip().splitlines()
    assert 0 == result.exit_code
    assert [] == [line for line in examples if not line.strip().startswith(f"taskbridge {verb}")]
    assert examples


@pytest.mark.parametrize("verb", ["", *sorted({verb.partition(" ")[0] for verb in verbs() if " " in verb})])
def test_what_a_verb_does_is_told_as_a_whole(cli: Cli, verb: str):
    """In the list of verbs: no sentence is cut off."""
    listed = cli(*verb.split(), "--help").stdout.partition("Commands:")[2].partition("Examples:")[0]

    assert listed
    assert [] == [line for line in listed.splitlines() if line.endswith("...")]


def test_help_imports_nothing_heavy():
    """``taskbridge --help`` costs what the core costs: no client, no engine, no table is loaded."""
    program = "import sys; from taskbridge.cli import taskbridge; taskbridge(['--help'], standalone_mode=False)"
    program += "; print('LOADED', *{name.partition('.')[0] for name in sys.modules})"

    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    loaded = set(shown.partition("LOADED")[2].split())
    assert set() == loaded & {"rich", "redis", "celery", "dramatiq", "kombu", "django"}


def test_unknown_verb_is_a_usage_error(cli: Cli):
    """It names the nearest verb that there is."""
    result = cli("quues")

    assert 2 == result.exit_code
    assert "did you mean 'queues'?" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["relay", "--log-level", "LOUD"],
        ["worker", "app", "--processes", "0"],
        ["worker", "app", "--queues", "two words"],
        ["worker"],
        ["check", "--chdir", "no/such/place"],
        ["send", "x", "--queue", "q", "--priority", "10"],
        ["send", "x", "--queue", "q", "--delay", "-1"],
        ["send", "x", "--queue", "mail-high"],
        ["status", "x", "--scan", "many"],
        ["queues", "--queues", "emails,no/queue"],
        ["purge", "1st"],
        ["dead", "list", "--limit", "0"],
        ["messages", "--state", "attic"],
        ["messages", "--queue", "two words"],
        ["batches", "list", "--limit", "0"],
        ["dead", "replay"],
        ["dead", "purge", "an-id", "--all"],
        ["tasks"],
    ],
)
def test_wrong_value_is_a_usage_error(cli: Cli, words: list[str]):
    """What was expected is said, and nothing is done: exit code 2."""
    result = cli(*words)

    assert 2 == result.exit_code
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        "control pause queue X",
        "control pause queue emails --why X",
        "control cancel abc X",
        "why X",
        "status X",
        "workers scale X 1",
        "locks break X",
        "dead purge X --yes",
        "limits set X 1/s",
        "schedules pause X",
        "routes remove X",
    ],
)
def test_word_that_is_no_text_is_a_usage_error(cli: Cli, bridge: Bridge, words: str):
    """Bytes that are no UTF-8, which the store cannot be told: nothing is done of the command, and it is said why."""
    result = cli(*words.replace("X", "\udcff").split())

    assert 2 == result.exit_code
    assert "expected text in UTF-8, got '\\udcff'" in result.stderr
    assert [] == bridge.store.audit.read(10)


@pytest.mark.parametrize("verb", ASKING)
def test_server_that_is_away_is_an_error(cli: Cli, nowhere: str, verb: str):
    """One clear line that says who is away, exit code 1, no traceback and no password."""
    cli.set(BROKER_URL=nowhere)

    result = cli(*ASKING[verb])

    assert 1 == result.exit_code
    assert "is away: " in result.output
    assert "Traceback" not in result.output
    assert "hush" not in result.output


@pytest.mark.parametrize("verb", [name for name in ASKING if name != "send"])
def test_store_that_is_away_is_an_error(cli: Cli, nowhere: str, verb: str):
    """Also when the broker answers."""
    cli.set(STORE_URL=nowhere)

    result = cli(*ASKING[verb])

    assert 1 == result.exit_code
    assert "is away: " in result.output
    assert "hush" not in result.output


def test_send_does_without_the_store(cli: Cli, nowhere: str):
    """A plain message needs the broker only."""
    cli.set(STORE_URL=nowhere)

    assert 0 == cli(*ASKING["send"]).exit_code


@pytest.mark.parametrize("verb", [*ASKING, "relay"])
def test_unknown_backend_is_an_error(cli: Cli, verb: str):
    """Settings that do not hold are refused by every verb, with the nearest known name."""
    cli.set(BACKEND="celry")

    result = cli(*ASKING.get(verb, [verb]))

    assert 1 == result.exit_code
    assert "did you mean 'celery'?" in result.output


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("localhost", "expected a URL such as redis://"),
        ("http://:hush@localhost", "expected a broker URL of redis://"),
        ("redis://:hush@localhost/one", "expected a database number"),
        ("redis://:hush@localhost:port", "port number"),
        ("redis://:hu/hush@localhost/0", "to be written %2F"),
        ("redis://:hu@hush@localhost/one", "expected a database number"),
        ("redis://localhost/0?password=hush&nonsense=1", "nonsense"),
        ("sentinel://:hush@localhost", "expected sentinel://"),
    ],
)
def test_bad_url_is_an_error(cli: Cli, nowhere: str, url: str, told: str):
    """It says what was expected and shows no password, however badly that is written."""
    cli.set(BROKER_URL=url, STORE_URL=nowhere)

    result = cli("purge", "emails")

    assert 1 == result.exit_code
    assert told in result.stderr
    assert "hush" not in result.output


def test_error_cannot_steer_the_terminal(cli: Cli):
    """Whatever a foreign word in it holds."""
    result = cli("dead", "show", "\x1b]0;owned\x07\u202e")

    assert 1 == result.exit_code
    assert "\\x1b]0;owned\\x07\\u202e" in result.stderr
    assert not {"\x1b", "\x07", "\u202e"} & set(result.output)


@pytest.mark.parametrize("words", [["tasks", "broken"], ["queues", "--module", "broken"]])
def test_module_that_does_not_import_is_an_error(cli: Cli, words: list[str]):
    """The traceback is shown, for it is the user's code."""
    cli.write("broken.py", "import no_such_thing\n")

    result = cli(*words)

    assert 1 == result.exit_code
    assert "does not import" in result.stderr
    assert "ModuleNotFoundError" in result.stderr


def test_module_that_ends_the_process_is_an_error(cli: Cli):
    """A script is no module of tasks; it does not end the command as if all were well."""
    cli.write("script.py", "raise SystemExit(0)\n")

    result = cli("tasks", "script")

    assert 1 == result.exit_code
    assert "does not import" in result.stderr


def test_name_that_is_no_bridge_is_an_error(cli: Cli):
    """``module:name`` has to name a Bridge."""
    result = cli("tasks", "app:boom")

    assert 1 == result.exit_code
    assert "to be a taskbridge.Bridge" in result.stderr


def test_module_may_name_its_own_bridge(cli: Cli, nowhere: str):
    """Then its settings count, not those of the environment."""
    cli.write("own.py", f"from taskbridge import Bridge, Settings\nbridge = Bridge(Settings(broker_url={nowhere!r}))\n")

    assert 0 == cli("queues").exit_code
    assert 1 == cli("queues", "--module", "own:bridge").exit_code


def test_what_a_module_prints_is_no_output(cli: Cli):
    """JSON stays JSON when a module prints while it is imported."""
    cli.write("loud.py", "from taskbridge import task\nprint('hello')\n\n@task\ndef nothing() -> None: ...\n")

    assert ["loud.nothing"] == [one["name"] for one in cli.json("tasks", "loud")]
