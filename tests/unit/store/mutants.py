"""A guard is taken out of a store, in Lua or in Python, and a law that is named for it must fail."""

from __future__ import annotations

import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    """Whether a law that is named for the guard fails in memory without it, while the store works else."""
    owner, name, old, new = mutant.python
    monkeypatch.setattr(owner, name, changed(getattr(owner, name), old, new))

    def fresh() -> tuple[StoreSuite, Store]:
        suite = stores.TestMemoryStore()
        suite.clock = FakeClock()
        return suite, MemoryStore(suite.clock)

    return not broken("test_new_message_runs", fresh) and bool(broken(mutant.laws, fresh))


def caught_in_lua(mutant: Mutant, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a law that is named for the guard fails on Redis without it, while the store works else."""
    file, old, new = mutant.lua

    def source(package: str, name: str) -> str:
        text = str(READ(package, name))
        assert name != file or text.count(old) == 1, f"{old!r} is not in {file}.lua: mend the mutant"
        return text.replace(old, new) if name == file else text

    monkeypatch.setattr(script, "source", source)
    store = RedisStore(server.url(), stores.NAMESPACE)

    def fresh() -> tuple[StoreSuite, Store]:
        suite = stores.TestRedisStore()
        suite.client = server.cli()
        suite.client.flushall()
        return suite, store

    caught = not broken("test_new_message_runs", fresh) and bool(broken(mutant.laws, fresh))
    store.close()
    return caught


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
    """The arguments that a law is parametrized with."""
    marks = [mark.args for mark in getattr(law, "pytestmark", []) if mark.name == "parametrize"]
    for values in itertools.product(*(values for _, values in marks)):
        yield dict(zip((name for name, _ in marks), values, strict=True))
