"""Arguments to JSON and back, by the function's annotations.

A value that would not come back equal is refused where it is sent, not where it is needed: an annotation that JSON
cannot carry when the task is declared, an argument that does not fit when it is enqueued. Only a tuple may come back as
a list, for JSON has no other. Pickle is never used.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, time
from functools import partial
from typing import Any, get_type_hints

import msgspec

from .errors import ArgumentError, ConfigError, DecodeError

_encoder = msgspec.json.Encoder(decimal_format="string")
_sorting_encoder = msgspec.json.Encoder(order="sorted")
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_dict_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()

#: How the JSON of a value begins that has others in it.
_CONTAINERS = (b"[", b"{")

#: A number below this is the same in every JSON.
_SURELY_WHOLE = 2**53

#: What means the same in JSON and in Python.
_PLAIN = (str, bool, int, type(None))

#: What msgspec says of a value that is none of an enum or a ``Literal``: with the value, then where it stands.
_INVALID = re.compile(
    r"\A(Invalid (?:enum )?value) .*?((?<=['\"\d]) - at `\$(?:\[(?:\d+|\.{3})\]|\.\w+)*`)?\Z", re.DOTALL
)

#: What the parameters that take any argument are called here, for a keyword argument may have their name.
_STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


class Arguments:
    """The parameters of one task: checks a call, encodes it, decodes it.

    Args:
        function: the task's function; its annotations say what values come back as.
        task: its name, for the errors.
        part: which of its parameters travel; others are given where it runs. Defaults to all.

    Raises:
        ConfigError: an annotation that JSON cannot carry.
    """

    def __init__(self, function: Callable[..., Any], task: str, *, part: slice = slice(None)) -> None:
        self.task = task
        whole = inspect.signature(function)
        self.signature = whole.replace(parameters=list(whole.parameters.values())[part])
        parameters = self.signature.parameters.values()
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        self._positional = [p.name for p in named if p.kind is not p.KEYWORD_ONLY]
        self._keywords = {p.name for p in named if p.kind is not p.POSITIONAL_ONLY}
        self._required = {p.name for p in named if p.default is p.empty}
        self._any_positional = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.takes_any_keyword = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._annotations: dict[str, str] = {}
        self._decoders = self._decoders_of(function)

    @property
    def written(self) -> str:
        """The signature as it stands in the code: annotations that are texts (``from __future__``) without quotes."""
        signature = self.signature
        parameters = [one.replace(annotation=_bare(one.annotation)) for one in signature.parameters.values()]
        return str(signature.replace(parameters=parameters, return_annotation=_bare(signature.return_annotation)))

    @property
    def keywords(self) -> set[str]:
        """The names a caller may pass by keyword; a worker announces them."""
        return self._keywords

    def encode(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, first: msgspec.Raw | None = None
    ) -> tuple[msgspec.Raw, msgspec.Raw]:
        """Check the call against the signature and return ``args`` and ``kwargs`` as JSON.

        Args:
            args: the positional arguments.
            kwargs: the keyword arguments.
            first: JSON of one more positional argument, before ``args``; its value is not looked at.

        Raises:
            ArgumentError: too many, too few or unknown arguments; a value of another type; one JSON cannot carry.
        """
        sent_args = [] if first is None else [first]
        given = (*sent_args, *args)
        if not self.fits(given, kwargs):
            self._explain_misfit(given, kwargs)
        names = self._positional[len(sent_args) : len(given)]
        sent_args += [self._carried(name, value, name) for name, value in zip(names, args, strict=False)]
        sent_args += [self._carried("*", value, "*") for value in args[len(names) :]]
        sent_kwargs = {name: self._carried(self._of_keyword(name), value, name) for name, value in kwargs.items()}
        return msgspec.Raw(_encoder.encode(sent_args)), msgspec.Raw(_encoder.encode(sent_kwargs))

    def replaced(
        self, args: msgspec.Raw, kwargs: msgspec.Raw, changes: Mapping[str, Any]
    ) -> tuple[msgspec.Raw, msgspec.Raw]:
        """Return a call as JSON with these arguments in place of those of the same name; the others stay as they are.

        Raises:
            ArgumentError: an argument the function does not have, or a value that does not fit.
        """
        sent_args, sent_kwargs = _list_decoder.decode(args), _dict_decoder.decode(kwargs)
        for name, value in changes.items():
            if name not in self._keywords and not self.takes_any_keyword:
                raise ArgumentError(f"there is no argument {name!r}; expected {self.task}{self.written}")
            raw = self._carried(self._of_keyword(name), value, name)
            if name in self._positional[: len(sent_args)]:
                sent_args[self._positional.index(name)] = raw
            else:
                sent_kwargs[name] = raw
        return msgspec.Raw(_encoder.encode(sent_args)), msgspec.Raw(_encoder.encode(sent_kwargs))

    def canonical(self, args: msgspec.Raw, kwargs: msgspec.Raw) -> bytes:
        """Return one JSON for the same call in every process, whether arguments were passed by position or by name."""
        sent = _list_decoder.decode(args) if args != b"[]" else []
        named = dict(zip(self._positional, sent, strict=False))
        named |= _dict_decoder.decode(kwargs) if kwargs != b"{}" else {}
        ordered = {name: self._ordered(name, raw) for name, raw in named.items()}
        return _sorting_encoder.encode((ordered, [self._ordered("*", raw) for raw in sent[len(self._positional) :]]))

    def unknown(self, kwargs: msgspec.Raw) -> tuple[str, ...]:
        """Return the keyword arguments that this function does not have, sorted."""
        if self.takes_any_keyword or kwargs == b"{}":
            return ()
        names = _dict_decoder.decode(kwargs).keys()
        return () if names <= self._keywords else tuple(sorted(names - self._keywords))

    def decode(
        self, args: msgspec.Raw, kwargs: msgspec.Raw, *, without: Iterable[str] = ()
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the values of the call, as annotated.

        Args:
            args: a JSON array.
            kwargs: a JSON object.
            without: names to leave out.

        Raises:
            DecodeError: a value that is not of the annotated type.
        """
        raw_args = _list_decoder.decode(args) if args != b"[]" else []
        raw_kwargs = _dict_decoder.decode(kwargs) if kwargs != b"{}" else {}
        names = self._positional + ["*"] * (len(raw_args) - len(self._positional))
        positional = [self._value(name, raw) for name, raw in zip(names, raw_args, strict=False)]
        return positional, {
            name: self._value(self._of_keyword(name), raw) for name, raw in raw_kwargs.items() if name not in without
        }

    def encode_one(self, value: Any) -> msgspec.Raw:
        """Return the value of the first parameter as JSON.

        Raises:
            ArgumentError: it is not as annotated, or JSON cannot carry it.
        """
        name = self._first
        return self._carried(name, value, name)

    def decode_one(self, raw: msgspec.Raw) -> Any:
        """Return the value of the first parameter, as annotated.

        Raises:
            DecodeError: it is not of the annotated type.
        """
        return self._value(self._first, raw)

    @property
    def positional(self) -> list[str]:
        """The parameters that a caller may pass by position, in their order; a worker announces them."""
        return self._positional

    @property
    def names(self) -> list[str]:
        """The parameters with a name of their own, in their order."""
        return [*self._positional, *sorted(self._keywords - set(self._positional))]

    @property
    def first(self) -> tuple[str, Any]:
        """The first positional parameter: its name, and its type; Any where it says none."""
        name = self._positional[0] if self._positional else "*"
        decoder = self._decoders.get(name)
        return name, decoder.type if decoder else Any

    def values_of(
        self, names: Iterable[str], args: msgspec.Raw, kwargs: msgspec.Raw, *, known_only: bool = False
    ) -> dict[str, Any]:
        """Return some of a call's values by name, as annotated; what was not passed is its default.

        Args:
            names: which.
            args: a JSON array.
            kwargs: a JSON object.
            known_only: refuse a call with keyword arguments that this function does not have. Defaults to leave them.

        Raises:
            DecodeError: one that was not passed and has no default, or is not of the annotated type.
        """
        found = _dict_decoder.decode(kwargs) if kwargs != b"{}" else {}
        if known_only and not self.takes_any_keyword and not found.keys() <= self._keywords:
            raise DecodeError(f"{self.task} has no argument {min(found.keys() - self._keywords)!r}")
        if args != b"[]":
            found = dict(zip(self._positional, _list_decoder.decode(args), strict=False)) | found
        values = {}
        for name in names:
            if name in found:
                values[name] = self._value(name, found[name])
            elif name in self._required:
                raise DecodeError(f"{self.task}: the argument {name!r} is missing")
            else:
                values[name] = self.signature.parameters[name].default
        return values

    def rest_of(self, args: msgspec.Raw, kwargs: msgspec.Raw) -> tuple[list[Any], dict[str, Any]]:
        """Return what of a call has no parameter of its own, as plain JSON: taken by ``*args`` and ``**kwargs``."""
        more_args = _any_decoder.decode(args)[len(self._positional) :]
        more_kwargs = {name: value for name, value in _any_decoder.decode(kwargs).items() if name not in self._keywords}
        return more_args, more_kwargs

    @property
    def _first(self) -> str:
        return self._positional[0] if self._positional else "*"

    def _of_keyword(self, name: str) -> str:
        """Return which parameter takes this keyword argument: its own, or the one that takes any."""
        return name if name in self._keywords else "**"

    def fits(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether the function can be called with so many arguments of these names, whatever their values are."""
        if len(args) > len(self._positional) and not self._any_positional:
            return False
        given = set(self._positional[: len(args)])
        named: AbstractSet[str] = kwargs.keys()
        if self.takes_any_keyword:
            named &= self._keywords
        elif not named <= self._keywords:
            return False
        return given.isdisjoint(named) and given.union(named) >= self._required

    def _explain_misfit(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        call = f"{self.task}{self.written}"
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{error}; expected {call}") from None
        raise ArgumentError(f"the arguments do not fit; expected {call}")

    def _carried(self, parameter: str, value: Any, name: str) -> msgspec.Raw:
        """Encode the value of the argument ``name``, and see that it comes back as the parameter is annotated."""
        decoder, annotation = self._decoders.get(parameter), self._annotations.get(parameter, "")
        if type(value) is int and decoder is not None and decoder.type is int and abs(value) < _SURELY_WHOLE:
            return msgspec.Raw(b"%d" % value)  # an id, as most arguments are: it comes back as it is
        return carried(value, decoder, annotation, f"{self.task}: argument {name!r}")

    def _ordered(self, name: str, raw: msgspec.Raw) -> msgspec.Raw:
        """Put what has no order of its own into one: a set travels as a list in the order of its process."""
        if memoryview(raw)[:1] not in _CONTAINERS:
            return raw
        parameter = name if name == "*" or name in self._positional else self._of_keyword(name)
        plain = msgspec.to_builtins(self._value(parameter, raw), str_keys=True, order="sorted")
        return msgspec.Raw(_sorting_encoder.encode(plain))

    def _value(self, name: str, raw: msgspec.Raw) -> Any:
        decoder = self._decoders.get(name) or _any_decoder
        try:
            return decoder.decode(raw)
        except msgspec.MsgspecError as error:  # logs and reports have its text, so the value is not in it
            raise DecodeError(f"{self.task}: argument {name!r} does not fit: {_without_value(error)}") from None

    def _decoders_of(self, function: Callable[..., Any]) -> dict[str, msgspec.json.Decoder[Any]]:
        try:
            hints = get_type_hints(_annotated(function), include_extras=True)
        except NameError as error:
            raise ConfigError(
                f"{self.task}: its annotations name {error.name!r}, which is not there when the module runs; "
                f"import it outside of TYPE_CHECKING"
            ) from None
        decoders = {}
        for parameter in self.signature.parameters.values():
            annotation = hints.get(parameter.name, Any)
            if annotation is Any or annotation is object:
                continue
            name = _STARS.get(parameter.kind, parameter.name)
            decoders[name] = decoder_of(annotation, f"{self.task}: parameter {parameter.name!r}")
            self._annotations[name] = inspect.formatannotation(annotation)
        return decoders


def decoder_of(annotation: Any, where: str) -> msgspec.json.Decoder[Any]:
    """Return what makes values of JSON; ``where`` says whose annotation it is.

    Raises:
        ConfigError: JSON cannot carry it.
    """
    try:
        _refuse_custom(annotation, where)
        return msgspec.json.Decoder(annotation)
    except (TypeError, NameError) as error:
        raise ConfigError(f"{where} is annotated {annotation!r}, which JSON cannot carry: {error}") from None


def carried(value: Any, decoder: msgspec.json.Decoder[Any] | None, annotation: str, where: str) -> msgspec.Raw:
    """Return a value as JSON, if it comes back as it is.

    Args:
        value: what is sent.
        decoder: of its annotation; None where it has none.
        annotation: as it is written.
        where: what the value is, for the error.

    Raises:
        ArgumentError: it would not come back, or JSON cannot carry it.
    """
    try:
        _refuse_naive(value, where)
        if decoder is None and not _is_plain(value):
            raise ArgumentError(
                f"{where} is {_kind(value)}, which JSON carries only where it is annotated; "
                f"annotate it, or pass text, numbers, lists and dicts with text keys"
            )
        raw = _encoder.encode(value)
        why = _loss(value, raw, decoder) if decoder is not None else ""
    except ArgumentError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ArgumentError(f"{where}: JSON cannot carry {_kind(value)}: {_without_value(error)}") from None
    if why:
        raise ArgumentError(f"{where}: expected {annotation}, got {_kind(value)}: {why}")
    return msgspec.Raw(raw)


def _annotated(function: Any) -> Any:
    """Return where the annotations are of what can be called: a partial's function, an object's ``__call__``."""
    if isinstance(function, partial):
        return _annotated(function.func)
    own = inspect.isroutine(function) or inspect.isclass(function) or hasattr(function, "__wrapped__")
    return function if own else type(function).__call__


def _refuse_custom(annotation: Any, where: str) -> None:
    """Refuse a plain class: msgspec takes it for ``Any`` and only complains when a value comes."""

    info = msgspec.inspect.type_info(annotation)
    pending: list[Any] = [info]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, msgspec.inspect.CustomType):
            raise ConfigError(f"{where} is annotated {node.cls!r}, which JSON cannot carry; pass its id instead")
        pending += _children(node)


def _children(node: Any) -> list[Any]:
    """The types inside a msgspec type description."""
    found: list[Any] = []
    for name in getattr(node, "__struct_fields__", ()):
        part = getattr(node, name)
        for item in part if isinstance(part, tuple) else (part,):
            if isinstance(item, msgspec.inspect.Type):
                found.append(item)
            elif isinstance(item, msgspec.inspect.Field):
                found.append(item.type)
    return found


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    return kind in (list, tuple) and all(map(_is_plain, value))


def _refuse_naive(value: Any, where: str) -> None:
    """A datetime without a zone means another instant on another machine; NaN has no JSON."""
    kind = type(value)
    if kind in _PLAIN:
        return
    if isinstance(value, float) and not math.isfinite(value):
        raise ArgumentError(f"{where}: JSON cannot carry {value!r}")
    if isinstance(value, datetime | time) and value.tzinfo is None:
        raise ArgumentError(f"{where}: {_kind(value)} has no time zone; give it one, such as timezone.utc")
    for item in _parts(value):
        _refuse_naive(item, where)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return value
    return [getattr(value, name) for name in _fields(value)]


def _fields(value: Any) -> list[str]:
    """The fields of a dataclass or msgspec struct."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return list(getattr(type(value), "__struct_fields__", ()))


def _loss(sent: Any, raw: bytes, decoder: msgspec.json.Decoder[Any]) -> str:
    """Say why a value does not come back from its JSON; empty when it does."""
    try:
        back = decoder.decode(raw)
        if (sent == back and _encoder.encode(back) == raw) or _same(sent, back):
            return ""
        return (
            "it would come back as another one" if type(back) is type(sent) else f"it would come back as {_kind(back)}"
        )
    except (msgspec.MsgspecError, ArithmeticError) as error:  # a signalling NaN cannot even be compared
        return _without_value(error)


def _same(sent: Any, back: Any) -> bool:
    """Equal, part by part; JSON has one kind of list, and a float is no Decimal, though 1.5 happens to be equal."""
    if isinstance(sent, list | tuple) and isinstance(back, list | tuple):
        return len(sent) == len(back) and all(map(_same, sent, back))
    if isinstance(sent, Mapping) and isinstance(back, Mapping):
        return sent.keys() == back.keys() and all(_same(value, back[key]) for key, value in sent.items())
    if type(sent) is type(back) and (names := _fields(sent)):
        return all(_same(getattr(sent, name), getattr(back, name)) for name in names)
    if isinstance(sent, datetime) and isinstance(back, datetime):  # two zones in the hour a clock is set back: never ==
        return sent.astimezone(UTC) == back.astimezone(UTC)
    if isinstance(sent, float) and not isinstance(back, float):
        return False
    return bool(sent == back)


def _kind(value: Any) -> str:
    """Say what a value is without showing it: it may be a secret, and whoever logs the error has its text."""
    return f"a value of type {type(value).__name__}"


def _without_value(error: Exception) -> str:
    """Return an error's text; msgspec shows a value that is none of those it knows: of an enum, of a ``Literal``."""
    return _INVALID.sub(r"\1\2", str(error))


class _Bare(str):
    """A text that is shown as it is."""

    __slots__ = ()
    __repr__ = str.__str__


def _bare(annotation: Any) -> Any:
    return _Bare(annotation) if isinstance(annotation, str) else annotation
