"""Task: a declared function. Calling it runs it here; ``enqueue`` runs it in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from .definition import Definition
from .enqueue import Enqueued, Receipt, Sender, enqueue, enqueue_many
from .flow.chunked import overridden, run_here
from .flow.signature import Signature
from .options import TaskOptions

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function that can run in a worker. Made by ``@task``, not by hand.

    ``enqueue`` takes what the function takes; type checkers know it.
    """

    def __init__(
        self, definition: Definition, sender: Callable[[], Sender], options: TaskOptions | None = None
    ) -> None:
        self.definition = definition
        self._options = options or definition.options
        self._sender = sender
        update_wrapper(self, definition.function)
        if definition.chunks is not None:
            self.__signature__ = definition.arguments.signature

    @property
    def name(self) -> str:
        """The task's name on the wire: ``module.function``."""
        return self.definition.name

    @property
    def options(self) -> TaskOptions:
        """What the task asks for, with what ``using`` has changed."""
        return self._options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        definition = self.definition
        if definition.chunks is not None:
            result: R = run_here(definition.function, definition.chunks, self.options.over, args, kwargs)
        else:
            result = definition.function(*args, **kwargs)
        return result

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Receipt:
        """Run it in a worker. Arguments as for the function itself.

        Raises:
            ArgumentError: they do not fit the signature, or JSON cannot carry them.
            PayloadTooLarge: the message is over ``max_payload`` (64 KiB).
            BrokerUnavailable, StoreUnavailable, StoreFull: it may or may not have been sent.
        """
        return enqueue(self.definition, self.options, args, kwargs, self._sender())

    def enqueue_many(
        self, calls: Iterable[Mapping[str, Any] | tuple[Any, ...]], *, key: Callable[[Any], str] | None = None
    ) -> Enqueued:
        """Run it once per item, streamed in constant memory and in bulk.

        In a chunk, and in a batch that a task fills, the same call is the same message, however often it is repeated.

        Args:
            calls: for each call a mapping of keyword arguments, or a tuple of positional ones.
            key: there, says of a call what tells it from others. Defaults to its arguments.

        Raises:
            ConfigError: ``key`` anywhere else.
            The same as ``enqueue``; what was sent before the error stays sent.
        """
        return enqueue_many(self.definition, self.options, calls, self._sender(), key)

    @overload
    def s(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]: ...
    @overload
    def s(self: Task[Concatenate[Any, Q], R], *args: Q.args, **kwargs: Q.kwargs) -> Signature[R]: ...
    def s(self, *args: Any, **kwargs: Any) -> Signature[Any]:
        """Write this call down: for a chain, whose results go before these arguments, or for a callback.

        Raises:
            ArgumentError: they do not fit, neither as they are nor behind a result.
        """
        return self._signature(args, kwargs, takes_result=True)

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
        """Write this call down as it is: it takes no result.

        Raises:
            ArgumentError: the arguments do not fit.
        """
        return self._signature(args, kwargs, takes_result=False)

    def using(self, **options: Any) -> Task[P, R]:
        """Return this task with other options: ``report.using(delay=60, queue="urgent").enqueue(7)``.

        Args:
            options: what is decided when it is enqueued; see ``TaskOptions``. ``over`` is a range for one run of a
                chunked task: ``ids``, ``dates`` or ``times`` as it is declared; functions in it are called now.

        Raises:
            ConfigError: an unknown option, or a value out of its range.
        """
        if options.get("over") is not None:
            options["over"] = overridden(self.definition.chunks, options["over"], self.name)
        return Task(self.definition, self._sender, self.options.with_changes(options))

    def _signature(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, takes_result: bool) -> Signature[Any]:
        return Signature(
            definition=self.definition,
            options=self.options,
            args=args,
            kwargs=kwargs,
            takes_result=takes_result,
            sender=self._sender,
        )

    def __repr__(self) -> str:
        return f"<Task {self.name} on queue {self.options.queue!r}>"
