"""What is secret by its name, and how much of the rest is shown."""

from __future__ import annotations

import pytest

from taskbridge.shown.scrubbing import DEEPEST, FILTERED, LONGEST, MOST, Scrubber
from tests.servers import in_time

SCRUBBER = Scrubber(["Merchant", "x_real_ip"])


@pytest.mark.parametrize(
    "name",
    [
        "password", "PASSWORD", "new_password", "apiKey", "api-key", "X-Api-Key", "refreshToken", "access_token", "cvv",
        "card_cvv2", "cardNumber", "debit_card_number", "iban", "sender.iban", "pin", "merchant", "MERCHANT",
        "x-real-ip", "sort_code", "stripe_access_key", "Authorization", "sessionid_token", "password1", "new_password2",
        "pin2", "APIToken", "CVVCode", "XAPIKey", "dbpassword", "accesstoken", "cookies", "api_keys", "card_numbers",
        "account_number2", "IBANs",
    ],
)  # fmt: skip
def test_a_name_that_sounds_secret_hides_its_value(name: str):
    """However it is written, and whatever stands around it."""
    assert {name: FILTERED} == SCRUBBER.scrubbed({name: "hunter2"})
    assert {name: FILTERED} == SCRUBBER.scrubbed({name: {"deep": ["hunter2"]}})


@pytest.mark.parametrize(
    "name",
    [
        "account",
        "pinned",
        "span",
        "company",
        "tokenize",
        "author",
        "number",
        "key",
        "idempotency_key",
        "merchants",
        "address",
        "secretary",
        "tokenizer",
        "opinion",
        "access",
        "expansion",
    ],
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
        ("Card(token=b'a b', n=7)", "Card(token=[Filtered], n=7)"),
        ("Keys(secrets=['a', ('b', 'c')], n=7)", "Keys(secrets=[Filtered], n=7)"),
        ("{'auth': {'user': 'a', 'x': 'b'}, 'n': 7}", "{'auth': [Filtered], 'n': 7}"),
        ("Card(pin=Decimal('1 2'), token=Token(a='b', c=(1, 2)), n=7)", "Card(pin=[Filtered], token=[Filtered], n=7)"),
        ("Card(token='a b, c", "Card(token=[Filtered]"),
        ('Call(body=\'{"password": "a b", "n": 7}\')', 'Call(body=\'{"password": [Filtered], "n": 7}\')'),
        (r'"{\"password\": \"a b\", \"n\": 7}"', r'"{\"password\": [Filtered], \"n\": 7}"'),
        ("b'Authorization: Bearer a.b'", "b'Authorization: [Filtered]'"),
        ("Host: e\nCookie: a=b; c=d\nPin: a", "Host: e\\nCookie: [Filtered]\\nPin: [Filtered]"),
        ("[(b'authorization', b'Bearer a b'), ('n', 7)]", "[(b'authorization', [Filtered]), ('n', 7)]"),
        ("https://bank.example/?token=a&n=7 is away", "https://bank.example/?token=[Filtered] is away"),
        ("https://ada:a@bank.example/ is away", "https://ada:***@bank.example/ is away"),
    ],
)
def test_a_variable_that_was_written_down_hides_what_is_named_in_it(written: str, shown: str):
    """A dataclass and a dict inside of another value are text by then."""
    assert shown == SCRUBBER.rewritten(written)
    assert {"'password'": FILTERED, "one": [shown]} == SCRUBBER.rewritten({"'password'": "7", "one": [written]})


def test_a_header_hides_its_value():
    """A name with its value is a list of two, as they come from JSON and as the SDK writes a frame's variables."""
    headers = [["Authorization", "Bearer a"], ["Host", "b"]]
    written = [["b'authorization'", "b'Bearer a'"], ["b'host'", "b'b'"]]

    assert [["Authorization", FILTERED], ["Host", "b"]] == SCRUBBER.scrubbed(headers)
    assert [["b'authorization'", FILTERED], ["b'host'", "b'b'"]] == SCRUBBER.rewritten(written)


def test_a_text_in_an_argument_is_looked_through_too():
    """A body as JSON, a line of a header, an address with a password."""
    call = {"body": '{"cvv": "123", "n": 7}', "line": "X-Api-Key: abc", "url": "redis://ada:hunter2@host/0"}

    shown = SCRUBBER.scrubbed(call)

    expected = {"body": '{"cvv": [Filtered], "n": 7}', "line": "X-Api-Key: [Filtered]", "url": "redis://ada:***@host/0"}
    assert expected == shown


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10**6,
        "password" * 10**5,
        "a=" * 10**5,
        "password='" + "\\'" * 10**5,
        " = " * 10**5,
        "token=" + "(" * 10**5,
        "token=" + "\\" * 10**5,
        "token=" + "bearer " * 10**5,
        "token=" + "a;" * 10**5,
    ],
)
def test_a_long_variable_takes_no_long_time(text: str):
    """A report is written while a worker waits."""
    in_time(lambda: SCRUBBER.rewritten(text), 1)
