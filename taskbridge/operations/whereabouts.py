"""Where is my message, and why: what the store knows, and on request a bounded look through the engines' queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, islice

from ..bridge import Bridge
from ..errors import DecodeError, TaskbridgeError
from ..message import Message, decode, foreign_id
from ..store import Record, Store
from .depths import backend_of, depths, owner_of
from .disclosure import Disclosure
from .links import Link, link_of
from .runs import run_of
from .words import seen_from

#: A ready message that is due for so long has no relay, milliseconds.
NO_RELAY_MS = 5_000

NOT_KNOWN = (
    "the store knows nothing of it: a plain message leaves no trace there before a worker begins it, "
    "and what has ended is forgotten after two hours (seven days if it was published more than once)"
)
NO_SCAN = "its broker shows a message only to who receives it, so its queues were not looked through"
NOT_SEEN = "a message that a worker has fetched and not yet begun lies in no queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a scan met it: how many messages of the queue it passed before."""

    backend: str
    queue: str
    ahead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where a message is: ``why`` says in words what ``state`` says in one.

    ``state`` is running, ready, delayed, parked, locked, throttled, held, paused, published, ended, dead, waiting
    (a scan met it) or unknown. ``run`` is the run that it is or was a chunk of.
    ``scanned`` is how many messages were looked through; ``problems`` says where the look failed.
    """

    id: str
    state: str
    why: str
    record: Record | None = None
    message: Message | None = None
    link: Link | None = None
    found: Found | None = None
    run: str = ""
    scanned: int = 0
    problems: tuple[str, ...] = ()


def whereabouts(bridge: Bridge, id: str, *, scan: int = 0, queues: Sequence[str] = ()) -> Whereabouts:
    """Return where a message is.

    Args:
        bridge: where to look.
        id: as ``enqueue`` returned it, or as a native producer knows it; of a chain, for the link that stands.
        scan: how many messages of each queue to look through when the store cannot tell.
        queues: further queues to look through.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    record = record_of(bridge.store, id) or _standing(bridge.store, id)
    message = message_of(record)
    if record is None:
        known = Whereabouts(id=id, state="unknown", why=NOT_KNOWN)
    else:
        why = Disclosure(bridge).of(message).text(_why(record, message, bridge.store.now_ms()))
        known = Whereabouts(
            id=record.id,
            state=_WORDS[record.state],
            why=why,
            record=record,
            message=message,
            link=link_of(bridge.store, message),
            run=run_of(bridge.store, record.id, message),
        )
    if known.state not in ("unknown", "published"):
        return known
    if scan:
        return _scanned(bridge, known, scan, [*queues, message.queue] if message else queues)
    return replace(known, why=f"{known.why}; look through the queues with --scan 1000")


def record_of(store: Store, id: str) -> Record | None:
    """Return the record of a message; of a native producer's, whose engine repeats it itself, that of the last time."""
    record = store.messages.look(id)
    for n in count() if record is None else ():
        later = store.messages.look(foreign_id(id, n))
        if later is None:
            break
        record = later
    return record


def _standing(store: Store, chain: str) -> Record | None:
    """The link of a chain that stands; of one that is a run its chunk."""
    state = store.chains.look(chain)
    link = f"{chain}:{state.at}" if state else ""
    run = store.runs.look(link) if link else None
    return store.messages.look(run.current if run else link) if link else None


_WORDS = {
    "RUN": "running",
    "READY": "ready",
    "DELAYED": "delayed",
    "PARKED": "parked",
    "LOCKED": "locked",
    "THROTTLED": "throttled",
    "HELD": "held",
    "PAUSED": "paused",
    "OUT": "published",
    "DONE": "ended",
    "DEAD": "dead",
}


