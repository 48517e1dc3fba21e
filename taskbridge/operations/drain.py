"""A drain as an operator starts it: from where to where, which queues, and what speaks against it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..announcement import announced
from ..backend import Backend, runner_of
from ..bridge import Bridge
from ..drain.loop import Drain
from ..drain.verdict import Target
from ..errors import ConfigError, NotSupported
from ..message import Message
from ..options import check_queue_name
from ..policies.timeout import refuse_unkept
from ..routes.checks import Landscape, taken
from .audit import audited


@audited("migrate drain", "{origin} to {target}", "queues", "force")
def drain_of(
    bridge: Bridge,
    origin: str,
    target: str,
    queues: Sequence[str],
    owner: str,
    *,
    modules: bool = False,
    force: bool = False,
    visibility_s: float | None = None,
    dry_run: bool = False,
    who: str = "",
) -> Drain:
    """Return a drain of one backend into another, that has touched nothing yet.

    Args:
        bridge: whose settings, store and routes.
        origin: from where, a backend's name.
        target: to where.
        queues: which. Empty for those that live workers serve, the store counts, or tasks here are declared for.
        owner: a name that nobody else has.
        modules: whether the tasks declared here are taken there, beside those that live workers announce.
        force: move also what no live worker there is seen to take.
        visibility_s: as for ``Backend.leftovers``.
        dry_run: it is only to be previewed.
        who: starts it. Defaults to who runs this process.

    Raises:
        ConfigError: an unknown backend, the same place twice, no queue, or nobody who would take the messages.
        NotSupported: the origin cannot be drained, or the target cannot keep what a task asks for.
        BrokerUnavailable, StoreUnavailable: no answer.
    """
    source, there = _pair(bridge, origin, target)
    workers, definitions = announced(bridge.store), bridge.definitions if modules else {}
    landscape = Landscape(settings=bridge.settings, backend=bridge.backend, workers=workers, definitions=definitions)
    names = _queues(bridge, landscape, queues)
    _refuse_unkept(there, landscape, names)
    receiver = _receiver(bridge, there, landscape, force=force)
    leftovers = source.leftovers(names, owner, bridge.store, visibility_s)
    return Drain(source, leftovers, there, receiver, bridge.store, bridge.clock, names, owner)


def _pair(bridge: Bridge, origin: str, target: str) -> tuple[Backend, Backend]:
    settings = bridge.settings
    if settings.backend_settings(origin) == settings.backend_settings(target):
        raise ConfigError(f"expected two backends, got {origin!r} and {target!r}: a drain into itself moves nothing")
    there = bridge.backend(target)
    if not there.capabilities.processes:
        raise NotSupported(f"the backend {target!r} lives in one process: what is moved there would be gone with it")
    return bridge.backend(origin), there


def _receiver(bridge: Bridge, there: Backend, landscape: Landscape, *, force: bool) -> Target:
    """Return what is known of who takes the messages; nobody is refused, unless somebody insists."""
    serving = landscape.serving(there.name)
    if not serving and not force:
        raise ConfigError(
            f"no live worker serves the backend {there.name!r}: nobody would take the messages; "
            f"start one with `taskbridge worker --backends {there.name}`, or insist with --force"
        )
    declared = {name for name, one in landscape.definitions.items() if not one.external}
    return Target(
        name=there.name,
        engine=there.engine,
        takes=lambda task, queue: force or task in declared or taken(task, queue, serving),
        elsewhere=lambda message: _elsewhere(bridge, message, there.name),
    )


def _queues(bridge: Bridge, landscape: Landscape, queues: Sequence[str]) -> list[str]:
    names = list(queues) or _known_queues(bridge, landscape)
    for name in names:
        check_queue_name(name)
    if not names:
        raise ConfigError("no queue is known here: name the queues that are to be drained, --queues a,b")
    return names


def _known_queues(bridge: Bridge, landscape: Landscape) -> list[str]:
    names = {queue for worker in landscape.workers for queue in worker.queues}
    names |= {queue for queue, _ in bridge.store.messages.counts() if queue}
    names |= {one.options.queue for one in bridge.definitions.values()}
    return sorted(names)


def _refuse_unkept(there: Backend, landscape: Landscape, queues: Collection[str]) -> None:
    """Refuse a target that cannot keep what a task of these queues asks for, or cannot have it."""
    for task, known in landscape.tasks().items():
        if known is not None and known.queue in queues:
            refuse_unkept(known.timeouts, there.capabilities, task, f"the backend {there.name!r}")
    declared = {name: one for name, one in landscape.definitions.items() if one.options.queue in queues}
    if declared:
        runner_of(there, declared)


def _elsewhere(bridge: Bridge, message: Message, target: str) -> str:
    name = bridge.router.route(message)
    settings = bridge.settings
    return "" if settings.backend_settings(name) == settings.backend_settings(target) else name
