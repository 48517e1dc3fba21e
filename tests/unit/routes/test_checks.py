"""What is refused of a rule where the backend cannot keep what a task asks for."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.announcement import Announcement, Known
from taskbridge.backend import Capabilities
from taskbridge.config import Settings
from taskbridge.errors import ConfigError, NotSupported
from taskbridge.routes.checks import Landscape, refuse
from taskbridge.routing import Rule, Table


class Engine:
    """A backend that keeps only so much."""

    name = engine = "dramatiq"

    def __init__(self, **kept: Any) -> None:
        self.capabilities = Capabilities(**kept)

    def runner(self, definitions: Any) -> object:
        if "taken" in definitions:
            raise ValueError("an actor called 'taken' is there already")
        return object()


KNOWN = {"bank.pay": Known(queue="mail", hard_timeout_ms=5_000), "bank.plain": Known(queue="mail")}


def landscape(engine: Engine, bridge: Bridge | None = None, known: dict[str, Known] = KNOWN) -> Landscape:
    worker = Announcement(
        name="w", backends=["dramatiq"], queues=["mail"], processes=1, tasks={task: [] for task in known}, known=known
    )
    backend: Any = lambda name: engine  # noqa: E731
    return Landscape(
        settings=Settings(), backend=backend, workers=[worker], definitions=bridge.definitions if bridge else {}
    )


def check(there: Landscape, *, force: bool = False, before: Rule | None = None, **words: Any) -> None:
    rule = Rule(**({"id": "r1", "to": "dramatiq", "task": "bank.*"} | words))
    refuse(Table(rules=(rule,)), rule, before, there, force=force)


@pytest.mark.parametrize("force", [False, True])
def test_timeout_that_is_not_kept_there_is_refused(force: bool):
    """As a live worker announces it; nobody can insist."""
    there = landscape(Engine(hard_timeout=False))

    with pytest.raises(NotSupported, match=r"the backend 'dramatiq' cannot keep the hard_timeout of 5 s of bank\.pay"):
        check(there, force=force)

    check(there, task="bank.plain")
    check(landscape(Engine()))


@pytest.mark.parametrize("force", [False, True])
def test_messages_that_are_not_taken_there_are_refused(force: bool):
    """``max_payload`` is what any task may send; nobody can insist."""
    with pytest.raises(NotSupported, match="the backend 'dramatiq' takes messages of up to 65535 bytes"):
        check(landscape(Engine(max_payload=65_535)), force=force)

    check(landscape(Engine(max_payload=65_536)))


def test_declared_tasks_are_checked():
    """Those of the module that was named, also where no worker has them yet."""
    bridge = Bridge()
    bridge.task(name="new.pay", queue="mail", timeout=3)(lambda: None)
    bridge.task(name="taken", queue="mail")(lambda: None)
    there = landscape(Engine(soft_timeout=False), bridge)

    with pytest.raises(NotSupported, match=r"cannot keep the timeout of 3 s of new\.pay"):
        check(there, task="new.*", force=True)
    with pytest.raises(NotSupported, match="the engine 'dramatiq' does not take these tasks: an actor called 'taken'"):
        check(there, task="taken", force=True)


def test_what_one_may_insist_on_does_not_hide_what_one_may_not():
    """Each reason is told, and no way round it."""
    there = landscape(Engine(hard_timeout=False), known={"bank.pay": KNOWN["bank.pay"]})

    with pytest.raises(NotSupported) as refused:
        check(there, key="{user_id}")

    assert "bank.pay lack arguments of {user_id}" in str(refused.value)
    assert "cannot keep the hard_timeout" in str(refused.value)
    assert "--force" not in str(refused.value)


def test_less_is_not_checked():
    """What leads away from an engine must not wait for it; another key or backend is no less."""
    there = landscape(Engine(hard_timeout=False))
    before = Rule(id="r1", to="dramatiq", task="bank.*", share=50, key="{user}")

    check(there, share=50, key="{user}", before=before)
    check(there, share=10, key="{user}", before=before)
    for words in ({"share": 51, "key": "{user}"}, {"share": 10}, {"share": 10, "key": "{user}", "tag": "t"}):
        with pytest.raises(ConfigError):
            check(there, before=before, **words)


def test_nothing_is_asked_of_workers_for_a_share_of_none():
    """It may be set before they are there; a slip in its words is found all the same."""
    there = Landscape(
        settings=Settings(),
        backend=landscape(Engine()).backend,
        workers=[Announcement(name="w", backends=["celery"], queues=["mail"], processes=1, tasks={"bank.pay": []})],
        definitions={},
    )

    check(there, task="bank.pay", share=0)
    with pytest.raises(ConfigError, match="no live worker serves the backend 'dramatiq'"):
        check(there, task="bank.pay", share=1)
    with pytest.raises(ConfigError, match=r"no live worker announces the task 'bank\.pai'"):
        check(there, task="bank.pai", share=0)
