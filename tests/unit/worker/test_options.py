"""What supervisor and template tell each other, a line of JSON a word."""

from __future__ import annotations

import msgspec
import pytest

from taskbridge.errors import ConfigError
from taskbridge.worker.options import Exited, Fork, Forked, Group, Ready, Refused, Word, WorkerOptions, line, word

WORDS: list[Word] = [
    Ready(
        tasks={"t": ["a"]},
        queues={"": ["mail"], "low": ["mail", "reports"]},
        settings=msgspec.Raw(b'{"backend":"celery"}'),
        limits={"provider": (14_286, 7)},
    ),
    Refused(why="no module:\nTraceback é"),
    Fork(slot=1, owner="host.1.ab.0.1", group="low"),
    Forked(slot=1, pid=123),
    Exited(pid=123, code=-9),
]


@pytest.mark.parametrize("said", WORDS, ids=lambda said: type(said).__name__)
def test_a_word_is_one_line(said: Word):
    """Whatever is in it, and it comes back as it was."""
    sent = line(said)

    assert 1 == sent.count(b"\n")
    assert sent.endswith(b"\n")
    assert said == word(sent[:-1])


def test_options_travel():
    """From the command line to the template, with the defaults of those that were not given."""
    groups = [Group(name="high", queues=["mail"], processes=4), Group(name="low", queues=["reports"])]
    options = WorkerOptions(modules=["app.tasks:bridge"], groups=groups)

    assert options == msgspec.json.decode(msgspec.json.encode(options), type=WorkerOptions)
    assert ([], 30.0, ".", False) == (options.backends, options.grace_s, options.directory, options.reload)
    assert (0, 0, 0) == (options.max_tasks, options.max_memory_mb, options.hard_memory_mb)
    assert 6 == options.processes
    assert [Group(name="", queues=[], processes=2)] == WorkerOptions(modules=["app"]).groups


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"max_tasks": -1}, "max_tasks: expected 0 (no limit) or more, got -1"),
        ({"max_memory_mb": -5}, "max_memory_mb: expected 0 (no limit) or more, got -5"),
        ({"hard_memory_mb": -5}, "hard_memory_mb: expected 0 (no limit) or more, got -5"),
        (
            {"max_memory_mb": 200, "hard_memory_mb": 199},
            "hard_memory_mb: expected at least max_memory_mb (200), got 199",
        ),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, int], why: str):
    """With what was expected and what came."""
    with pytest.raises(ConfigError) as refused:
        WorkerOptions(modules=["app"], **limits)

    assert why == str(refused.value)
