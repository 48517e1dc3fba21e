"""Mounted below a path of another application: links, forms and cookies stay below it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from django.urls import re_path
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
from werkzeug.wrappers import Response

from taskbridge import Bridge
from taskbridge.contrib.dashboard import view
from taskbridge.dashboard import Dashboard
from taskbridge.dashboard.asgi import asgi

from ..databases import set_up_django
from .conftest import TOKEN

#: As a project has them; the first two would ask a form for a token of Django's, and for a frame's leave.
MIDDLEWARE = [
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]

#: Where a link, a form or a file of a page leads.
LINKS = re.compile(r'(?:href|src|action)="([^"#]*)"')


class Answer:
    """What came: status, headers by name (the last of each), cookies, text."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.text = status, {name.lower(): value for name, value in headers}, body.decode()
        self.cookies = [value.strip() for name, value in headers if name.lower() == "set-cookie"]


Ask = Callable[..., Answer]


def by_wsgi(application: Any) -> Ask:
    client = Client(application)

    def ask(method: str, path: str, body: bytes = b"", cookie: str = "") -> Answer:
        headers = {"Cookie": cookie} | FORM
        got = client.open(path, method=method, base_url="http://localhost", data=body, headers=headers)
        return Answer(got.status_code, list(got.headers), got.data)

    return ask


FORM = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://localhost"}


def by_asgi(application: Any) -> Ask:
    async def once(method: str, path: str, body: bytes, cookie: str) -> Answer:
        said: list[dict[str, Any]] = []
        fields = {"Host": "localhost", "Cookie": cookie, "Content-Length": str(len(body))} | FORM
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 1), "server": ("localhost", 80),
        }  # fmt: skip
        incoming = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return incoming.pop(0) if incoming else await asyncio.Event().wait()

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await application(scope, receive, send)
        headers = [(name.decode(), value.decode()) for name, value in said[0]["headers"]]
        return Answer(said[0]["status"], headers, b"".join(one.get("body", b"") for one in said[1:]))

    return lambda method, path, body=b"", cookie="": asyncio.run(once(method, path, body, cookie))


def in_werkzeug(dashboard: Dashboard) -> Ask:
    """And so in Flask: ``app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {...})``."""
    return by_wsgi(DispatcherMiddleware(Response("another application", 404), {"/ops/tasks": dashboard}))


def in_django(dashboard: Dashboard) -> Ask:
    """As a view of a project, between its own middleware."""
    set_up_django()
    urls = type("urls", (), {"urlpatterns": [re_path(r"^ops/tasks(?P<path>/.*)?$", view(dashboard))]})
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=MIDDLEWARE, ALLOWED_HOSTS=["*"]):
        handler = WSGIHandler()

    def application(environ: Any, start_response: Any) -> Any:
        with override_settings(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"]):
            return handler(environ, start_response)

    return by_wsgi(application)


def in_starlette(dashboard: Dashboard) -> Ask:
    """And so in FastAPI: ``app.mount("/ops/tasks", asgi(dashboard))``."""
    return by_asgi(Starlette(routes=[Mount("/ops/tasks", app=asgi(dashboard))]))


@pytest.mark.parametrize("mounted", [in_werkzeug, in_django, in_starlette])
def test_it_stays_below_where_it_is_mounted(bridge: Bridge, mounted: Callable[[Dashboard], Ask]):
    """With a slash behind it or none; every link is one that it answers, and its cookies go nowhere else."""
    ask = mounted(Dashboard(bridge, token=TOKEN))

    first, bare = ask("GET", "/ops/tasks/"), ask("GET", "/ops/tasks")
    links = set(LINKS.findall(first.text))
    arrived = ask("POST", "/ops/tasks/sign-in", b"token=" + TOKEN.encode())
    (session,) = [one for one in arrived.cookies if one.startswith("session_")]
    inside = ask("GET", "/ops/tasks/", cookie=session.partition(";")[0])

    assert (200, 404) == (first.status, ask("GET", "/ops/nothing").status)
    assert bare.status == 200 or bare.headers["location"].endswith("/ops/tasks/")
    assert links == {link for link in links if link.startswith("/ops/tasks/")}
    assert set() == {link for link in links if ask("GET", link.replace("&amp;", "&")).status not in (200, 405)}
    assert (303, "/ops/tasks/") == (arrived.status, arrived.headers["location"])
    assert "Path=/ops/tasks;" in session
    assert "Sign out" in inside.text
    assert "frame-ancestors 'none'" in inside.headers["content-security-policy"]
