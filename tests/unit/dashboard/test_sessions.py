"""Sessions: what a token lets do, for how long, and that nobody else makes one."""

from __future__ import annotations

import pytest

from taskbridge.dashboard.sessions import SHORTEST, Ended, Session, Sessions
from taskbridge.errors import ConfigError

ACTS, READS = "acts" * 8, "reads" * 8

NOON_MS = 1_800_000_000_000


def sessions(token: str = ACTS, read_token: str = READS) -> Sessions:
    return Sessions(token, read_token, 60_000)


@pytest.mark.parametrize(
    ("token", "role"),
    [(ACTS, "act"), (f" {ACTS}\n", "act"), (READS, "read"), (ACTS[:-1], ""), ("", ""), ("é", ""), ("\ud800", "")],
)
def test_a_token_says_what_one_may(token: str, role: str):
    """The one acts, the other reads, and no other does anything."""
    assert role == sessions().role_of(token)


def test_a_token_is_what_stands_between_blanks():
    """A secret that was mounted as a file ends with its line; blanks alone are no token."""
    assert "act" == sessions(token=f"{ACTS}\n").role_of(ACTS)
    assert [] == Sessions(" " * SHORTEST, "\n", 60_000).roles


def test_no_token_is_no_token():
    """Where there is none, an empty one opens nothing."""
    assert "" == Sessions("", "", 60_000).role_of("")


def test_a_session_is_read_back_until_it_is_over():
    """Then it is said to be over, and not that there was none."""
    made = sessions()
    session = made.begin("act", " Ada\x1b[2J \n Lovelace " + "x" * 99, NOON_MS)
    cookie = made.seal(session)

    assert session == made.read(cookie, NOON_MS + 59_999)
    assert "Ada [2J Lovelace" == session.name[:16]
    assert 40 == len(session.name)
    assert isinstance(made.read(cookie, NOON_MS + 60_000), Ended)
    assert made.read("", NOON_MS) is None


def test_another_token_ends_all_sessions():
    """Each role's token those of its role."""
    made = sessions()
    acting, reading = (made.seal(made.begin(role, "", NOON_MS)) for role in ("act", "read"))
    after = sessions(token="other" * 8)

    assert isinstance(after.read(acting, NOON_MS), Ended)
    assert isinstance(after.read(reading, NOON_MS), Session)


def test_a_cookie_that_was_changed_is_none():
    """In any of its characters; nor can a reader make itself one that acts."""
    made = sessions()
    cookie = made.seal(made.begin("read", "", NOON_MS))
    forged = Sessions(READS, "", 60_000).seal(Session(role="act", name="", ends_ms=NOON_MS * 2, mark="x"))

    changed = [cookie[:n] + ("A" if one != "A" else "B") + cookie[n + 1 :] for n, one in enumerate(cookie)]

    for one in [*changed, forged, "é", ".", "a.b.c", cookie * 100]:
        assert isinstance(made.read(one, NOON_MS), Ended), one


def test_a_form_is_of_its_session():
    """What one session's forms bring is nothing in another's."""
    made = sessions()
    one, other = (made.begin("act", "ada", NOON_MS) for _ in range(2))

    assert made.is_form_token(one, made.form_token(one))
    assert not made.is_form_token(other, made.form_token(one))


@pytest.mark.parametrize("tokens", [("x" * (SHORTEST - 1), ""), ("", "short"), (ACTS, ACTS)])
def test_a_token_that_guards_nothing_is_refused(tokens: tuple[str, str]):
    """One that is short, and two that are one."""
    with pytest.raises(ConfigError):
        sessions(*tokens)
