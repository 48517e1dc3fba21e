"""Signature: a call of a task that is written down, to be made later or by something else.

``task.s(...)`` may be given a result, which goes before its own arguments; ``task.si(...)`` takes none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from ..definition import Definition
from ..enqueue import Receipt, Sender, enqueue, made, route_key
from ..errors import ArgumentError, ConfigError
from ..message import Flow
from ..options import TaskOptions
from ..store.flow import HOLE, Follower

if TYPE_CHECKING:
    from .chain import Chain

R_co = TypeVar("R_co", covariant=True)

#: Where the store puts a result: the first positional argument, as JSON.
_HOLE = msgspec.Raw(msgspec.json.encode(HOLE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature(Generic[R_co]):
    """One call of one task, checked when it is written. Made by ``task.s`` and ``task.si``, not by hand.

    Args:
        definition: the task.
        options: with what ``using`` has changed.
        args: its own positional arguments; a result goes before them.
        kwargs: its own keyword arguments.
        takes_result: whether it is given what went before.
        sender: what sends it.

    Raises:
        ArgumentError: the arguments do not fit, neither as they are nor behind a result.
    """

    definition: Definition
    options: TaskOptions
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    takes_result: bool = True
    sender: Callable[[], Sender] = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        whole = self.definition.arguments.fits(self.args, self.kwargs)
        behind = self.takes_result and self.definition.arguments.fits((_HOLE, *self.args), self.kwargs)
        if not whole and behind:
            self.encoded(filled=True)
            return
        try:
            self.encoded(filled=False)
        except ArgumentError:
            if not behind:
                raise
            self.encoded(filled=True)

    def enqueue(self) -> Receipt:
        """Run it in a worker; as ``task.enqueue(...)``, which see for what is raised."""
        return enqueue(self.definition, self.options, self.args, self.kwargs, self.sender())

    def using(self, **options: Any) -> Signature[R_co]:
        """Return this call with other options, as ``task.using(...)`` takes them."""
        return replace(self, options=self.options.with_changes(options))

    def __or__(self, after: Signature[Any] | Chain) -> Chain:
        """Return the chain of this and what comes after it; as ``chain``, which see for what is raised."""
        from .chain import chain

        return chain(self, after)

    def follower(self, id: str, sender: Sender, *, filled: bool, flow: Flow | None = None) -> Follower:
        """Return it as the store keeps it until something has ended: due ``delay`` after that.

        Args:
            id: of the message that it becomes; only it can have it.
            sender: whose settings count.
            filled: whether the store fills in its first argument then.
            flow: what the message is part of.

        Raises:
            ArgumentError: it cannot be called so.
            ConfigError: an option that is decided when a call is enqueued.
            PayloadTooLarge: the message is over ``max_payload``.
        """
        self.refuse_claims()
        key = route_key(self.definition, self.args, self.kwargs, sender.settings, filled=filled)
        sent = self.encoded(filled=filled)
        message = made(id, self.definition, self.options, sent, sender, route_key=key, flow=flow, filled=filled)
        return Follower(message=message, wait_ms=self.options.delay_ms, for_others=self.definition.external)

    def refuse_claims(self) -> None:
        """Refuse what asks the store about a call that is not complete yet, or is made whatever else stands.

        Raises:
            ConfigError: the option, and why.
        """
        for option, empty in (("unique", None), ("debounce", None), ("idempotency_key", "")):
            if getattr(self.options, option):
                raise ConfigError(
                    f"{self.definition.name}: {option} is decided when a call is enqueued, and this one is made when "
                    f"something else has ended: leave it out, or say {option}={empty!r} in .using"
                )

    def encoded(self, *, filled: bool) -> tuple[msgspec.Raw, msgspec.Raw]:
        """Return its arguments as JSON, the first left open where it is ``filled`` in later.

        Raises:
            ArgumentError: it cannot be called so.
        """
        arguments = self.definition.arguments
        if filled:
            return arguments.encode(self.args, self.kwargs, first=_HOLE)
        sent = arguments.encode(self.args, self.kwargs)
        if any(bytes(_HOLE) in bytes(part) for part in sent):
            raise ArgumentError(f"{self.definition.name}: the text {HOLE!r} stands for a result; pass another")
        return sent
