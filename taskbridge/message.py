"""Message: one call of a task on its way. Frozen, versioned, the same on every engine.

``id`` and ``seq`` are the identity: a copy may be published any number of times by anybody, one ``seq`` is begun
at most once, and a copy with a lower ``seq`` than the record's is waste paper. Instants are unix milliseconds.
New fields come last, with defaults, so that two releases read each other's messages.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from .errors import DecodeError

#: The version of ``Message.encode``; a message of another one is refused.
VERSION = 1

#: An id is a key in the store and a cell in shared memory. Longer ones, from native producers, are hashed.
MAX_ID_BYTES = 160

NO_ARGS = msgspec.Raw(b"[]")
NO_KWARGS = msgspec.Raw(b"{}")


#: A JSON value that is not there.
NULL = msgspec.Raw(b"null")


class Flow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a message is part of: a link of a chain, a chunk of a run.

    ``link`` is its place in the chain, from 0; ``gives`` says that its result goes to the next one. ``run`` is empty
    where a run begins: it has that message's id then;
    ``chunk`` counts from 0, ``round`` grows when the run is rewound. ``at`` is the cursor a chunk begins at, within
    ``bounds``; where a run begins, bounds are those that its caller asked for, or none. The two are JSON.
    """

    chain: str = ""
    link: int = 0
    run: str = ""
    chunk: int = 0
    round: int = 0
    at: msgspec.Raw = NULL
    bounds: msgspec.Raw = NULL
    gives: bool = False


class Shadow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which shadow (a rule of the route table) has a message run twice, to be compared.

    Of a copy ``of`` is the id of its original; the original itself says that it has one, and leaves ``of`` empty.
    """

    rule: str
    of: str = ""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of one task.

    ``args`` and ``kwargs`` are JSON as it travels; ``codec`` makes values of them. ``due_at_ms`` is when it was
    first due, ``expires_at_ms`` when it is no longer worth beginning, ``released_at_ms`` when the relay last handed it
    to an engine. ``attempt`` is information: the record decides. ``route_key`` is what a share of the settings is
    sticky by, ``route_keys`` what rules of the route table are, by their templates; ``tags`` are what they know it by.
    ``timeout_ms`` and ``hard_timeout_ms`` are of this call alone: 0 is what its task says, -1 what the settings say.
    ``flow`` is None for a message of its own. ``trace`` is a JSON object: headers that join it to who has sent it.
    ``native`` is what a native producer's envelope carried beyond this, kept for the engine named ``engine``; it is
    ``bound`` to that engine where it says what follows it, which no other would do. ``shadow`` is None for a message
    whose run is compared with no other.
    """

    id: str
    task: str
    queue: str
    args: msgspec.Raw = NO_ARGS
    kwargs: msgspec.Raw = NO_KWARGS
    enqueued_at_ms: int = 0
    due_at_ms: int = 0
    expires_at_ms: int = 0
    priority: int = 5
    seq: int = 1
    attempt: int = 1
    engine: str = ""
    native: msgspec.Raw = NO_KWARGS
    released_at_ms: int = 0
    route_key: str = ""
    v: int = VERSION
    timeout_ms: int = 0
    hard_timeout_ms: int = 0
    flow: Flow | None = None
    trace: msgspec.Raw = NO_KWARGS
    tags: tuple[str, ...] = ()
    route_keys: dict[str, str] | None = None
    bound: bool = False
    shadow: Shadow | None = None

    @property
    def is_copy(self) -> bool:
        """Whether it is a shadow's copy: run once and compared, never settled."""
        return self.shadow is not None and bool(self.shadow.of)

    @property
    def first_due_ms(self) -> int:
        """When it could first have been begun: what expiry and age count from."""
        return max(self.due_at_ms, self.enqueued_at_ms)

    @property
    def ready_at_ms(self) -> int:
        """When it last came to be waiting for a worker: what time in queue counts from."""
        return max(self.first_due_ms, self.released_at_ms)

    def copy(self, **changes: Any) -> Message:
        """Return the message with these fields replaced."""
        return msgspec.structs.replace(self, **changes)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return the message as the store keeps it."""
    return _encoder.encode(message)


def decode(body: bytes) -> Message:
    """Read what ``encode`` wrote.

    Raises:
        DecodeError: the bytes are no message, or one of another version.
    """
    try:
        message = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"expected a taskbridge message, got {len(body)} bytes that are none: {error}") from error
    if message.v != VERSION:
        raise DecodeError(f"expected a message of version {VERSION}, got version {message.v}; run a newer release")
    return message


def new_id() -> str:
    """Return a fresh id: 128 random bits, hex."""
    return os.urandom(16).hex()


def raw_id(raw: bytes) -> str:
    """Return the id under which bytes that are no message are buried: the same bytes, the same id."""
    import hashlib

    return "raw-" + hashlib.sha256(raw).hexdigest()[:32]


def foreign_id(engine_id: str, native_retries: int) -> str:
    """Return the ledger id of a native producer's message.

    The engines publish a retry under the same id; without the count it would meet the first one's done marker.
    """
    whole = f"{engine_id}#{native_retries}"
    if len(whole.encode()) <= MAX_ID_BYTES:
        return whole
    import hashlib

    return "sha256-" + hashlib.sha256(whole.encode()).hexdigest()
