"""A guard is taken out of a store, in Lua or in Python, and a law that is named for it must fail."""

from __future__ import annotations

import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from taskbridge.redis import script
from taskbridge.store import Store
from taskbridge.store.memory import MemoryStore
from taskbridge.store.redis import RedisStore
from taskbridge.testing import FakeClock
from taskbridge.testing.store_suite import StoreSuite
from tests.conformance import test_stores as stores
from tests.servers import RedisServer

#: What reads a script without its cache.
READ = script.source.__wrapped__


@dataclass(frozen=True)
class Mutant:
    """A guard that is taken out: where, what stands there, and what instead."""

    laws: str
    what: str
    lua: tuple[str, str, str]
    python: tuple[type, str, str, str]


def each(mutants: list[Mutant]) -> pytest.MarkDecorator:
    """Return the mark of a test that is made for each of these mutants."""
    return pytest.mark.parametrize("mutant", mutants, ids=lambda mutant: f"{mutant.laws} {mutant.what}")


def caught_in_python(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a law that is named for the guard holds in memory with it and fails without; the store works else."""
    owner, name, old, new = mutant.python

    def fresh() -> tuple[StoreSuite, Store]:
        suite = stores.TestMemoryStore()
        suite.clock = FakeClock()
        return suite, MemoryStore(suite.clock)

    assert not broken(mutant.laws, fresh), "what fails with the guard, too, catches nothing"
    monkeypatch.setattr(owner, name, changed(getattr(owner, name), old, new))
    return not broken("test_new_message_runs", fresh) and bool(broken(mutant.laws, fresh))


def stands_in_lua(mutant: Mutant) -> bool:
    """Whether what a mutant takes out stands in its script, once."""
    file, old, new = mutant.lua
    return str(READ("taskbridge.store.redis", file)).count(old) == 1 and old != new


def caught_in_lua(mutant: Mutant, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a law that is named for the guard holds on Redis with it and fails without; the store works else."""
    file, old, new = mutant.lua

    def source(package: str, name: str) -> str:
        text = str(READ(package, name))
        assert name != file or text.count(old) == 1, f"{old!r} is not in {file}.lua: mend the mutant"
        return text.replace(old, new) if name == file else text

    def on(store: Store) -> tuple[StoreSuite, Store]:
        suite = stores.TestRedisStore()
        suite.client = server.cli()
        suite.client.flushall()
        return suite, store

    with closing(RedisStore(server.url(), stores.NAMESPACE)) as whole:
        assert not broken(mutant.laws, partial(on, whole)), "what fails with the guard, too, catches nothing"
    monkeypatch.setattr(script, "source", source)
    with closing(RedisStore(server.url(), stores.NAMESPACE)) as store:
        fresh = partial(on, store)
        return not broken("test_new_message_runs", fresh) and bool(broken(mutant.laws, fresh))


def changed(function: Callable[..., Any], old: str, new: str) -> Callable[..., Any]:
    """Return the function with a piece of its text replaced."""
    text = textwrap.dedent(inspect.getsource(function))
    assert text.count(old) == 1, f"{old!r} is not in {function.__qualname__}: mend the mutant"
    made: dict[str, Any] = {}
    exec(text.replace(old, new), vars(inspect.getmodule(function)), made)
    return made[function.__name__]  # type: ignore[no-any-return]


def broken(laws: str, fresh: Callable[[], tuple[StoreSuite, Store]]) -> list[str]:
    """Return which of the laws of this name fail, each on a fresh store."""
    failed = []
    names = [name for name in dir(StoreSuite) if name.startswith(laws)]
    assert names, f"no law is named {laws}"
    for name in names:
        for arguments in cases(getattr(StoreSuite, name)):
            suite, store = fresh()
            try:
                getattr(suite, name)(store, **arguments)
            except (Exception, pytest.fail.Exception):  # an assertion, or whatever a broken store does
                failed.append(f"{name} {arguments}")
    return failed


def cases(law: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """The arguments that a law is parametrized with; a mark that names several gives them in tuples."""
    marks = [mark.args for mark in getattr(law, "pytestmark", []) if mark.name == "parametrize"]
    for chosen in itertools.product(*(values for _, values in marks)):
        arguments: dict[str, Any] = {}
        for (names, _), value in zip(marks, chosen, strict=True):
            several = not isinstance(names, str)
            arguments |= zip(names, value, strict=True) if several else {names: value}
        yield arguments
