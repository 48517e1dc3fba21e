"""The dashboard as a view of a Django project, behind whatever the project asks of its visitors. Django by WSGI alone.

Below ASGI it is mounted beside Django's application: docs/dashboard.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


def view(dashboard: Callable[..., Iterable[bytes]]) -> Callable[..., HttpResponse]:
    """Return a view: ``re_path(r"^tasks(?P<path>/.*)?$", staff_member_required(view(Dashboard(bridge))))``.

    The dashboard's own forms are guarded by itself, so Django's ``csrf_token`` is not asked for.
    """
    from django.http import HttpResponse

    def dashboard_view(request: HttpRequest, path: str | None = None) -> HttpResponse:
        said: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
            said.append((status, headers))

        body = b"".join(dashboard(_environ(request, path or ""), start_response))
        status, headers = said[-1]
        number, _, reason = status.partition(" ")
        response = HttpResponse(body, status=int(number), reason=reason)
        del response.headers["Content-Type"]
        for name, value in headers:
            if name.lower() == "set-cookie":
                response.cookies.load(value)
            else:
                response.headers[name] = value
        return response

    dashboard_view.csrf_exempt = True  # type: ignore[attr-defined]  # what Django's own decorator does
    return dashboard_view


def _environ(request: HttpRequest, path: str) -> dict[str, Any]:
    """What a WSGI application below this place is told; WSGI writes UTF-8 as Latin-1."""
    inner = path.encode().decode("latin-1")
    whole = request.environ["PATH_INFO"]
    place = request.environ.get("SCRIPT_NAME", "") + whole[: len(whole) - len(inner)]
    return {**request.environ, "SCRIPT_NAME": place, "PATH_INFO": inner, "wsgi.input": BytesIO(request.body)}
