"""The sides of a comparison: an engine on a broker each, by words such as ``dramatiq+redis``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..config import BROKERS, ENGINES, Settings
from ..errors import ConfigError, nearest
from ..redis.url import redacted, scheme

#: The kinds of brokers, with an example of a URL of each.
KINDS = {"redis": "redis://localhost:6379/0", "sqs": "sqs://", "rabbitmq": "amqp://localhost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """An engine on a broker, with a store; ``name`` is what was asked for."""

    name: str
    engine: str
    broker: str
    broker_url: str = field(repr=False)
    store_url: str = field(repr=False)


def sides_of(words: Sequence[str], urls: Mapping[str, str], store_url: str, settings: Settings) -> list[Side]:
    """Return the sides that the words ask for, in their order; one that comes twice is told apart by a number.

    Args:
        words: ``engine+broker``, ``engine`` on the broker of the settings, or a backend that the settings name.
        urls: a broker's URL by its kind, where one was given.
        store_url: where the shared state is. Defaults to that of the settings, then to a broker that is a Redis: the
            side's own, or else one that is named here.
        settings: the rest.

    Raises:
        ConfigError: no word, an engine or a broker nobody knows, one that lives in one process, no or a wrong URL.
    """
    if not words:
        raise ConfigError("expected one or more backends such as celery+redis,dramatiq+redis")
    for kind, url in urls.items():
        if BROKERS.get(scheme(url)) != kind:
            raise ConfigError(f"--{kind}: expected a URL such as {KINDS[kind]}, got {redacted(url)!r}")
    places = {_kind(settings.broker_url): settings.broker_url, **urls}
    sides = [_side(word, places, store_url or settings.store_url, settings) for word in words]
    seen = Counter[str]()
    for number, side in enumerate(sides):
        seen[side.name] += 1
        if seen[side.name] > 1:
            sides[number] = replace(side, name=f"{side.name} ({seen[side.name]})")
    return sides


def _side(word: str, places: Mapping[str, str], store_url: str, settings: Settings) -> Side:
    named = settings.backends.get(word)
    if named is not None:
        engine, url = named.engine, named.broker_url or settings.broker_url
        broker = _kind(url)
    else:
        engine, plus, broker = word.partition("+")
        broker = broker if plus else _kind(settings.broker_url)
        url = places.get(broker, "")
    _check(word, engine, broker, settings)
    if not url:
        raise ConfigError(f"{word}: where is the broker? Say --{broker} URL, such as --{broker} {KINDS[broker]}")
    store_url = store_url or (url if broker == "redis" else places.get("redis", ""))
    if not store_url:
        raise ConfigError(f"{word}: the store needs a Redis: say --store URL, such as --store {KINDS['redis']}")
    name = word if named else f"{engine}+{broker}"
    return Side(name=name, engine=engine, broker=broker, broker_url=url, store_url=store_url)


def _check(word: str, engine: str, broker: str, settings: Settings) -> None:
    if engine not in ENGINES:
        raise ConfigError(f"{word}: no backend is called {engine!r}{nearest(engine, {*ENGINES, *settings.backends})}")
    if engine == "memory":
        raise ConfigError(f"{word}: the memory backend lives in one process; no worker can be started for it")
    if broker not in KINDS:
        raise ConfigError(f"{word}: no broker is called {broker!r}{nearest(broker, KINDS)}")


def _kind(url: str) -> str:
    return BROKERS.get(scheme(url), "")
