"""Which calls can be the links of a chain: refused when it is made, with the number of the link and the reason."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..definition import Definition
from ..errors import ArgumentError, ConfigError
from ..returned import returned_by
from .chain import CONTINUE, STOP, Chain
from .fitting import fits
from .signature import Signature


def flattened(calls: Iterable[Any], on_error: object) -> tuple[Signature[Any], ...]:
    """Return the links of calls and chains, in their order.

    Raises:
        ConfigError: one is no signature, or a chain that does something else when a link fails.
    """
    return tuple(_links_of(calls, on_error))


def check(links: Sequence[Signature[Any]], on_error: object, *, first: int = 0) -> None:
    """Refuse what cannot be a chain.

    Args:
        links: the calls.
        on_error: what a link that fails leads to.
        first: the number of the first that was not checked yet.

    Raises:
        ArgumentError: a link that cannot be called so, or cannot take what the one before returns.
        ConfigError: no links, an option that a link cannot have, or a wrong ``on_error``.
    """
    if not links:
        raise ConfigError("a chain has at least one link, such as chain(extract.s(7), load.s())")
    _check_on_error(on_error)
    fitted: set[tuple[int, int]] = set()
    for n in range(first, len(links)):
        link, where = links[n], f"link {n + 1} of the chain"
        if n or not link.takes_result:
            _check_alone(link, where, filled=link.takes_result)
        else:  # it may be the rest of another chain, and was checked when it was written
            _check_claims(link, where)
        before = links[n - 1] if n else None
        if before and before.definition.external:
            raise ConfigError(
                f"{where}: {before.definition.name}, before it, is a task that only others' workers have, and nobody "
                f"tells how it ends: it can only be the last link"
            )
        if before and link.takes_result:
            pair = id(before.definition), id(link.definition)
            if pair not in fitted:
                _check_fit(before.definition, link.definition, where, none=on_error == CONTINUE)
                fitted.add(pair)
    if links[0].definition.external:
        raise ConfigError("link 1 of the chain: a task that only others' workers have can only be the last of several")


def _links_of(calls: Iterable[Any], on_error: object) -> Iterator[Signature[Any]]:
    for call in calls:
        if isinstance(call, Chain):
            if call.on_error not in (STOP, on_error):
                raise ConfigError(
                    f"a chain inside of another has on_error={call.on_error!r}; it is said once, of the whole: "
                    f"chain(..., on_error=...)"
                )
            yield from call.links
        else:
            yield _signature(call, "a link of a chain")


def _signature(call: Any, what: str) -> Signature[Any]:
    if isinstance(call, Signature):
        return call
    name = getattr(call, "__name__", "")
    hint = f"; write {name}.s()" if hasattr(call, "s") and name else ""
    raise ConfigError(f"{what}: expected a signature such as load.s(), got {call!r}{hint}")


def _check_on_error(on_error: Any) -> None:
    if on_error in (STOP, CONTINUE):
        return
    what = f"on_error: {STOP!r}, {CONTINUE!r} or what is called"
    call = _signature(on_error, what)
    _check_alone(call, what, filled=call.takes_result)
    if call.takes_result:
        name, takes = call.definition.arguments.first
        if not fits(str, takes):
            raise ArgumentError(
                f"{what}: {call.definition.name} is given the id of the message that failed, which is text, and its "
                f"parameter {name!r} is annotated {_written(takes)}; .si(...) takes none"
            )


def _check_claims(link: Signature[Any], where: str) -> None:
    try:
        link.refuse_claims()
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_alone(link: Signature[Any], where: str, *, filled: bool) -> None:
    _check_claims(link, where)
    try:
        link.encoded(filled=filled)
    except ArgumentError as error:
        more = f"{where} is given a result before its arguments, and cannot take it" if filled else where
        hint = "; .si(...) takes none" if filled else ""
        raise ArgumentError(f"{more}: {error}{hint}") from None


def _check_fit(before: Definition, after: Definition, where: str, *, none: bool) -> None:
    """Refuse what can never come back as the parameter is annotated.

    Raises:
        ArgumentError: it cannot.
        ConfigError: JSON cannot carry what is returned.
    """
    gives = None if before.chunks else returned_by(before.function, before.name).annotation
    name, takes = after.arguments.first
    told = f"{where}: the parameter {name!r} of {after.name} is annotated {_written(takes)}"
    if not fits(gives, takes):
        raise ArgumentError(f"{told}, and {before.name} returns {_written(gives)}; .si(...) takes no result")
    if none and not fits(None, takes):
        raise ArgumentError(
            f"{told}, and is given None when {before.name} fails, as on_error={CONTINUE!r} says; let it take None"
        )


def _written(annotation: Any) -> str:
    return inspect.formatannotation(annotation)
