"""Redis URLs: what each kind means, and that none is shown with its password."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from taskbridge.errors import ConfigError
from taskbridge.redis.url import check, redacted, scheme, sentinel

#: Where a password can stand: {quoted} as it should be written, {bare} as people write it.
QUOTED = [
    "redis://:{}@localhost:6379/0",
    "redis://user:{}@localhost",
    "rediss://user:{}@h1:6379/0?ssl_cert_reqs=required",
    "unix://user:{}@/run/redis.sock?db=1",
    "sentinel://user:{}@h1:26379,h2/main/0",
    "redis://localhost:6379/0?password={}&db=1",
    "redis://localhost:6379/0?db=1&password={}",
    "unix:///run/redis.sock?password={}",
    "sentinel://h1,h2/main/0?password={}",
    "rediss://localhost?ssl_password={}",
    "amqp://guest:{}@rabbit//",
    "amqps://guest:{}@rabbit/vhost?heartbeat=5",
    "sqs://AKIA:{}@",
    "sqs://AKIA:{}@queue.example/1",
]
BARE = [url for url in QUOTED if "={}" not in url]

#: Long, and of letters that stand in none of the URLs, so that any piece of it is one.
passwords = some.text(some.sampled_from("XYZ019@:/?#&=%+,; '\"[]{}\\é\n"), min_size=1).map(lambda text: f"ZX{text}XZ")


@pytest.mark.parametrize("url", QUOTED)
@given(passwords)
def test_quoted_password_is_never_shown(url: str, password: str):
    """Wherever it stands in a URL of any kind, alone or in a sentence."""
    whole = url.format(quote(password, safe=""))

    for text in (whole, f"expected redis://localhost:6379/0, got {whole!r}; see the docs", f"{whole} is away: [111]"):
        shown = redacted(text)

        assert "***" in shown
        assert "ZX" not in shown
        assert "XZ" not in shown
        assert shown == redacted(shown)


@pytest.mark.parametrize("url", BARE)
@given(passwords)
@example("ZX@XZ")
@example("ZX/ @?#XZ")
def test_badly_quoted_password_is_never_shown(url: str, password: str):
    """People write ``@``, ``/`` and blanks as they are; not a piece of it is shown all the same."""
    shown = redacted(url.format(password))

    assert "ZX" not in shown
    assert "XZ" not in shown
    assert ":***@" in shown


@pytest.mark.parametrize(
    "text", ["redis:user:{}@host", "user:{}@host", "redis://user:{}", "redis://user:{}/0", ":{}@h"]
)
@given(some.from_regex(r"ZX[XYZ_%]*XZ", fullmatch=True))
def test_password_in_what_is_no_url_is_never_shown(text: str, password: str):
    """Who forgets the ``//`` or the ``@host`` gets an error, and the error has no password."""
    shown = redacted(text.format(password))

    assert password not in shown
    with pytest.raises(ConfigError) as refused:
        check(text.format(password))
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "redis://localhost:6379/0",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock?db=1",
        "sentinel://h1:26379,h2:26379/main/0",
        "redis://user@localhost",
        "sqs://",
        "redis://localhost:6379/0 is away: Error 111 connecting to localhost:6379. Connection refused.",
        "expected redis://, rediss://, unix:// or sentinel://host1,host2/service/db, got 'http://x'",
        "the broker redis://h:1 is away: timed out; trying again in 0.50 s",
    ],
)
def test_what_has_no_password_is_shown_as_it_is(text: str):
    """Host, port and database stay readable."""
    assert text == redacted(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:hush@h:1/0", "redis://user:***@h:1/0"),
        ("redis://:hush@h", "redis://:***@h"),
        ("unix://user:hush@/run/r?db=1", "unix://user:***@/run/r?db=1"),
        ("redis://h/0?password=hush&db=1", "redis://h/0?password=***&db=1"),
    ],
)
def test_all_but_the_password_is_shown(url: str, shown: str):
    """Who it is and where stay, for the error to be of use."""
    assert shown == redacted(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/15",
        "redis://user:p%40ss@localhost:6379/0",
        "rediss://localhost:6380/0?ssl_cert_reqs=none",
        "redis://[::1]:6379",
        "unix:///run/redis.sock?db=3",
        "sentinel://h1,h2:26380/main",
        "sentinel://u:p%40@h1/main/2?socket_timeout=1",
    ],
)
def test_urls_of_redis_are_taken(url: str):
    """Every kind there is, as it is written."""
    assert url == check(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("localhost:6379", "a URL such as redis://localhost:6379/0"),
        ("", "a URL such as redis://localhost:6379/0"),
        ("http://localhost", "redis://, rediss://, unix:// or sentinel://host1,host2/service/db"),
        ("redis://localhost/zero", "a database number after the host, got 'zero'"),
        ("redis://localhost/0/1", "a database number after the host, got '0/1'"),
        ("redis://localhost:port", "a host and a port number"),
        ("redis://localhost:99999", "a host and a port number"),
        ("redis://[::1", "a host and a port number"),
        ("redis://:pa/ss@localhost", "a / in the password to be written %2F"),
        ("sentinel://h1", "sentinel://host1:26379,host2:26379/service/db"),
        ("sentinel:///main", "sentinel://host1:26379,host2:26379/service/db"),
        ("sentinel://h1,,h2/main", "sentinel://host1:26379,host2:26379/service/db"),
        ("sentinel://h1:port/main", "sentinel://host1:26379,host2:26379/service/db"),
        ("sentinel://h1/main/zero", "sentinel://host1:26379,host2:26379/service/db"),
    ],
)
def test_bad_url_is_refused(url: str, expected: str):
    """With what was expected, and what came."""
    with pytest.raises(ConfigError) as refused:
        check(url)

    assert str(refused.value).startswith(f"expected {expected}")


hosts = some.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True)
addresses = some.lists(some.tuples(hosts, some.none() | some.integers(1, 65535)), min_size=1, max_size=5)


@given(
    addresses, hosts, some.none() | some.integers(0, 15), some.none() | some.tuples(some.text(), some.text(min_size=1))
)
def test_sentinel_url_says_what_it_means(
    among: list[tuple[str, int | None]], service: str, db: int | None, login: tuple[str, str] | None
):
    """Hosts with their ports, 26379 where none is named; the service; the database; who to be, unquoted."""
    credentials = "" if login is None else f"{quote(login[0], safe='')}:{quote(login[1], safe='')}@"
    places = ",".join(host if port is None else f"{host}:{port}" for host, port in among)
    path = service if db is None else f"{service}/{db}"

    found = sentinel(f"sentinel://{credentials}{places}/{path}?client_name=bank")

    who = {} if login is None else {"username": login[0] or None, "password": login[1]}
    options = {"client_name": "bank", "db": db or 0, **who}
    assert ([(host, port or 26379) for host, port in among], service, options) == found


@pytest.mark.parametrize("url", ["redis://x", "sqs://", "amqps://x"])
def test_scheme_is_what_stands_before(url: str):
    """Of any URL; whether it is one of Redis is asked later."""
    assert url.partition("://")[0] == scheme(url)
