"""The ACL in docs/store.md is enough: a worker of either engine lives under it, and denied ones say what is denied."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from taskbridge import Bridge, Settings
from taskbridge.message import new_id
from taskbridge.operations.drain import drain_of
from taskbridge.testing import a_message
from tests.servers import RedisServer, until

from .arenas import arena_of
from .places import RedisPlace

ROOT = Path(__file__).parent.parent.parent


def documented_rules() -> str:
    """The rules of the page, with the suite's queue for its queues."""
    (rules,) = re.findall(r"^user bridge on >secret (.*)$", (ROOT / "docs" / "store.md").read_text(), re.MULTILINE)
    return rules.replace("~emails* ~ledger*", "~suite*")


@pytest.mark.parametrize("rules", ["as documented", "without subscribe"])
@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_worker_lives_under_the_documented_acl(engine: str, rules: str, tmp_path: Path):
    """Tasks run, fail, are retried and delayed by a user who may do what the page lists and no more."""
    allowed = documented_rules()
    if rules == "without subscribe":
        allowed = allowed.replace(" +subscribe", "").replace(" &__redis__:invalidate", "")
    with (
        RedisServer(acl=("bridge", "secret", allowed)) as server,
        arena_of(engine, "ours", RedisPlace(server), server, tmp_path) as arena,
    ):
        sent = [arena.tasks["failing"].enqueue(1), arena.tasks["plain"].using(delay=0.2).enqueue(1)]

        for one in sent:
            arena.ended(one.id)
        until(lambda: arena.lines(sent[1].id), 10, "the delayed one to have run")
        assert [1, 2] == [line["attempt"] for line in arena.lines(sent[0].id)]


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_drain_works_under_the_documented_acl(engine: str):
    """What it is denied, which is Celery's own list of what workers hold, it says, until it is allowed as said."""
    more = " ~unacked* &/0.celery.pidbox +publish"
    target = {"celery": "dramatiq", "dramatiq": "celery"}[engine]
    found = []
    for rules in (documented_rules(), documented_rules() + more):
        with (
            RedisServer(acl=("bridge", "secret", rules)) as server,
            closing(Bridge(Settings(backend=target, broker_url=server.url()))) as bridge,
        ):
            bridge.backend(engine).publish([a_message(queue="suite")])
            one = drain_of(bridge, engine, target, ["suite"], new_id(), force=True)
            list(one.run())
            found.append(one.report())

    assert [1, 1] == [one.moved for one in found]
    assert [engine == "celery", False] == ["denies access" in one.hidden for one in found]
    assert 0 == found[1].workers
