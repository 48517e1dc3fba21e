"""Is a task ready to move to another backend: what changes there, what the backend cannot keep, and who takes it.

Our tasks mean the same on every backend, so what is told of them is what a backend cannot keep. An engine's own tasks
do not move; of those it is told how to declare them, and what is not the same afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from ..announcement import Announcement, announced
from ..backend import Backend, Capabilities, inventory_of, runner_of
from ..bridge import Bridge
from ..definition import Definition
from ..errors import ConfigError, StoreUnavailable, TaskbridgeError
from ..native import Inventory, NativeTask
from ..policies.payload import refuse_payload
from ..policies.timeout import refuse_tasks
from ..routes.checks import Landscape, taken
from .hints import patience_hint

#: ``ready``: nothing to do. ``wait``: it can move when something else is done. ``declare``: it is the engine's own.
#: ``refused``: the target cannot have it.
Verdict = Literal["ready", "wait", "declare", "refused"]

#: What two backends may keep differently, in words: what it means where it is not kept.
KEPT = {
    "bands": "priorities are not told apart",
    "ordered": "within a queue, messages may come in another order than they were sent in",
    "scan": "what waits in a queue cannot be looked through",
    "rests": "what waits in a paused queue moves to the store, and may run behind what comes then",
    "poison": "bytes that are no message stay in the queue",
    "native_producers": "plain producers of the engine cannot call tasks",
}


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """One task.

    Args:
        task: its name.
        queue: where its messages go.
        verdict: whether it can move.
        notes: what changes, what is to do first, or why it cannot; nothing where nothing is.
        declaration: the decorator that declares it with us, for the engine's own.
    """

    task: str
    queue: str
    verdict: Verdict
    notes: list[str] = []
    declaration: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Of all tasks of a process. ``general`` is what changes for all of them."""

    origin: str
    target: str
    tasks: list[Readiness]
    general: list[str]

    @property
    def ready(self) -> bool:
        """Whether no task is refused."""
        return all(one.verdict != "refused" for one in self.tasks)


def readiness(bridge: Bridge, origin: str, target: str) -> Report:
    """Look at every task of this process: those declared with us, and the engine's own on the origin.

    Raises:
        ConfigError: a backend that the settings do not know, the same twice, or no task at all.
        BackendNotInstalled: the engine of one is missing.
    """
    if origin == target:
        raise ConfigError(f"expected two backends, got {origin!r} twice")
    here, there = bridge.backend(origin), bridge.backend(target)
    inventory = inventory_of(here)
    ours = {name: one for name, one in bridge.definitions.items() if not one.external}
    own = [one for one in inventory.tasks if one.name not in ours]
    if not ours and not own:
        raise ConfigError(f"no task is declared here, with taskbridge or with {here.engine}: name the modules that do")
    serving, lost = _serving(bridge, target)
    told = [_ours(one, bridge, there, serving) for _, one in sorted(ours.items())]
    told += [_native(one, bridge) for one in own]
    return Report(origin=origin, target=target, tasks=told, general=[*_general(here, there, inventory), *lost])


def _serving(bridge: Bridge, target: str) -> tuple[Sequence[Announcement] | None, list[str]]:
    """The workers that live on the target; None where the store does not say, and why."""
    try:
        workers = announced(bridge.store)
    except StoreUnavailable as error:
        return None, [f"who would take the messages is not known: {error}"]
    there = Landscape(settings=bridge.settings, backend=bridge.backend, workers=workers, definitions=bridge.definitions)
    return there.serving(target), []


def _ours(definition: Definition, bridge: Bridge, there: Backend, serving: Sequence[Announcement] | None) -> Readiness:
    name, queue = definition.name, definition.options.queue
    try:
        runner_of(there, {name: definition})
        refuse_tasks({name: definition}, bridge.settings.timeouts, there.capabilities, f"the backend {there.name!r}")
        refuse_payload(bridge.settings.max_payload, there.capabilities, f"the backend {there.name!r}")
    except TaskbridgeError as error:
        return Readiness(task=name, queue=queue, verdict="refused", notes=[str(error)])
    notes = list(_changes(definition, bridge, there))
    if serving is None or taken(name, queue, serving):
        return Readiness(task=name, queue=queue, verdict="ready", notes=notes)
    first = f"no live worker on {there.name} takes it from queue {queue}: start one"
    return Readiness(task=name, queue=queue, verdict="wait", notes=[first, *notes])


def _changes(definition: Definition, bridge: Bridge, there: Backend) -> Iterator[str]:
    """What is kept there, and less so under the engine's own command, or with a broker that is not patient."""
    try:
        refuse_tasks({definition.name: definition}, bridge.settings.timeouts, there.own_command, "")
    except TaskbridgeError:
        yield f"its timeouts are kept by `taskbridge worker`, and not by {there.engine}'s own command"
    if hint := patience_hint(definition, there, bridge.settings.timeouts):
        yield hint


def _native(task: NativeTask, bridge: Bridge) -> Readiness:
    same = [name for name in bridge.definitions if name.rpartition(".")[2] == task.name.rpartition(".")[2]]
    notes = [
        *task.differences,
        *(f"{name} is declared with us: if it is meant to be this one, name it so" for name in same),
    ]
    return Readiness(task=task.name, queue=task.queue, verdict="declare", notes=notes, declaration=task.declaration)


def _general(here: Backend, there: Backend, inventory: Inventory) -> Iterator[str]:
    yield from (f"{name} is {here.engine}'s alone" for name in inventory.settings if here.engine != there.engine)
    yield from _less(here.capabilities, there.capabilities)
    before_s, after_s = here.capabilities.recovery_s, there.capabilities.recovery_s
    if after_s != before_s:
        yield f"what a killed worker had fetched runs again within {after_s:g} s, on {here.name} within {before_s:g} s"


def _less(before: Capabilities, after: Capabilities) -> Iterable[str]:
    return [text for kept, text in KEPT.items() if getattr(before, kept) and not getattr(after, kept)]
