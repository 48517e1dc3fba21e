"""Who is signed in: tokens compared, sessions sealed into a cookie and read back, form tokens bound to them.

Nothing is kept on the server, so that several processes may serve one dashboard. What seals a session is made of its
token: with another token all of its sessions end. Instants are unix milliseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from ..errors import ConfigError

T = TypeVar("T")

#: A token is at least so long; ``--token auto`` makes 43 characters.
SHORTEST = 16

#: A name that a person gives is cut to so many characters.
LONGEST_NAME = 40

#: A cookie is not looked at beyond so many characters. Browsers keep 4,096 bytes.
LONGEST_COOKIE = 4_096

#: The two that may sign in: one that acts, and one that only reads.
ROLES = ("act", "read")


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in, until ``ends_ms``. ``mark`` tells one session from another."""

    role: str
    name: str
    ends_ms: int
    mark: str

    @property
    def may_act(self) -> bool:
        return self.role == "act"


@dataclass(frozen=True, slots=True)
class Ended:
    """What was a session, and is none any more. ``why`` is a sentence."""

    why: str


class Sessions:
    """Seals and reads sessions.

    Args:
        token: of who may act; empty for nobody.
        read_token: of who may read; empty for nobody.
        lasts_ms: how long a session lasts.

    Raises:
        ConfigError: a token that is too short, or both are the same.
    """

    def __init__(self, token: str, read_token: str, lasts_ms: int) -> None:
        token, read_token = token.strip(), read_token.strip()  # a file that one is kept in ends with its line
        self._tokens = dict(zip(ROLES, (token, read_token), strict=True))
        self._lasts_ms = lasts_ms
        for role, one in self._tokens.items():
            if one and len(one) < SHORTEST:
                raise ConfigError(f"the dashboard's {role} token has {len(one)} characters: give it {SHORTEST} or more")
        if token and hmac.compare_digest(token.encode(), read_token.encode()):
            raise ConfigError("the dashboard's two tokens are the same: one acts, the other only reads")
        self._keys = {role: _made(one, "session") for role, one in self._tokens.items() if one}

    @property
    def roles(self) -> list[str]:
        """Those that somebody can sign in as."""
        return list(self._keys)

    def role_of(self, token: str) -> str:
        """Return what a token lets do; empty for one that is none. Takes as long for any token."""
        told, found = token.strip().encode("utf-8", "replace"), ""
        for role, known in self._tokens.items():
            if hmac.compare_digest(told, known.encode()) and known:
                found = role
        return found

    def begin(self, role: str, name: str, now_ms: int) -> Session:
        """Return a new session."""
        told = " ".join("".join(c if c.isprintable() else " " for c in name).split())[:LONGEST_NAME]
        return Session(role=role, name=told, ends_ms=now_ms + self._lasts_ms, mark=secrets.token_urlsafe(12))

    def seal(self, session: Session) -> str:
        """Return what the cookie says."""
        return sealed(self._keys[session.role], session)

    def read(self, cookie: str, now_ms: int) -> Session | Ended | None:
        """Return the session that a cookie has; None for no cookie."""
        if not cookie:
            return None
        for key in self._keys.values():
            found = opened(key, cookie, Session)
            if found is not None and self._keys.get(found.role) is key:
                over = "Your session was over: it had lasted its time."
                return found if now_ms < found.ends_ms else Ended(over)
        return Ended("Your session is not valid any more: the token is another one now, or the cookie was changed.")

    def form_token(self, session: Session) -> str:
        """Return what a form of this session has to bring."""
        return hmac.new(self._keys[session.role], f"form {session.mark}".encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, session: Session, told: str) -> bool:
        return hmac.compare_digest(self.form_token(session).encode(), told.encode("utf-8", "replace"))

    def flash_key(self) -> bytes:
        """What seals the sentence that the next page shows."""
        return hashlib.sha256(b"".join([b"flash", *self._keys.values()])).digest()


def sealed(key: bytes, value: object) -> str:
    """Return a value as text that cannot be changed or made up without the key."""
    body = urlsafe_b64encode(msgspec.json.encode(value)).decode()
    return f"{body}.{hmac.new(key, body.encode(), hashlib.sha256).hexdigest()}"


def opened(key: bytes, text: str, kind: type[T]) -> T | None:
    """Return what was sealed with this key; None for anything else."""
    body, _, told = text.partition(".")
    seal = hmac.new(key, body.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
    if len(text) > LONGEST_COOKIE or not hmac.compare_digest(seal.encode(), told.encode("utf-8", "replace")):
        return None
    try:
        return msgspec.json.decode(urlsafe_b64decode(body), type=kind)
    except (msgspec.MsgspecError, NoBase64, ValueError):
        return None


def _made(token: str, what: str) -> bytes:
    return hmac.new(token.encode(), f"taskbridge dashboard {what}".encode(), hashlib.sha256).digest()
