"""Claims kept alive from inside the process that runs them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

import pytest

from taskbridge import lease
from taskbridge.errors import StoreUnavailable
from taskbridge.lease import Lessor, host
from taskbridge.store.memory import MemoryStore
from tests.servers import until


class Renewals:
    """A store's claims that only hear of renewals; the first of them fail as told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.heard: list[set[tuple[str, str]]] = []

    def renew(self, claims: Iterable[tuple[str, str]]) -> None:
        self.heard.append(set(claims))
        if self.failures:
            raise self.failures.pop()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EVERY_S", 0.005)


def a_lessor(claims: Renewals) -> Lessor:
    store = MemoryStore()
    store.claims = claims  # type: ignore[assignment]
    return Lessor(store, "celery")


def test_no_claim_is_named_twice():
    """Not by one process, not by two: host, process, a random word, the backend, and a number."""
    claims = Renewals()
    lessors = [a_lessor(claims), a_lessor(claims)]

    names = []
    for lessor in lessors * 3:
        with lessor.claim("m") as name:
            names.append(name)

    assert 6 == len(set(names))
    for name in names:
        owner, backend, number = name.split(":")
        assert owner.startswith(f"{host()}.{os.getpid()}.")
        assert ("celery", True) == (backend, number.isdecimal())
        assert " " not in name


@pytest.mark.usefixtures("often")
def test_a_claim_is_renewed_inside_its_block():
    """While the block lasts, again and again, with all that run beside it; then no more."""
    claims = Renewals()
    lessor = a_lessor(claims)

    with lessor.claim("a") as one, lessor.claim("b") as other:
        until(lambda: claims.heard.count({("a", one), ("b", other)}) > 2, 20, "both are renewed")

    until(lambda: claims.heard[-1] == set(), 20, "none is renewed")


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("failure", [StoreUnavailable("away"), RuntimeError("a bug")])
def test_renewing_goes_on_after_an_error(failure: Exception):
    """A store that is away for a moment costs nothing."""
    claims = Renewals(failure)
    lessor = a_lessor(claims)

    with lessor.claim("a") as name:
        until(lambda: claims.heard.count({("a", name)}) > 2, 20, "it is renewed again")


@pytest.mark.usefixtures("often")
def test_a_fork_has_names_and_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch):
    """A child renews what it runs, and nothing of its parent's."""
    claims = Renewals()
    lessor = a_lessor(claims)
    before = {*threading.enumerate()}

    with lessor.claim("parents") as parents:
        monkeypatch.setattr(os, "getpid", lambda: 4_000_001)
        with lessor.claim("childs") as childs:
            assert ".4000001." in childs
            assert parents.partition(":")[0] != childs.partition(":")[0]
            until(lambda: {("childs", childs)} in claims.heard, 20, "the child renews its own, and no other")
        assert 1 == len({*threading.enumerate()} - before)


def test_a_host_is_a_short_word(monkeypatch: pytest.MonkeyPatch):
    """Whatever the machine is called."""
    monkeypatch.setattr("socket.gethostname", lambda: "a machine of somebody with a very long name.example.com")

    assert "a-machine-of-somebody-wi" == host()
