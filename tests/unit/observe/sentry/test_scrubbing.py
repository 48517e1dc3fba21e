"""What is secret by its name, and how much of the rest is shown."""

from __future__ import annotations

import time

import pytest

from taskbridge.observe.sentry.scrubbing import DEEPEST, FILTERED, LONGEST, MOST, Scrubber

SCRUBBER = Scrubber(["Merchant", "x_real_ip"])


@pytest.mark.parametrize(
    "name",
    [
        "password", "PASSWORD", "new_password", "apiKey", "api-key", "X-Api-Key", "refreshToken", "access_token", "cvv",
        "card_cvv2", "cardNumber", "debit_card_number", "iban", "sender.iban", "pin", "merchant", "MERCHANT",
        "x-real-ip", "sort_code", "stripe_access_key", "Authorization", "sessionid_token",
    ],
)  # fmt: skip
def test_a_name_that_sounds_secret_hides_its_value(name: str):
    """However it is written, and whatever stands around it."""
    assert {name: FILTERED} == SCRUBBER.scrubbed({name: "hunter2"})
    assert {name: FILTERED} == SCRUBBER.scrubbed({name: {"deep": ["hunter2"]}})


@pytest.mark.parametrize(
    "name",
    ["account", "pinned", "span", "company", "tokenize", "author", "number", "key", "idempotency_key", "merchants"],
)
def test_a_name_that_only_looks_like_it_hides_nothing(name: str):
    """A word counts as a whole."""
    assert {name: 7} == SCRUBBER.scrubbed({name: 7})


def test_what_is_shown_is_bounded():
    """Text, items and depth; what is left out is said."""
    deep: object = "bottom"
    for _ in range(DEEPEST + 3):
        deep = [deep]

    assert f"{'x' * LONGEST}... (100000 characters)" == SCRUBBER.scrubbed("x" * 100_000)
    assert [*range(MOST), "... 80 more"] == SCRUBBER.scrubbed(list(range(MOST + 80)))
    assert MOST + 1 == len(SCRUBBER.scrubbed({str(n): n for n in range(1_000)}))
    assert "[[[[['...']]]]]" == str(SCRUBBER.scrubbed(deep))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Card(number=7, cvv='123')", "Card(number=7, cvv=[Filtered])"),
        ("{'password': 'it\\'s', 'id': 7}", "{'password': [Filtered], 'id': 7}"),
        ('{"api_key": "a, b", "n": 1}', '{"api_key": [Filtered], "n": 1}'),
        ("Login(user='ada', password=None)", "Login(user='ada', password=[Filtered])"),
        ("nothing = to.hide", "nothing = to.hide"),
    ],
)
def test_a_variable_that_was_written_down_hides_what_is_named_in_it(written: str, shown: str):
    """A dataclass and a dict inside of another value are text by then."""
    assert shown == SCRUBBER.rewritten(written)
    assert {"'password'": FILTERED, "one": [shown]} == SCRUBBER.rewritten({"'password'": "7", "one": [written]})


@pytest.mark.parametrize(
    "text", ["x" * 10**6, "password" * 10**5, "a=" * 10**5, "password='" + "\\'" * 10**5, " = " * 10**5]
)
def test_a_long_variable_takes_no_long_time(text: str):
    """A report is written while a worker waits."""
    begun_s = time.perf_counter()

    SCRUBBER.rewritten(text)

    assert 1 > time.perf_counter() - begun_s
