"""Queues by name: found once, made where they may be, or given by their URLs."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ..errors import ConfigError
from .client import Client, NoQueue
from .names import PARTS, Names

log = logging.getLogger("taskbridge")

#: How long a message that was received stays hidden, seconds; what runs is hidden again and again.
VISIBILITY_S = 30

#: What a queue that is made here is like: who receives without saying for how long has as long as we, and nothing is
#: forgotten before SQS must. Source: Amazon SQS API Reference, CreateQueue.
ATTRIBUTES = {"VisibilityTimeout": str(VISIBILITY_S), "MessageRetentionPeriod": str(14 * 86_400)}


class Queues:
    """The queues of one engine.

    Args:
        client: where they are.
        names: what they are called.
        given: URLs by the name of a queue or of one of its parts, such as ``emails`` and ``emails-high``.
        create: whether others may be made.

    Raises:
        ConfigError: a URL of a FIFO queue.
    """

    def __init__(self, client: Client, names: Names, given: Mapping[str, str], *, create: bool) -> None:
        for queue, url in given.items():
            _refuse_fifo(queue, url)
        self._client = client
        self._names = names
        self._given = names.given(given)
        self.create = create
        self._urls: dict[str, str] = {}
        self._told: set[str] = set()

    def known(self, queue: str, part: str = "") -> str:
        """Return the URL of a queue or of one of its parts that this process has met; empty for any other."""
        return self._urls.get(self._names.of(queue, part), "")

    def find(self, queue: str, part: str = "") -> str:
        """Return the URL of a queue or of one of its parts; empty when it is not there.

        Raises:
            ConfigError: nobody may look, or SQS cannot have it.
            BrokerUnavailable: no answer.
        """
        return self._found(self._names.of(queue, part))

    def _found(self, name: str) -> str:
        if name in self._given:
            return self._given[name]
        if name not in self._urls:
            try:
                found = self._client.call("get_queue_url", expects="QueueUrl", QueueName=name)
            except NoQueue:
                return ""
            self._urls[name] = str(found["QueueUrl"])
        return self._urls[name]

    def need(self, queue: str, part: str = "") -> str:
        """Return the URL of a queue or of one of its parts, made if it is not there.

        Raises:
            ConfigError: it is not there, and may not be made.
            BrokerUnavailable: no answer.
        """
        return self.named(self._names.of(queue, part))

    def named(self, name: str) -> str:
        """Return the URL of what SQS calls so, made if it is not there.

        Raises:
            ConfigError: it is not there, and may not be made.
            BrokerUnavailable: no answer.
        """
        if url := self._found(name):
            return url
        if not self.create:
            raise ConfigError(f"{self._client.shown} has no queue {name!r} and create=false: make it, {_OR_GIVE}")
        try:
            made = self._client.call("create_queue", expects="QueueUrl", QueueName=name, Attributes=ATTRIBUTES)
        except ConfigError as error:
            raise ConfigError(
                f"there is no queue {name!r}, and it was not made: make it, {_OR_GIVE}: {error}"
            ) from error
        log.info("made the queue %s on SQS", name)
        self._urls[name] = str(made["QueueUrl"])
        return self._urls[name]

    def need_or(self, queue: str, part: str) -> str:
        """Return the URL of a part of a queue, made if it is not there; of the queue itself where it may not be.

        Raises:
            ConfigError: the queue itself is not there, and may not be made.
            BrokerUnavailable: no answer.
        """
        try:
            return self.need(queue, part)
        except ConfigError as error:
            if not part:
                raise
            if queue + part not in self._told:
                self._told.add(queue + part)
                log.warning("what belongs in %r goes to %r, behind what waits there: %s", queue + part, queue, error)
            return self.need(queue)

    def there(self, queue: str) -> dict[str, str]:
        """Return the URLs of the parts of a queue that are there, or were made, by their names.

        Raises:
            ConfigError: the queue itself is not there, and may not be made.
            BrokerUnavailable: no answer.
        """
        main = self.need(queue)
        found = {self._names.of(queue, part): self.need_or(queue, part) for part in PARTS}
        return {name: url for name, url in found.items() if url != main} | {self._names.of(queue): main}

    def forget(self, url: str) -> None:
        """Look again when it is asked for: it may have been deleted and made anew."""
        for name in [name for name, known in self._urls.items() if known == url]:
            del self._urls[name]


_OR_GIVE = "allow sqs:CreateQueue, or give its URL in [backends.NAME.queues] of the settings' file"


def _refuse_fifo(queue: str, url: str) -> None:
    if url.endswith(".fifo"):
        raise ConfigError(
            f"queues.{queue}: {url} is a FIFO queue, which keeps back what is behind a message that is being run, and "
            f"drops what it takes for a repeat, such as a retry: give a standard queue, and use lock= for order"
        )
