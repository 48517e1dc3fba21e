"""Reports: what Sentry is told of one message. Built where the error is, sent when the store knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import sentry_sdk
from sentry_sdk.scrubber import DEFAULT_DENYLIST, DEFAULT_PII_DENYLIST
from sentry_sdk.utils import event_from_exception, iter_event_frames

from ...definition import Definitions
from ...events import Event as Told
from ...message import Message
from ...shown.scrubbing import Scrubber, cut
from ...shown.values import Values
from ...trace import Entered

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

#: A tag's value is no longer than this. Source: Sentry's documentation, "Customize Tags".
LONGEST_TAG = 200

#: Code whose variables are messages and calls as they travel, with every argument of the task in them.
CARRIERS = ("taskbridge", "taskbridge_celery", "taskbridge_dramatiq", "celery", "kombu", "billiard", "dramatiq")

#: What the SDK's own integrations add to an event: the whole call, as it is.
CALLS = (("contexts", "dramatiq"), ("extra", "celery-job"))

#: What our breadcrumbs are called.
RETRY = "taskbridge.retry"

#: What stands for an argument of which nobody here knows the name.
NAMELESS = "[not shown: its name is not known here]"


#: What died where nothing could be read.
NO_MESSAGE = "what is no message"


class About(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempt of which message; ``message`` is None where only its id is known."""

    id: str
    task: str
    queue: str
    backend: str
    attempt: int
    message: Message | None = None

    @classmethod
    def entered(cls, one: Entered) -> About:
        """Return what an attempt is about."""
        message = one.message
        place = {"queue": message.queue, "backend": one.backend}
        return cls(id=message.id, task=message.task, attempt=one.attempt, message=message, **place)

    @classmethod
    def told(cls, event: Told, message: Message | None) -> About:
        """Return what an event is about."""
        place = {"queue": event.queue, "backend": event.backend}
        return cls(id=event.id, task=event.task, attempt=event.attempt, message=message, **place)


class Reports:
    """Makes events and describes them.

    Args:
        definitions: the tasks known here: of others no argument is shown that was given by its place.
    """

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._scrubber: tuple[object, Scrubber] | None = None

    def of_error(self, error: BaseException, task: str) -> tuple[Event, Hint]:
        """Return the event of an error, with its frames as they are now; without any, issues are parted by task."""
        mechanism = {"type": "taskbridge", "handled": False}
        options = sentry_sdk.get_client().options
        event, hint = event_from_exception(error, client_options=options, mechanism=mechanism)
        if error.__traceback__ is None:
            event["fingerprint"] = ["{{ default }}", cut(task)]
        return event, hint

    def of_word(self, task: str, why: str) -> tuple[Event, Hint]:
        """Return the event of a failure that no error stands for; those that differ in numbers alone are one issue."""
        kind = re.sub(r"\d+", "#", cut(why, LONGEST_TAG))
        event: Event = {
            "level": "error",
            "logentry": {"message": "%s is dead: %s", "params": [cut(task) or NO_MESSAGE, cut(why)]},
            "fingerprint": ["taskbridge", task, kind],
        }
        return event, {}

    def describe(self, event: Event, about: About) -> None:
        """Take out what nobody may see, and add what the event is about; what the task has set by itself stays."""
        self._clean(event, about.message)
        tags: Any = event.setdefault("tags", {})
        named = {"task": about.task, "queue": about.queue, "backend": about.backend, "message_id": about.id}
        for name, value in named.items():
            if value:
                tags.setdefault(name, cut(value, LONGEST_TAG))
        tags.setdefault("attempt", str(about.attempt))
        contexts: Any = event.setdefault("contexts", {})
        contexts["taskbridge"] = self._context(about, whole=event.get("type") != "transaction")
        if about.task and not event.get("transaction"):
            event["transaction"] = cut(about.task)

    def _context(self, about: About, *, whole: bool) -> dict[str, Any]:
        message = about.message
        found: dict[str, Any] = {"task": cut(about.task), "queue": cut(about.queue), "backend": about.backend}
        found |= {"attempt": about.attempt, "message_id": cut(about.id)}
        if message is None:
            return found
        if message.flow is not None:
            parts = {"chain": message.flow.chain, "run": message.flow.run or message.flow.chunk}
            found |= {name: value for name, value in parts.items() if value}
        if whole and message.task in self._definitions:
            found["arguments"] = self._scrubbing.scrubbed(self._arguments(message))
        return found

    def _arguments(self, message: Message) -> dict[str, Any]:
        """Return what a task was called with, by name, as it is."""
        try:
            args, kwargs = msgspec.json.decode(message.args), msgspec.json.decode(message.kwargs)
        except (msgspec.DecodeError, RecursionError) as error:  # the task was not run, either
            return {"...": f"[cannot be read: {type(error).__name__}]"}
        signature = self._definitions[message.task].arguments.signature
        try:
            named = dict(signature.bind_partial(*args).arguments)
        except TypeError:  # more than it takes: the call was refused for it
            named = {f"argument {n + 1}": NAMELESS for n in range(len(args))}
        return {**named, **kwargs}

    def _clean(self, event: Event, message: Message | None) -> None:
        """Take out what holds the arguments as they are, and secret ones wherever they stand."""
        whole: Any = event
        for part, name in CALLS:
            if name in (whole.get(part) or {}):
                del whole[part][name]
        if whole.get("type") == "transaction":  # it has neither errors nor frames
            return
        known = self._arguments(message) if message is not None and message.task in self._definitions else {}
        values = Values(self._scrubbing.secrets(known))
        for one in whole.get("exception", {}).get("values") or ():
            if one.get("value"):
                one["value"] = values.hidden(one["value"])
        crumbs: Any = whole.get("breadcrumbs") or {}
        for crumb in crumbs.get("values", ()) if isinstance(crumbs, dict) else ():
            if crumb.get("category") == RETRY:
                crumb["message"] = values.hidden(crumb["message"])
        for frame in iter_event_frames(event):
            if str(frame.get("module", "")).partition(".")[0] in CARRIERS:
                frame["in_app"] = False
                frame.pop("vars", None)
            elif frame.get("vars"):
                frame["vars"] = values.hidden(self._scrubbing.rewritten(frame["vars"]))

    @property
    def _scrubbing(self) -> Scrubber:
        """By the names of the client's own scrubber, and ours."""
        of_client = sentry_sdk.get_client().options.get("event_scrubber")
        if self._scrubber is None or self._scrubber[0] is not of_client:
            names = of_client.denylist if of_client is not None else [*DEFAULT_DENYLIST, *DEFAULT_PII_DENYLIST]
            self._scrubber = of_client, Scrubber(names)
        return self._scrubber[1]
