"""The exception tree, the words a task may raise, and hints at the nearest word."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta

import pytest

from taskbridge import errors
from taskbridge.errors import ArgumentError, Drop, Reschedule, Retry, Signal, StoreFull, StoreUnavailable, nearest


def test_tree_in_the_docstring_is_the_tree():
    """Every exception stands in the drawing, under its parent."""
    drawn = re.findall(r"^ {4}((?:[│ ]   )*(?:[├└]── )?)(\w+)", errors.__doc__ or "", re.MULTILINE)
    parents: dict[str, str] = {}
    above: list[str] = []
    for indent, name in drawn:
        depth = len(indent) // 4
        parents[name] = above[depth - 1] if depth else "Exception"
        above[depth:] = [name]

    real = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, Exception)}

    assert parents == {name: cls.__mro__[1].__name__ for name, cls in real.items()}


def test_a_signal_is_no_error_of_ours():
    """``except TaskbridgeError`` inside a task does not swallow what the task says."""
    assert not issubclass(Signal, errors.TaskbridgeError)
    assert all(issubclass(kind, Signal) for kind in (Retry, Reschedule, Drop))


def test_a_full_store_is_a_store_that_cannot_be_used():
    """Who waits for an absent store also waits for a full one; a wrong argument is a ``TypeError`` as in Python."""
    assert issubclass(StoreFull, StoreUnavailable)
    assert issubclass(ArgumentError, TypeError)


def test_signals_carry_what_was_asked():
    """``Retry`` and ``Reschedule`` keep their wait as given, and arguments as a copy."""
    changes = {"page": 2}

    again = Reschedule(5, kwargs=changes, give_up_after=timedelta(hours=1))
    changes["page"] = 3

    assert (5, {"page": 2}, timedelta(hours=1)) == (again.after, again.kwargs, again.give_up_after)
    assert Reschedule().give_up_after is None
    assert timedelta(minutes=1) == Retry("busy", after=timedelta(minutes=1)).after
    assert Retry().after is None
    assert "busy" == str(Retry("busy"))
    assert "not mine" == str(Drop("not mine"))


@pytest.mark.parametrize(
    ("word", "hint"),
    [("qeue", "; did you mean 'queue'?"), ("xyzzy", "; known are priority, queue, retry")],
)
def test_hint_names_the_nearest_word(word: str, hint: str):
    """A near word is asked for; where none is near, all are named, sorted."""
    assert hint == nearest(word, ["retry", "queue", "priority"])
