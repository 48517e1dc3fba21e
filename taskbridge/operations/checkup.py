"""Is all well: settings, variables, backends, brokers, the store, the tasks. Each finding names what to change.

Nothing here stops at the first fault, and no finding shows a password.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..announcement import announced
from ..backend import Backend, runner_of
from ..bridge import Bridge
from ..clock import milliseconds
from ..config import Settings, unknown_variables
from ..errors import StoreUnavailable, TaskbridgeError, nearest
from ..policies.payload import refuse_payload
from ..policies.timeout import refuse_tasks
from ..redis.url import redacted
from ..routes.changes import table_now
from ..routes.checks import Landscape, problems
from ..routes.shadows import shadow_problems
from ..routing import names_in
from ..schedules.declared import plans_of
from .hints import hints, patience_hints

#: What ``store_wait`` names.
WAITED_FOR = {"replica": "store's replica", "aof": "store's disk"}

Level = Literal["ok", "warning", "error", "advice"]

ADVICE = (
    "a plain Celery worker deletes messages of tasks it does not know: "
    "give taskbridge tasks queues that only workers which know them read"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    about: str
    text: str


def checkup(bridge: Bridge, modules: Sequence[str], environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at everything that the bridge stands on, and at its tasks.

    Args:
        bridge: whose tasks and settings.
        modules: those that were imported for their tasks.
        environ: the environment.
    """
    yield from (Finding(level="error", about="environment", text=text) for text in unknown_variables(environ))
    try:
        settings = bridge.settings
    except TaskbridgeError as error:
        yield faulty("settings", error)
        return
    yield Finding(level="ok", about="settings", text=_told(settings))
    for name in settings.backend_names:
        yield from _backend(bridge, name)
    yield from _store(bridge)
    yield from _tasks(bridge, modules)
    yield from _shares(bridge)
    yield from _routes(bridge)
    observed = list(_observers(bridge))
    yield from observed
    if not any(one.level == "error" for one in observed):  # nothing is sent before they are called
        yield from _schedules(bridge)
    yield Finding(level="advice", about="queues", text=ADVICE)


def faulty(about: str, error: TaskbridgeError) -> Finding:
    """Return the finding that something failed."""
    return Finding(level="error", about=about, text=redacted(str(error)))


def shown(settings: Settings) -> dict[str, object]:
    """Return the settings as they may be shown."""
    plain: dict[str, object] = {
        name: redacted(getattr(settings, name))
        for name in ("backend", "broker_url", "store_url", "namespace", "queue_prefix")
    }
    chosen = {name: settings.backend_settings(name) for name in settings.backend_names}
    plain["max_payload"] = settings.max_payload
    plain |= {"timeout": settings.timeouts.soft_ms / 1000, "hard_timeout": settings.timeouts.hard_ms / 1000}
    plain |= {
        "store_wait": settings.store_wait,
        "store_wait_timeout": milliseconds(settings.store_wait_timeout) / 1000,
    }
    plain["backends"] = {
        name: {"engine": one.engine, "broker_url": redacted(one.broker_url), "queues": dict(one.queues)}
        for name, one in chosen.items()
    }
    plain["shares"] = {name: {"to": dict(share.to), "key": share.key} for name, share in settings.shares.items()}
    plain["schedules"] = {
        name: {"task": entry.task, "cron": entry.cron, "tz": entry.tz, "every": str(entry.every or "")}
        for name, entry in settings.schedules.items()
    }
    return plain


def _told(settings: Settings) -> str:
    prefix = f", queues begin with {settings.queue_prefix!r}" if settings.queue_prefix else ""
    return f"backend {settings.backend}, namespace {settings.namespace!r}{prefix}"


def _backend(bridge: Bridge, name: str) -> Iterator[Finding]:
    about = f"backend {name}"
    try:
        backend = bridge.backend(name)
    except TaskbridgeError as error:
        yield faulty(about, error)
        return
    try:
        runner_of(backend, bridge.definitions)
        refuse_tasks(bridge.definitions, bridge.settings.timeouts, backend.capabilities, f"the backend {name!r}")
        refuse_payload(bridge.settings.max_payload, backend.capabilities, f"the backend {name!r}")
        yield Finding(level="ok", about=about, text=f"the engine {backend.engine} is installed and takes the tasks")
    except TaskbridgeError as error:
        yield faulty(about, error)
    yield from _broker(bridge, backend)
    yield from (Finding(level="warning", about=about, text=text) for text in patience_hints(backend, bridge))


def _broker(bridge: Bridge, backend: Backend) -> Iterator[Finding]:
    about = f"broker of {backend.name}"
    queues = sorted({one.options.queue for one in bridge.definitions.values()}) or ["default"]
    if not backend.capabilities.processes:
        yield Finding(level="warning", about=about, text="its queues live in one process and are gone with it")
        return
    url = redacted(bridge.settings.backend_settings(backend.name).broker_url)
    try:
        waiting, doubts = sum(map(backend.depth, queues)), backend.doubts(queues)
    except TaskbridgeError as error:
        yield faulty(about, error)
    else:
        yield Finding(level="ok", about=about, text=f"{url} answers; {waiting} messages wait in {', '.join(queues)}")
        yield from (Finding(level="warning", about=about, text=doubt) for doubt in doubts)


