"""One request on its way to an answer: who asks, what links look like from here, and pages shown."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from ..shown.text import safe
from .fields import Fields
from .page import Page
from .rendering import render
from .sessions import Ended, Session, opened, sealed
from .site import Site

#: What a browser may be told to look like; empty is as its system does.
THEMES = ("light", "dark")

#: A browser keeps the cookie of a session that is over for so long, seconds.
OVER_S = 7 * 24 * 3600

#: The sentence that the next page shows lives so long, seconds, and is cut to so many bytes: a cookie has 4,096, and
#: what is written down in one takes less than three times as many.
FLASH_S, FLASH_BYTES = 60, 1_200


class Flash(msgspec.Struct, frozen=True):
    """A sentence that the next page shows. ``kind`` is ``done`` or ``refused``."""

    kind: str
    text: str


class Visit:
    """One request.

    Args:
        site: the dashboard.
        request: it.
        urls: makes links from where the dashboard is mounted.
    """

    def __init__(self, site: Site, request: Request, urls: MapAdapter) -> None:
        self.site, self.request, self.urls = site, request, urls
        found = site.sessions.read(request.cookies.get(f"session_{site.cookie}", ""), site.bridge.clock.now_ms())
        self.session = found if isinstance(found, Session) else None
        self.ended = found if isinstance(found, Ended) else None
        self.page: Page | None = None

    @property
    def may_act(self) -> bool:
        return self.session is not None and self.session.may_act

    @property
    def may_read(self) -> bool:
        return self.session is not None or self.site.anonymous_reading

    @property
    def is_fragment(self) -> bool:
        """Whether the script asks, which wants the content of the page alone."""
        return "fragment" in self.request.args

    def url(self, to: str, /, **query: object) -> str:
        """Return a link to a page, or to anything else that has a name."""
        return self.urls.build(to, query)

    def here(self) -> str:
        """Return where the page that is asked for is, below the dashboard's own place."""
        query = "&".join(
            part for part in self.request.query_string.decode("latin-1").split("&") if part != "fragment=1"
        )
        return f"/{self.urls.path_info.lstrip('/')}" + (f"?{query}" if query else "")

    def back(self, to: str) -> str:
        """Return a link to a page of this dashboard, by where it is below its place; any other text is the first."""
        path, _, query = to.partition("?")
        try:
            name, _ = self.urls.match(path, method="GET")
        except HTTPException:
            name = ""
        page = self.site.pages.get(name)
        if page is None:
            return self.url(next(iter(self.site.pages)))
        return self.url(page.name) + (f"?{query}" if query else "")

    def show(
        self, template: str, *, status: int = HTTPStatus.OK, title: str, live: bool = False, **context: Any
    ) -> Response:
        """Return a page, or for the script what is in it; what is ``live`` it asks for again and again."""
        flash = None if self.is_fragment else self._flash()
        body = render(self.site.templates, template, self._frame(title, flash) | {"live": live} | context)
        response = Response(body, status=status, content_type="text/html; charset=utf-8")
        if flash is not None:
            response.delete_cookie(f"flash_{self.site.cookie}", path=self._place())
        return response

    def leave(self, to: str, kind: str = "", text: str = "") -> Response:
        """Return an answer that sends the browser to a page, which shows a sentence."""
        response = redirect(to, HTTPStatus.SEE_OTHER)
        if text:
            self._keep(response, "flash", sealed(self.site.sessions.flash_key(), Flash(kind, _cut(text))), FLASH_S)
        return response

    def keep_session(self, response: Response, session: Session) -> None:
        """Have the browser bring a session from now on; also when it is over, so that it can be told so."""
        lasts_s = (session.ends_ms - self.site.bridge.clock.now_ms()) // 1000
        self._keep(response, "session", self.site.sessions.seal(session), lasts_s + OVER_S)

    def drop_session(self, response: Response) -> None:
        """Have it forgotten."""
        response.delete_cookie(f"session_{self.site.cookie}", path=self._place())

    def keep_theme(self, response: Response, theme: str) -> None:
        """Have pages look so from now on. The script may change it, so it can be read there; it opens nothing."""
        response.set_cookie("taskbridge_theme", theme, max_age=365 * 24 * 3600, path=self._place(), samesite="Strict")

    def _keep(self, response: Response, name: str, value: str, lasts_s: int) -> None:
        response.set_cookie(
            f"{name}_{self.site.cookie}",
            value,
            max_age=lasts_s,
            path=self._place(),
            secure=self.request.scheme == "https",
            httponly=True,
            samesite="Strict",
        )

    def _place(self) -> str:
        """Where the dashboard is mounted."""
        return self.urls.script_name.rstrip("/") or "/"

    def _flash(self) -> Flash | None:
        cookie = self.request.cookies.get(f"flash_{self.site.cookie}", "")
        return opened(self.site.sessions.flash_key(), cookie, Flash) if cookie and self.site.sessions.roles else None

    def _frame(self, title: str, flash: Flash | None) -> dict[str, Any]:
        """What every template is given."""
        site, page, session = self.site, self.page, self.session
        theme = self.request.cookies.get("taskbridge_theme", "")
        return {
            "layout": "fragment.html" if self.is_fragment else "base.html",
            "title": title,
            "site": site.title,
            "namespace": site.bridge.settings.namespace,
            "menu": [one for one in site.pages.values() if one.menu] if self.may_read else [],
            "at": (page.within or page.name) if page else "",
            "every_s": (page.every_s if page else 0) or site.refresh_s,
            "now_ms": site.bridge.clock.now_ms(),
            "url": self.url,
            "home": self.url(next(iter(site.pages))),
            "here": self.here(),
            "place": self._place(),
            "version": site.assets.version,
            "theme": theme if theme in THEMES else "",
            "flash": flash,
            "session": session,
            "can_sign_in": bool(site.sessions.roles),
            "may_act": self.may_act,
            "actions": site.actions,
            "said_of": site.disclosure.of,
            "form_token": site.sessions.form_token(session) if session else "",
            "query": Fields(self.request.args),
        }


def _cut(text: str) -> str:
    whole = safe(text, lines=True).encode()
    return whole.decode() if len(whole) <= FLASH_BYTES else f"{whole[:FLASH_BYTES].decode(errors='ignore')} ..."
