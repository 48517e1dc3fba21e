"""Send: ten messages in a request, a few requests at once; what is refused alone is sent again alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from ..clock import Clock
from ..errors import BrokerUnavailable, PayloadTooLarge
from .client import Client, Refused, reasons

log = logging.getLogger("taskbridge")

#: Most messages of a request, and most bytes, of one message and of all of them.
#: Source: Amazon SQS Developer Guide, "Amazon SQS message quotas".
MOST = 10
MOST_BYTES = 1_048_576

#: How many requests are on their way at once.
ABREAST = 4

#: How long to wait before what was refused is sent again, seconds.
PATIENCE_S = (0.1, 0.4, 1.6)


class Letter(NamedTuple):
    """A message on its way out: ``group`` is whom it is for, where a queue is to be fair; empty for nobody."""

    id: str
    body: str
    group: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """What SQS is told of it."""
        return {"MessageBody": self.body} | ({"MessageGroupId": self.group} if self.group else {})


def send(letters: Mapping[str, Sequence[Letter]], client: Client, clock: Clock) -> None:
    """Send everything, by the URL of its queue.

    Raises:
        PayloadTooLarge: a message is over what SQS takes, and nothing was sent; or over what its queue does, and the
            others were.
        BrokerUnavailable: some were not taken, or it is not known; says which. The others were.
        ConfigError: a queue is gone, or denied.
    """
    batches = [(url, batch) for url, to_one in letters.items() for batch in batched(to_one)]
    if len(batches) == 1:
        _send(*batches[0], client, clock)
    elif batches:
        with ThreadPoolExecutor(min(ABREAST, len(batches))) as pool:
            sending = [pool.submit(_send, url, batch, client, clock) for url, batch in batches]
        errors = [error for one in sending if (error := one.exception())]
        if errors:
            raise errors[0] from None


def batched(letters: Sequence[Letter]) -> Iterator[list[Letter]]:
    """Cut into what goes in one request each.

    Raises:
        PayloadTooLarge: a message is over what SQS takes.
    """
    batch: list[Letter] = []
    size = 0
    for letter in letters:
        if len(letter.body) > MOST_BYTES:
            raise PayloadTooLarge(
                f"{letter.id} is {len(letter.body)} bytes as SQS has it, which takes {MOST_BYTES}: save the data and "
                f"pass its id"
            )
        if batch and (len(batch) == MOST or size + len(letter.body) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(letter)
        size += len(letter.body)
    if batch:
        yield batch


def _send(url: str, batch: Sequence[Letter], client: Client, clock: Clock) -> None:
    if len(batch) == 1:
        _send_one(url, batch[0], client)
        return
    answer = _send_batch(url, batch, client)
    taken = {one["Id"] for one in answer.get("Successful", ())}
    refused = [letter for n, letter in enumerate(batch) if str(n) not in taken]
    if refused:
        log.warning("SQS refused %d of %d messages, sent again one by one: %s", *_of(refused, batch, answer))
    failed = [(letter, why) for letter in refused if (why := _refused_again(url, letter, client, clock))]
    if failed:
        named = ", ".join(f"{letter.id} ({why})" for letter, why in failed)
        kinds = {type(why) for _, why in failed}
        kind = PayloadTooLarge if kinds == {PayloadTooLarge} else BrokerUnavailable
        raise kind(f"SQS did not take {len(failed)} of {len(batch)} messages to {url}: {named}")


def _send_batch(url: str, batch: Sequence[Letter], client: Client) -> Mapping[str, Any]:
    """Return what became of each; of all of them nothing where they are too long, one or together, for their queue."""
    entries = [{"Id": str(n), **letter.parameters} for n, letter in enumerate(batch)]
    try:
        return client.call("send_message_batch", QueueUrl=url, Entries=entries)
    except PayloadTooLarge as error:
        return {"Failed": [{"Code": "PayloadTooLarge", "Message": str(error)}]}


def _refused_again(url: str, letter: Letter, client: Client, clock: Clock) -> Refused | PayloadTooLarge | None:
    """Send what was refused; returns why it was refused until the end."""
    why: Refused | None = None
    for wait_s in PATIENCE_S:
        clock.sleep(wait_s)
        try:
            _send_one(url, letter, client)
        except Refused as error:
            why = error
        except PayloadTooLarge as error:
            return error
        else:
            return None
    return why


def _send_one(url: str, letter: Letter, client: Client) -> None:
    client.call("send_message", expects="MessageId", QueueUrl=url, **letter.parameters)


def _of(refused: Sequence[Letter], batch: Sequence[Letter], answer: Mapping[str, Any]) -> tuple[int, int, str]:
    return len(refused), len(batch), reasons(answer)
