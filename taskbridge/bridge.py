"""Bridge: where tasks are declared, and what they run on. Reads its settings on first use.

``task``, ``external`` and ``subscribe`` of the package belong to a default bridge that reads the environment;
``Bridge(settings)`` makes another. Nothing below this floor knows of either.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from .backend import Backend, Place, load
from .clock import Span, SystemClock
from .codec import Arguments
from .config import MAX_PAYLOAD_BYTES, Settings
from .config import load as load_settings
from .copies import Copies
from .definition import Definition
from .enqueue import Sender
from .errors import ConfigError, NotSupported, StoreUnavailable
from .events import Events
from .flow.chunked import unwrapped
from .hooks import AfterTask, BeforeTask, Hooks, Middleware, OnFailure, OnWorkerStart
from .observers import Observing
from .options import TaskOptions, refuse_declared, refuse_unknown
from .policies.lock import Lock
from .policies.needs import checked
from .policies.payload import refuse_payload
from .policies.rate import RateLimit
from .policies.retry import Backoff
from .policies.schedule import named
from .policies.unique import checked_names
from .routing import Router
from .runtime import Runtime
from .store import Store
from .store.versions import Version
from .subscribers import Subscribers
from .task import Task
from .trace import Trace

if TYPE_CHECKING:
    from .evidence.gatherer import Gatherer
    from .flow.batch import Batch, OpenBatch, When
    from .flow.chain import Chain
    from .flow.progress import BatchProgress
    from .flow.signature import Signature
    from .holding import Hold, Holding, Limiter

P = ParamSpec("P")
R = TypeVar("R")
After = TypeVar("After", bound=AfterTask)
Before = TypeVar("Before", bound=BeforeTask)
Failure = TypeVar("Failure", bound=OnFailure)
Layer = TypeVar("Layer", bound=Middleware)
Start = TypeVar("Start", bound=OnWorkerStart)


class Bridge:
    """A registry of tasks with its backends and its store.

    Args:
        settings: what it runs on. Defaults to the file and the environment, read on first use.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._given = settings
        self._definitions: dict[str, Definition] = {}
        self._declared: list[Callable[[Definition], None]] = []
        self._backends: dict[str, Backend] = {}
        self.clock = SystemClock()
        self.events = Events()
        self.subscribers = Subscribers(self.events, lambda: self.clock)
        #: A listener of users', told in a thread of its own; ``events.subscribe`` is for observers, told at once.
        self.subscribe = self.subscribers.subscribe
        self.hooks = Hooks()
        self.trace = Trace()
        self.observing = Observing()

    @cached_property
    def settings(self) -> Settings:
        """The settings, read once.

        Raises:
            ConfigError: an unknown word, or a value that does not fit.
        """
        return self._given or load_settings()

    @property
    def definitions(self) -> Mapping[str, Definition]:
        """The declared tasks, by name."""
        return MappingProxyType(self._definitions)

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, /, **options: Any) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    def task(self, function: Callable[P, R] | None = None, /, **options: Any) -> Any:
        """Declare a task: ``@task`` or ``@task(queue="emails", expires=600)``.

        Args:
            options: see ``TaskOptions``; ``retry`` defaults to ``Backoff()``, ``name`` to ``module.function``.

        Raises:
            ConfigError: an unknown option, a value out of its range, an annotation JSON cannot carry, a second task of
                the same name, or a schedule that cannot call it.
        """
        if function is not None:
            return self._declare(function, {})
        return lambda declared: self._declare(declared, options)

    def external(self, name: str, *, queue: str, **options: Any) -> Task[..., Any]:
        """Return a handle on a task that only other workers have, by the name they know it by.

        Args:
            name: as the engine's own worker knows it.
            queue: the queue that worker reads.
            options: see ``TaskOptions``.

        Raises:
            ConfigError: no name, an unknown option, or one that only a declared task has.
        """
        if not (name and name.strip()):
            raise ConfigError(f"name: expected the name by which other workers know a task, got {name!r}")

        def elsewhere(*args: Any, **kwargs: Any) -> Any:
            raise ConfigError(f"{name} runs in other workers only; enqueue it")

        refuse_unknown(options)
        refuse_declared(options)
        bare = TaskOptions(queue=queue)  # what its workers know of it is theirs; the rest travels with each call
        arguments = Arguments(elsewhere, name)
        definition = Definition(name=name, function=elsewhere, options=bare, arguments=arguments, external=True)
        return Task(definition, lambda: self.sender, TaskOptions(queue=queue, **options))

    def lock(self, key: str, *, at_most: int = 1, timeout: Span | None = None) -> AbstractContextManager[Hold]:
        """Hold a lock inside a ``with`` block, in any code: the lock that tasks take by ``Lock(key)``.

        Args:
            key: the whole key, as a task's template gives it: ``user:7``.
            at_most: how many may hold it. Defaults to 1.
            timeout: how long to wait for it at most; 0 asks once. Defaults to no end.

        Raises:
            LockHeld: it was not free in time.
            ClaimLost: at the end of the block: it was lost meanwhile, for this process could not renew it.
            StoreUnavailable: the store is away.
        """
        from .holding import hold_lock  # a producer may never need it

        return hold_lock(Lock(key, at_most=at_most), timeout, self._holding)

    def limit(self, rate: RateLimit) -> Limiter:
        """Return a limit for any code: ``with limit(RateLimit("70/s", name="provider")).hold(): ...``.

        Raises:
            ConfigError: it has no name.
        """
        from .holding import Limiter

        return Limiter(rate, self._holding)

    def batch(
        self, members: Iterable[Signature[Any] | Chain], *, when: When = "all_succeeded", name: str | None = None
    ) -> Batch:
        """Describe a batch: ``batch([send.s(7), send.s(8)]).then(report.s()).on_error(alert.s()).enqueue()``.

        Args:
            members: signatures of any tasks, and chains; a generator is streamed, in constant memory.
            when: ``all_succeeded`` makes the call of ``then`` only if no member failed; ``all_done``, when all have
                ended, however. Defaults to ``all_succeeded``.
            name: tells the batches of one task apart, where their number may change between its attempts. Defaults to
                which one of the attempt it is.

        Raises:
            ConfigError: a member that is no signature, another ``when``, an empty name, or one outside of a task.
        """
        from .flow.batch import Batch  # a producer may never need it

        return Batch(members, lambda: self.sender, when, name)

    def open_batch(
        self,
        *,
        when: When = "all_succeeded",
        then: Signature[Any] | None = None,
        on_error: Signature[Any] | None = None,
        name: str | None = None,
    ) -> OpenBatch:
        """Return a batch that is filled as it goes: ``with open_batch(then=report.s()) as b: b.add(send.s(7))``.

        Args:
            when, name: as for ``batch``.
            then, on_error: as ``then(...)`` and ``on_error(...)`` of it. Default to none.

        Raises:
            ConfigError: as for ``batch``, or a callback is no signature.
        """
        from .flow.batch import OpenBatch

        made = OpenBatch(lambda: self.sender, when, name)
        made = made if then is None else made.then(then)
        return made if on_error is None else made.on_error(on_error)

    def batch_progress(self, id: str) -> BatchProgress | None:
        """Return how far a batch is; None when there is none, or it is forgotten: a day after it was complete.

        Raises:
            StoreUnavailable: the store is away.
        """
        from .flow.progress import progress_of

        return progress_of(id, self.store)

    def before_task(self, hook: Before) -> Before:
        """Call ``hook(current)`` before each run, in declared order; what it raises stops the run. A decorator."""
        return self.hooks.before_task(hook)

    def after_task(self, hook: After) -> After:
        """Call ``hook(current, outcome)`` after each run, whatever became of it. A decorator."""
        return self.hooks.after_task(hook)

    def on_failure(self, hook: Failure) -> Failure:
        """Call ``hook(current, error, final)`` after each failed attempt; a final one is dead. A decorator."""
        return self.hooks.on_failure(hook)

    def on_worker_start(self, hook: Start) -> Start:
        """Call ``hook()`` once in each process that runs tasks, before its first one. A decorator."""
        return self.hooks.on_worker_start(hook)

    def middleware(self, layer: Layer) -> Layer:
        """Run every task of this bridge inside ``layer(call_next, current)``; the first is outermost. A decorator."""
        return self.hooks.middleware(layer)

    def on_declared(self, listener: Callable[[Definition], None]) -> None:
        """Call ``listener`` with every task, those declared already and those to come."""
        for definition in self._definitions.values():
            listener(definition)
        self._declared.append(listener)

    def backend(self, name: str) -> Backend:
        """Return a backend by its name in the settings, made on first use.

        Raises:
            ConfigError: no such backend, or a bad broker URL.
            BackendNotInstalled: its engine's package is missing.
        """
        if name not in self._backends:
            chosen = self.settings.backend_settings(name)
            place = Place(
                name=name,
                broker_url=chosen.broker_url,
                namespace=self.settings.namespace,
                queue_prefix=self.settings.queue_prefix,
                queues=chosen.queues,
            )
            self._backends.setdefault(name, load(chosen.engine, place))  # of two threads, one wins
        return self._backends[name]

    @cached_property
    def store(self) -> Store:
        """The store, made on first use.

        Raises:
            ConfigError: there is none for this broker, or one in memory that is to wait for a replica.
        """
        url, wait = self.settings.effective_store_url, self.settings.waits
        if url == "memory://":
            if wait:
                raise ConfigError(f"store_wait {wait.kind!r}: a store in memory has no replica and no disk; set none")
            from .store.memory import MemoryStore

            return MemoryStore(self.clock)
        from .store.redis import RedisStore

        return RedisStore(url, self.settings.namespace, wait)

    def observe(self, *more: str) -> None:
        """Have the observers that the settings name, and ``more``, told of all that is sent and run; each once.

        Raises:
            ConfigError: an observer nobody has, or whose package or settings are missing.
        """
        self.observing.call((*self.settings.observers, *more), self)

    def gather(self) -> None:
        """Have what watched tasks do in this process counted and told to the store."""
        self._gatherer  # noqa: B018 made once

    @cached_property
    def _gatherer(self) -> Gatherer:
        from .evidence.gatherer import Gatherer  # a producer runs nothing

        return Gatherer(self.events, lambda: self.clock, lambda: self.store.evidence)

    @cached_property
    def sender(self) -> Sender:
        """What enqueueing needs. The clock is compared with the store's once, if it answers.

        Raises:
            NotSupported: the default backend takes no messages as large as ``max_payload``.
        """
        self.observe()
        if self.settings.max_payload > MAX_PAYLOAD_BYTES:  # which every backend takes
            default = self.backend(self.settings.backend)
            refuse_payload(self.settings.max_payload, default.capabilities, f"the backend {default.name!r}")
        try:
            self.clock.agree_with(self.store.now_ms())
        except (StoreUnavailable, ConfigError):
            self.clock.offset_ms = 0
        return Sender(
            settings=self.settings,
            clock=self.clock,
            store=lambda: self.store,
            backend=self.backend,
            events=self.events,
            trace=self.trace,
            router=self.router,
            copies=Copies(self.backend, self.clock, self.events),
        )

    @cached_property
    def router(self) -> Router:
        """What says where messages go: the route table of the store, else the settings."""
        return Router(
            self.settings,
            self.clock,
            read=self._read_routes,
            usable=self._reachable,
            definitions=self.definitions,
        )

    def _read_routes(self, known: int) -> Version | None:
        return self.store.routes.read(known)

    def _reachable(self, name: str) -> None:
        """Refuse a backend that nothing can be sent to from here.

        Raises:
            ConfigError: it is not known, not installed, or of another process.
        """
        here = not self.backend(self.settings.backend).capabilities.processes
        if not here and not self.backend(name).capabilities.processes:
            raise NotSupported(f"the backend {name!r} lives in one process: what is sent there would be gone with it")

    @cached_property
    def runtime(self) -> Runtime:
        """What running tasks needs."""
        self.observe()
        self.gather()
        return Runtime(
            definitions=self.definitions,
            store=self.store,
            clock=self.clock,
            events=self.events,
            hooks=self.hooks,
            trace=self.trace,
            timeouts=self.settings.timeouts,
            max_payload=self.settings.max_payload,
        )

    @cached_property
    def _holding(self) -> Holding:
        from .holding import Holding
        from .lease import Lessor

        return Holding(store=self.store, clock=self.clock, lessor=Lessor(self.store, "code"))

    def flush(self) -> None:
        """Tell those who subscribed what waits for them, and have observers send what they hold; in a bounded time.

        The store is told what was gathered and not told yet.
        """
        self.subscribers.close()
        self.observing.flush()
        if "_gatherer" in self.__dict__:
            self._gatherer.rest()

    def close(self) -> None:
        """Tell those who listen what waits for them, and give all connections back."""
        self.flush()
        for backend in self._backends.values():
            backend.close()
        if "store" in self.__dict__:
            self.store.close()

    def _declare(self, given: Callable[P, R], options: dict[str, Any]) -> Task[P, R]:
        function, chunks = unwrapped(given)
        options = {"retry": Backoff(), **options}
        name = options.pop("name", None) or _name_of(function)
        if not isinstance(name, str) or len(name.split()) != 1:
            raise ConfigError(f"name: expected a task's name without blanks, got {name!r}")
        refuse_unknown(options)
        task_options = TaskOptions(**options)
        arguments = Arguments(function, name, part=slice(0 if chunks is None else 1, None))
        declared = Definition(name=name, function=function, options=task_options, arguments=arguments, chunks=chunks)
        definition = checked(declared)
        checked_names(definition, task_options)
        named(definition)
        if task_options.shadow_safe and chunks is not None:
            raise ConfigError(f"{name}: shadow_safe is for a task whose run is one body; a chunked one goes on and on")
        if not task_options.ledger and chunks is not None:
            raise ConfigError(f"{name}: ledger=False is for a task of one body; a chunked one goes on from its record")
        if task_options.idempotency_key:
            raise ConfigError(f"{name}: idempotency_key is of one call: .using(idempotency_key=...).enqueue(...)")
        if task_options.over is not None:
            raise ConfigError(f"{name}: over is of one call; a task is declared with @chunked(over=...)")
        other = self._definitions.get(name)
        if other is not None and not _same_place(other.function, function):
            raise ConfigError(f"two tasks are called {name!r}; give one another name=")
        self._definitions[name] = definition
        for listener in self._declared:
            listener(definition)
        return Task(definition, lambda: self.sender)


def _name_of(function: Callable[..., Any]) -> str:
    """``module.function``; a module that runs as a script keeps the name it is imported by."""
    module = function.__module__
    if module == "__main__":
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        file = os.path.basename(getattr(main, "__file__", None) or "__main__")
        module = spec.name if spec else os.path.splitext(file)[0]
    return f"{module}.{function.__qualname__}"


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether both are the same lines of the same file, imported twice."""
    a, b = getattr(one, "__code__", None), getattr(other, "__code__", None)
    return a is not None and b is not None and (a.co_filename, a.co_firstlineno) == (b.co_filename, b.co_firstlineno)