def _why(record: Record, message: Message | None, now_ms: int) -> str:
    at = seen_from(record.at_ms, now_ms)
    after = f"; last time: {record.why}" if record.why else ""
    match record.state:
        case "RUN":
            return _running(record, now_ms)
        case "READY":
            if now_ms - record.at_ms > NO_RELAY_MS:
                return f"to be published since {at}, and no relay does it: start a worker, or taskbridge relay{after}"
            return f"the relay publishes it now{after}"
        case "DELAYED":
            return f"due at {at}{after}"
        case "PARKED":
            return f"{_waited_for(record)}; dead at {at} unless one comes"
        case "LOCKED":
            return f"waits for the lock {record.waits_at}; see taskbridge locks list{after}"
        case "THROTTLED":
            return f"waits for its turn at the limit {record.waits_at}; see taskbridge limits list{after}"
        case "HELD":
            return f"a chunk whose run is paused, or waits for what it has enqueued{after}"
        case "PAUSED":
            return f"waits until the {record.waits_at} is resumed: taskbridge control resume {record.waits_at}{after}"
        case "OUT":
            return _published(message, now_ms)
        case "DEAD":
            return f"dead since {at}: {record.why}; see taskbridge dead show {record.id}"
        case _:
            return record.why or "done"


def _running(record: Record, now_ms: int) -> str:
    backend = backend_of(record.claim)
    since = f" since {seen_from(record.begun_ms, now_ms)}" if record.begun_ms else ""
    by = f"attempt {record.attempt}{since}, by {owner_of(record.claim)}" + (f" on {backend}" if backend else "")
    if record.at_ms < now_ms:
        return f"{by}; its claim lapsed at {seen_from(record.at_ms, now_ms)}, and the relay takes it back"
    return by


def _waited_for(record: Record) -> str:
    task, *missing = record.group.split(" ")
    what = f"has the argument {', '.join(missing)} of {task}" if missing else f"knows the task {task}"
    return f"waits for a worker that {what}"


def _published(message: Message | None, now_ms: int) -> str:
    since = f" since {seen_from(message.released_at_ms, now_ms)}" if message and message.released_at_ms else ""
    queue = f" in its queue {message.queue!r}" if message else ""
    return f"the engine has it{since}: it waits{queue}, or a worker has fetched it and not yet begun"


def _scanned(bridge: Bridge, known: Whereabouts, limit: int, queues: Sequence[str]) -> Whereabouts:
    seen = depths(bridge, queues)
    problems, passed = list(seen.problems), 0
    waits = {name for depth in seen.queues for name, side in depth.backends.items() if side.waiting}
    closed = sorted(name for name in waits if not bridge.backend(name).capabilities.scan)
    problems += [f"backend {name}: {NO_SCAN}" for name in closed]
    for depth in seen.queues:
        for backend in [name for name, side in depth.backends.items() if side.waiting and name not in closed]:
            try:
                for ahead, message in enumerate(islice(bridge.backend(backend).scan(depth.queue, limit), limit)):
                    passed += 1
                    if message.id == known.id or message.id.startswith(f"{known.id}#"):
                        found = Found(backend=backend, queue=depth.queue, ahead=ahead)
                        return replace(_met(known, message, found), scanned=passed, problems=tuple(problems))
            except TaskbridgeError as error:
                problems.append(f"backend {backend}: {error}")
    names = ", ".join(depth.queue for depth in seen.queues) or "none is known: name some with --queues"
    why = f"{known.why}; it is not among the first {limit} messages of each queue ({names}), and {NOT_SEEN}"
    return replace(known, why=why, scanned=passed, problems=tuple(problems))


def _met(known: Whereabouts, message: Message, found: Found) -> Whereabouts:
    before = f"behind {found.ahead} others" if found.ahead else "as the first"
    why = f"waits in {found.backend}'s queue {found.queue!r}, {before}"
    return replace(known, id=message.id, state="waiting", why=why, message=message, found=found)


def message_of(record: Record | None) -> Message | None:
    """Return the message of a record; None where it has none, or one of another release."""
    try:
        return decode(record.body) if record and record.body else None
    except DecodeError:
        return None
