"""Redis as a broker: the same server, with a broker's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..backend import Place
from ..errors import BrokerUnavailable, ConfigError, StoreFull, StoreUnavailable
from .server import Server
from .url import SCHEMES, redacted, scheme


def broker_server(place: Place) -> Server:
    """Return the server of a backend's broker.

    Raises:
        ConfigError: the URL is not one of Redis.
    """
    if scheme(place.broker_url) not in SCHEMES:
        raise ConfigError(
            f"backend {place.name!r}: expected a broker URL of {', '.join(f'{s}://' for s in SCHEMES)}, "
            f"got {redacted(place.broker_url)!r}"
        )
    return Server(place.broker_url)


@contextmanager
def publishing(server: Server) -> Iterator[None]:
    """Call an absent server a broker that is away; a full one stays ``StoreFull``."""
    try:
        yield
    except StoreFull:
        raise
    except StoreUnavailable as error:
        raise BrokerUnavailable(f"the broker {error}") from error
