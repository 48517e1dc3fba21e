"""A dashboard on a real Redis, and a browser without a screen that asks it: Werkzeug's client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from taskbridge import Bridge, Settings
from taskbridge.dashboard import Dashboard, watch
from tests.servers import RedisServer

TOKEN = "a-token-of-the-tests-that-is-long"


class Browser:
    """Asks a dashboard, keeps its cookies, and sends forms as a browser does.

    Args:
        dashboard: whom it asks.
    """

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard = dashboard
        self.client = Client(dashboard)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, base_url="http://localhost", **more)

    def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> TestResponse:
        """Send a form from a page of the dashboard."""
        sent = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Content-Type"] = "application/x-www-form-urlencoded"
        return self.client.post(path, base_url="http://localhost", data=form or {}, headers=sent)

    def sign_in(self, token: str = TOKEN, who: str = "ada") -> TestResponse:
        return self.post("/sign-in", {"token": token, "who": who})

    def form_token(self) -> str:
        """What a form of this session brings: the page in between always has one."""
        found = re.search(r'name="form_token" value="(\w+)"', self.post("/act/limit.pause", {"name": "x"}).text)
        assert found, "nobody is signed in"
        return found[1]

    def act(self, name: str, /, **fields: str) -> TestResponse:
        """Press a button, and say yes where it asks again."""
        return self.post(f"/act/{name}", {"form_token": self.form_token(), "sure": "yes", **fields})


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that answers is waited for, however busy the machine is."""
    monkeypatch.setattr(watch, "PATIENCE_S", 20.0)


@pytest.fixture
def bridge(redis_server: RedisServer, standing: None) -> Iterator[Bridge]:
    """On an empty Redis; Celery is its default backend."""
    redis_server.cli().flushall()
    made = Bridge(Settings(broker_url=redis_server.url()))
    yield made
    made.close()


@pytest.fixture
def browser(bridge: Bridge) -> Iterator[Browser]:
    """Of a dashboard that has a token; nobody is signed in."""
    made = Dashboard(bridge, token=TOKEN)
    yield Browser(made)
    made.close()
