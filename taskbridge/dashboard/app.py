"""The WSGI application: each request to what answers it, and whatever goes wrong to a page that says so."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Response

from ..bridge import Bridge
from ..clock import Span, milliseconds
from ..errors import BrokerUnavailable, ConfigError, StoreUnavailable, UnknownMessage
from ..operations.disclosure import Disclosure
from ..shown.text import without_passwords
from .action import Action
from .actions import ACTIONS
from .assets import Assets
from .doing import act
from .guard import LOOPBACK, Asked, check_host, checked_hosts
from .headers import harden
from .page import Page
from .pages import PAGES
from .patience import Patience
from .reading import read_page
from .rendering import environment
from .sessions import Sessions
from .signing import set_theme, sign_in, sign_out
from .site import Site
from .visit import Visit
from .watch import Watch

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger("taskbridge.dashboard")

STATIC = Path(__file__).parent / "static"

#: How long a session lasts, and how often what is live is asked for anew, seconds.
SESSION_S, REFRESH_S = 12 * 3600, 5.0

#: The least of them, milliseconds: a page that is open asks the store and the brokers at each refresh.
LEAST_SESSION_MS, LEAST_REFRESH_MS = 1, 100

#: What whoever watches over the process asks: whether it answers. It says nothing of the store, which may be away.
HEALTH = "/healthz"

Handler = Callable[..., Response]


class Dashboard:
    """The dashboard of a bridge, as a WSGI application; it may be mounted anywhere in another one.

    Args:
        bridge: whose store and brokers are shown.
        token: lets its owner change things; empty lets nobody. 16 characters or more.
        read_token: lets its owner read, where not everybody may. Defaults to none.
        anonymous_reading: whether pages are shown without a token. Defaults to yes where it answers as loopback alone
            and has no ``read_token``.
        title: what pages are headed with.
        allowed_hosts: the names that it answers as; ``.example.com`` is all below, ``*`` any. Defaults to loopback's.
        session: how long one stays signed in. Defaults to 12 h.
        refresh: how often what is shown is read anew, 0.1 s or more. Defaults to 5 s.
        pages, actions: what it has. Default to all that there are.

    Raises:
        ConfigError: a token that is too short, nobody could read, a host that is no name, or a span that is too short.
    """

    def __init__(
        self,
        bridge: Bridge,
        *,
        token: str = "",
        read_token: str = "",
        anonymous_reading: bool | None = None,
        title: str = "taskbridge",
        allowed_hosts: Sequence[str] = LOOPBACK,
        session: Span = SESSION_S,
        refresh: Span = REFRESH_S,
        pages: Sequence[Page] = PAGES,
        actions: Sequence[Action] = ACTIONS,
    ) -> None:
        sessions = Sessions(token, read_token, _at_least(LEAST_SESSION_MS, session, "session"))
        hosts = checked_hosts(allowed_hosts)
        self._site = Site(
            bridge=bridge,
            watch=Watch(bridge),
            title=title,
            pages={page.name: page for page in pages},
            actions={action.name: action for action in actions},
            sessions=sessions,
            patience=Patience(bridge.clock.monotonic_s),
            assets=Assets(STATIC),
            disclosure=Disclosure(bridge),
            templates=environment(),
            allowed_hosts=hosts,
            anonymous_reading=_all_read(anonymous_reading, hosts, sessions),
            refresh_s=_at_least(LEAST_REFRESH_MS, refresh, "refresh") / 1000,
            cookie=_cookie(bridge),
        )
        self._handlers = _handlers(pages, actions)
        self._map = Map([*_rules(pages, actions)], strict_slashes=False, merge_slashes=False)

    @property
    def rules(self) -> list[tuple[str, str, list[str]]]:
        """All that it answers: name, path, methods."""
        return [(rule.endpoint, rule.rule, sorted(rule.methods or ())) for rule in self._map.iter_rules()]

    def keep(self) -> None:
        """Take the numbers of charts from now on; without that it begins when a page is first asked for."""
        self._site.watch.keep()

    def close(self) -> None:
        """End what it does in the background."""
        self._site.watch.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Asked(environ)
        urls = self._map.bind(
            "localhost",  # links name no host, and no host has a say in where they lead
            script_name=environ.get("SCRIPT_NAME", ""),
            path_info=request.path,
            default_method=request.method,
        )
        visit = Visit(self._site, request, urls)
        return harden(self._answer(visit))(environ, start_response)

    def _answer(self, visit: Visit) -> Response:
        try:
            if visit.request.path != HEALTH:  # who probes it asks by an address, and learns nothing
                check_host(visit.request, self._site.allowed_hosts)
            name, values = visit.urls.match()
            return self._handlers[name](visit, **values)
        except HTTPException as error:
            return _refused(visit, error)
        except UnknownMessage as error:
            return _problem(visit, HTTPStatus.NOT_FOUND, "Not here", str(error))
        except ConfigError as error:
            return _problem(visit, HTTPStatus.BAD_REQUEST, "That cannot be shown", str(error))
        except StoreUnavailable as error:
            return _away(visit, "The store is away", str(error))
        except BrokerUnavailable as error:
            return _away(visit, "A broker is away", str(error))
        except Exception:
            id = secrets.token_hex(4)
            log.exception("the dashboard has failed at %s %s, error %s", visit.request.method, visit.request.path, id)
            text = f"This is a fault of the dashboard, not of yours. Its log tells more, under the error's id: {id}"
            return _problem(visit, HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong", text)


def _handlers(pages: Sequence[Page], actions: Sequence[Action]) -> dict[str, Handler]:
    return {
        **{page.name: partial(read_page, page=page) for page in pages},
        **{f"act {action.name}": partial(act, action=action) for action in actions},
        "sign_in": sign_in,
        "sign_out": sign_out,
        "theme": set_theme,
        "static": _static,
        "health": _healthy,
    }


def _static(visit: Visit, name: str) -> Response:
    return visit.site.assets.answer(name, visit.request)


def _healthy(visit: Visit) -> Response:
    return Response("ok\n", mimetype="text/plain")


def _rules(pages: Sequence[Page], actions: Sequence[Action]) -> Iterable[Rule]:
    for page in pages:
        yield Rule(page.path, endpoint=page.name, methods=["GET"])
    for action in actions:
        yield Rule(f"/act/{action.name}", endpoint=f"act {action.name}", methods=["POST"])
    yield Rule("/sign-in", endpoint="sign_in", methods=["GET", "POST"])
    yield Rule("/sign-out", endpoint="sign_out", methods=["POST"])
    yield Rule("/theme", endpoint="theme", methods=["POST"])
    yield Rule("/static/<name>", endpoint="static", methods=["GET"])
    yield Rule(HEALTH, endpoint="health", methods=["GET"])


def _refused(visit: Visit, error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    text = error.description or ""
    if status == HTTPStatus.NOT_FOUND and visit.urls.path_info and "no file" not in text:
        text = f"This dashboard has no page at {visit.here()[:200]}."
    response = _problem(visit, status, status.phrase, text)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _away(visit: Visit, title: str, text: str) -> Response:
    acted = visit.request.method == "POST"
    if acted:
        text += ". What you asked for may or may not have been done: look before you ask again."
    return _problem(visit, HTTPStatus.SERVICE_UNAVAILABLE, title, text, recovers=not acted)


def _problem(visit: Visit, status: HTTPStatus, title: str, text: str, *, recovers: bool = False) -> Response:
    """Show what is wrong; ``recovers`` has the script ask again until it is not."""
    return visit.show("problem.html", status=status, title=title, text=text, live=recovers, recovers=recovers)


def _at_least(least_ms: int, span: Span, what: str) -> int:
    """Return the span in milliseconds."""
    if (given_ms := milliseconds(span, what)) < least_ms:
        raise ConfigError(f"{what}: expected {least_ms / 1000:g} s or more, got {given_ms / 1000:g} s")
    return given_ms


def _all_read(said: bool | None, hosts: Sequence[str], sessions: Sessions) -> bool:
    """Return whether pages are shown without a token.

    Raises:
        ConfigError: then nobody could read.
    """
    here_alone = set(hosts) <= set(LOOPBACK) and "read" not in sessions.roles
    all_read = here_alone if said is None else said
    if not all_read and not sessions.roles:
        raise ConfigError(
            "the dashboard: nobody could read, for there is no token; give it one, or let all read who reach it: "
            "anonymous_reading=True"
        )
    return all_read


def _cookie(bridge: Bridge) -> str:
    """What tells the cookies of two dashboards apart that a browser finds on one host, whatever their ports."""
    settings = bridge.settings
    place = f"{without_passwords(settings.effective_store_url)} {settings.namespace}"  # it is shown to everybody
    return hashlib.sha256(place.encode()).hexdigest()[:8]
