"""Whether what one task returns can be the argument of another, by their annotations. Pure.

Refused is what can never fit: JSON of one kind where another is expected. What may fit, or may not, the run shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import inspect

#: How deep types are compared; what lies deeper fits, for a type may hold itself.
DEPTH = 6

#: What is text in JSON.
_TEXTS = (
    *(inspect.BytesType, inspect.ByteArrayType, inspect.DateTimeType, inspect.DateType, inspect.TimeType),
    *(inspect.TimeDeltaType, inspect.DecimalType, inspect.UUIDType, inspect.StrType),
)
_NUMBERS = (inspect.IntType, inspect.FloatType)
_LISTS = (inspect.ListType, inspect.SetType, inspect.FrozenSetType, inspect.VarTupleType)
_OBJECTS = (inspect.DictType, inspect.TypedDictType, inspect.DataclassType, inspect.StructType)


def fits(gives: Any, takes: Any) -> bool:
    """Whether a value of one annotation, sent as JSON, can come back as another; ``Any`` gives and takes everything."""
    if gives is Any or takes is Any:
        return True
    return _fits(inspect.type_info(gives), inspect.type_info(takes), DEPTH)


def _fits(gives: inspect.Type, takes: inspect.Type, depth: int) -> bool:
    return depth == 0 or any(_one(one, other, depth - 1) for one in _plain(gives) for other in _plain(takes))


def _plain(info: inspect.Type) -> Iterator[inspect.Type]:
    """The alternatives of a type; a word or a number of a fixed set is one of any."""
    if isinstance(info, inspect.UnionType):
        for one in info.types:
            yield from _plain(one)
    elif isinstance(info, inspect.EnumType):
        yield from {type(member.value): inspect.type_info(type(member.value)) for member in info.cls}.values()
    elif isinstance(info, inspect.LiteralType):
        yield from {type(value): inspect.type_info(type(value)) for value in info.values}.values()
    elif isinstance(info, inspect.Metadata):
        yield from _plain(info.type)
    else:
        yield info


def _one(gives: inspect.Type, takes: inspect.Type, depth: int) -> bool:
    if _unknown(gives) or _unknown(takes):
        return True
    if _is_list(gives) and _is_list(takes):
        return _lists_fit(_places(gives), _places(takes), depth)
    if isinstance(gives, _OBJECTS) and isinstance(takes, _OBJECTS):
        return _objects_fit(gives, takes, depth)
    if isinstance(gives, _NUMBERS) and isinstance(takes, inspect.FloatType | inspect.DecimalType):
        return True
    if isinstance(gives, inspect.StrType) or isinstance(takes, inspect.StrType):
        return isinstance(gives, _TEXTS) and isinstance(takes, _TEXTS)
    return type(gives) is type(takes)


def _unknown(info: inspect.Type) -> bool:
    known = isinstance(info, inspect.StructType) and (info.array_like or info.tag is not None)
    return known or isinstance(info, inspect.AnyType | inspect.RawType | inspect.CustomType | inspect.ExtType)


def _is_list(info: inspect.Type) -> bool:
    return isinstance(info, (*_LISTS, inspect.TupleType, inspect.NamedTupleType))


def _places(info: Any) -> tuple[bool, tuple[inspect.Type, ...]]:
    """What a list holds: whether it has so many places, and their types, or else the one of all."""
    if isinstance(info, inspect.TupleType):
        return True, info.item_types
    if isinstance(info, inspect.NamedTupleType):
        return True, tuple(field.type for field in info.fields)
    return False, (info.item_type,)


def _lists_fit(
    given: tuple[bool, tuple[inspect.Type, ...]], wanted: tuple[bool, tuple[inspect.Type, ...]], depth: int
) -> bool:
    (given_fixed, items), (wanted_fixed, places) = given, wanted
    if given_fixed and wanted_fixed:
        return len(items) == len(places) and all(_fits(*pair, depth) for pair in zip(items, places, strict=True))
    return all(_fits(item, place, depth) for item in items for place in places)


def _objects_fit(gives: Any, takes: Any, depth: int) -> bool:
    if isinstance(gives, inspect.DictType) or isinstance(takes, inspect.DictType):
        return type(gives) is not type(takes) or _fits(gives.value_type, takes.value_type, depth)
    given = {field.encode_name: field.type for field in gives.fields}
    return gives.cls is takes.cls or all(
        _fits(given[field.encode_name], field.type, depth) if field.encode_name in given else not field.required
        for field in takes.fields
    )
