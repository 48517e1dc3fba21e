"""The same dashboard as an ASGI application, for Starlette, FastAPI and others. The only importer of ``a2wsgi``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from a2wsgi import WSGIMiddleware

from .app import Dashboard

if TYPE_CHECKING:
    from a2wsgi.asgi_typing import ASGIApp

#: How many requests are answered at a time.
WORKERS = 8


def asgi(dashboard: Dashboard) -> ASGIApp:
    """Return a dashboard as an ASGI application: ``app.mount("/tasks", asgi(Dashboard(bridge)))``."""
    application: Any = dashboard  # its own names for what WSGI hands over
    return WSGIMiddleware(application, workers=WORKERS)
