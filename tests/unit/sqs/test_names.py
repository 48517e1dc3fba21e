"""What queues are called on SQS: valid, told apart by part, and never shared by two engines."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.errors import NotSupported
from taskbridge.options import QUEUE_NAME
from taskbridge.sqs.names import LONGEST, PARTS, Names

CELERY = Names(others=("-dramatiq",))
DRAMATIQ = Names(suffix="-dramatiq")

#: Source: Amazon SQS API Reference, CreateQueue, QueueName.
SQS = re.compile(r"[A-Za-z0-9_-]{1,80}")


def test_a_queue_is_four():
    """The queue itself first; what has waited already, and the bands, beside it."""
    assert ["mail", "mail-front", "mail-high", "mail-low"] == CELERY.all_of("mail")
    assert ["mail-dramatiq", "mail-dramatiq-front", "mail-dramatiq-high", "mail-dramatiq-low"] == DRAMATIQ.all_of(
        "mail"
    )


@given(some.from_regex(QUEUE_NAME, fullmatch=True), some.sampled_from(["", "app_", "app-1-"]))
def test_a_name_is_valid_or_refused(queue: str, prefix: str):
    """Whatever a queue may be called here is valid there with each of its parts, or refused with all of them."""
    for names in (Names(prefix=prefix), Names(prefix=prefix, suffix="-dramatiq")):
        if len(prefix + queue + names.suffix) <= LONGEST and not queue.endswith("-front"):
            assert all(SQS.fullmatch(name) for name in names.all_of(queue))
            found = {names.queue_of(names.of(queue, part)) for part in PARTS}
            assert {queue} == found or queue.endswith(("-high", "-low"))  # no task may be declared there
        else:
            for part in PARTS:
                with pytest.raises(NotSupported, match="on SQS"):
                    names.of(queue, part)


@given(some.from_regex(QUEUE_NAME, fullmatch=True), some.from_regex(QUEUE_NAME, fullmatch=True))
def test_no_queue_is_shared_by_two_engines(one: str, other: str):
    """However they are called, the names of one engine's queue are none of another's."""
    try:
        ours, theirs = set(CELERY.all_of(one)), set(DRAMATIQ.all_of(other))
    except NotSupported:
        return

    assert not ours & theirs


@pytest.mark.parametrize("queue", ["mail-dramatiq", "mail-dramatiq-high"])
def test_what_would_be_shared_is_refused(queue: str):
    """A queue of the first engine cannot be called as the second's are."""
    with pytest.raises(NotSupported, match="another engine's"):
        CELERY.of(queue)


def test_no_queue_is_a_part_of_another():
    """Who reads ``mail`` would run what is for ``mail-front``; names of bands are refused at declaration."""
    with pytest.raises(NotSupported, match="'-front' is a part of another queue on SQS, got 'mail-front'"):
        CELERY.of("mail-front")


def test_a_prefix_must_fit():
    """It is a part of the name."""
    with pytest.raises(NotSupported, match="queue_prefix"):
        Names(prefix="shop.").of("mail")


def test_urls_are_given_by_queue_or_part():
    """As we call them; SQS's own names come of it."""
    given_urls = {"mail": "https://a/1/x", "mail-high": "https://a/1/y"}

    assert {"mail-dramatiq": "https://a/1/x", "mail-dramatiq-high": "https://a/1/y"} == DRAMATIQ.given(given_urls)
