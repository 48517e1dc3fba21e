"""What an SQS URL says, and what of it may be shown."""

from __future__ import annotations

import pytest

from taskbridge.errors import ConfigError
from taskbridge.sqs.url import Address, parse, region_of


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("sqs://", Address()),
        ("sqs://?region=eu-west-1", Address(region="eu-west-1")),
        ("sqs://?create=false", Address(create=False)),
        ("sqs://AKIA:s%2Fe%2Bc@", Address(key="AKIA", secret="s/e+c")),
        (
            "sqs://k:s@127.0.0.1:9324?is_secure=false&region=elasticmq",
            Address(endpoint="http://127.0.0.1:9324", region="elasticmq", key="k", secret="s", secure=False),
        ),
        ("sqs://localhost:4566//", Address(endpoint="https://localhost:4566", region="us-east-1")),
        ("sqs://[::1]:4566", Address(endpoint="https://[::1]:4566", region="us-east-1")),
        (
            "sqs://sqs.eu-west-1.amazonaws.com",
            Address(endpoint="https://sqs.eu-west-1.amazonaws.com", region="eu-west-1"),
        ),
    ],
)
def test_a_url_says_where_and_as_whom(url: str, address: Address):
    """What it does not say is left to the AWS variables, files and roles."""
    assert address == parse(url)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("sqs://?regoin=eu-west-1", "did you mean 'region'"),
        ("sqs://?is_secure=no", "is_secure: expected true or false, got 'no'"),
        ("sqs://k@host", "key and secret"),
        ("sqs://:s@host", "key and secret"),
        ("sqs://host:port", "a host and a port number"),
        ("sqs://k:s@host/queue", "nothing behind the host"),
        ("sqs://k:sec/ret@host", "a port number"),
        ("redis://host", "expected sqs://"),
    ],
)
def test_what_a_url_cannot_say_is_refused(url: str, what: str):
    """With what was expected, and never with the secret."""
    with pytest.raises(ConfigError, match=what) as raised:
        parse(url)

    assert "sec/ret" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("vpce-0a1b-c2d3.sqs.us-east-2.vpce.amazonaws.com", "us-east-2"),
        ("localhost", ""),
    ],
)
def test_amazons_own_hosts_say_their_region(host: str, region: str):
    """Also those of a VPC's endpoint."""
    assert region == region_of(host)


def test_a_secret_is_not_shown():
    """Neither by the address itself."""
    assert "s3cret" not in repr(parse("sqs://k:s3cret@host"))