def _store(bridge: Bridge) -> Iterator[Finding]:
    try:
        store_url = redacted(bridge.settings.effective_store_url)
        found = bridge.store.fitness()
    except TaskbridgeError as error:
        yield faulty("store", error)
        return
    yield from (Finding(level="error", about="store", text=text) for text in (*found.fatal, *found.missing))
    yield from (Finding(level="warning", about="store", text=text) for text in found.warnings)
    if not (found.fatal or found.missing):
        yield Finding(level="ok", about="store", text=f"{store_url} is {found.server}")
    if bridge.settings.store_wait:
        yield from _store_wait(bridge)


def _store_wait(bridge: Bridge) -> Iterator[Finding]:
    """Say which ends wait. Where the broker is the store, an end and its acknowledgement are one script."""
    settings = bridge.settings
    urls = {name: settings.backend_settings(name).broker_url for name in settings.backend_names}
    together = [name for name, url in urls.items() if url == settings.effective_store_url]
    apart = [name for name in urls if name not in together]
    kept = "what is enqueued with a delay, in a chain or in a batch waits"
    if together:
        text = f"store_wait changes nothing for messages on {', '.join(together)}: its broker is the store; {kept}"
        yield Finding(level="warning", about="store_wait", text=text)
    if apart:
        who = WAITED_FOR[settings.store_wait]
        text = f"what ends on {', '.join(apart)} is acknowledged when the {who} has it; {kept}, too"
        yield Finding(level="ok", about="store_wait", text=text)


def _tasks(bridge: Bridge, modules: Sequence[str]) -> Iterator[Finding]:
    if not modules:
        yield Finding(level="advice", about="modules", text="name modules to have their tasks looked at, too")
    elif not bridge.definitions:
        text = f"{', '.join(modules)} declares no task on this bridge; MODULE:NAME names one of your own"
        yield Finding(level="warning", about="tasks", text=text)
    else:
        queues = sorted({one.options.queue for one in bridge.definitions.values()})
        text = f"{len(bridge.definitions)} on queues {', '.join(queues)}"
        yield Finding(level="ok", about="tasks", text=text)
        yield from (Finding(level="warning", about="tasks", text=hint) for hint in hints(bridge))


def _observers(bridge: Bridge) -> Iterator[Finding]:
    names = bridge.settings.observers
    try:
        bridge.observe()
    except TaskbridgeError as error:
        yield faulty("observers", error)
    else:
        if names:
            yield Finding(level="ok", about="observers", text=", ".join(names))
    if bridge.settings.sentry_crons and "sentry" not in names:
        text = "sentry_crons is set, and Crons are told of nothing: name the observer 'sentry', too"
        yield Finding(level="warning", about="observers", text=text)


def _schedules(bridge: Bridge) -> Iterator[Finding]:
    try:
        plans = plans_of(bridge.definitions, bridge.sender)
    except TaskbridgeError as error:
        yield faulty("schedules", error)
        return
    if plans:
        yield Finding(level="ok", about="schedules", text=f"{len(plans)}: {', '.join(sorted(plans))}")


def _routes(bridge: Bridge) -> Iterator[Finding]:
    """The rules of the store, if it answers: what leads nowhere from here, and where nobody serves."""
    try:
        found, table = table_now(bridge.store)
        workers = announced(bridge.store)
    except StoreUnavailable:  # which is told already
        return
    except TaskbridgeError as error:
        yield faulty("routes", error)
        return
    there = Landscape(settings=bridge.settings, backend=bridge.backend, workers=workers, definitions=bridge.definitions)
    for rule in table.rules:
        wrong = list(problems(table, rule, None, there))
        for one in wrong:
            level: Level = "warning" if one.forcible or one.harmless else "error"
            yield Finding(level=level, about="routes", text=f"{rule.id}, {rule}: {redacted(str(one.error))}")
        if not wrong:
            yield Finding(level="ok", about="routes", text=f"{rule.id}, version {found.version}: {rule}")
    for shadow in table.shadows:
        wrong = list(shadow_problems(table, shadow, None, there))
        for one in wrong:
            level = "warning" if one.forcible else "error"
            text = f"{shadow.id}, a shadow of {shadow}: {redacted(str(one.error))}"
            yield Finding(level=level, about="routes", text=text)
        if not wrong:
            text = f"{shadow.id}, version {found.version}: a shadow of {shadow}"
            yield Finding(level="ok", about="routes", text=text)


def _shares(bridge: Bridge) -> Iterator[Finding]:
    for task, share in bridge.settings.shares.items():
        definition = bridge.definitions.get(task)
        if definition is None:
            if bridge.definitions:
                text = f"no task here is called {task!r}{nearest(task, bridge.definitions)}"
                yield Finding(level="warning", about="shares", text=text)
            continue
        try:
            if share.key:
                names_in(share.key, set(definition.arguments.signature.parameters), f"shares.{task}.key")
        except TaskbridgeError as error:
            yield faulty("shares", error)
        else:
            parts = ", ".join(f"{percent:g} % to {name}" for name, percent in share.to.items())
            by = f", sticky by {share.key}" if share.key else ""
            yield Finding(level="ok", about="shares", text=f"{task}: {parts}{by}")
