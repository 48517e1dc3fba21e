"""Signing in with a token, and out again; and what pages look like."""

from __future__ import annotations

import math
from http import HTTPStatus

from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response

from .asking import ask_again, ask_for_token, fields_of
from .fields import Fields
from .guard import check_form
from .visit import THEMES, Visit


def sign_in(visit: Visit) -> Response:
    """Show where one signs in, or look at the token that a form has brought.

    Raises:
        TooManyRequests: too many wrong ones came from there.
    """
    if visit.request.method != "POST":
        return ask_for_token(visit, status=HTTPStatus.OK, back=Fields(visit.request.args).text("back", "/"))
    check_form(visit.request)
    _refuse_haste(visit)
    form, site, address = Fields(visit.request.form), visit.site, visit.request.remote_addr or ""
    action, fields, back = site.actions.get(form.text("pending", "")), fields_of(form), form.text("back", "/")
    role = site.sessions.role_of(form.text("token", ""))
    if not role:
        site.patience.wrong(address)
        problem = "That is no token of this dashboard."
        return ask_for_token(
            visit, status=HTTPStatus.FORBIDDEN, problem=problem, back=back, action=action, fields=fields
        )
    site.patience.right(address)
    visit.session = site.sessions.begin(role, form.text("who", ""), site.bridge.clock.now_ms())
    if action and visit.may_act:
        response = ask_again(visit, action, fields, back)
    else:
        said = "You are signed in." if visit.may_act else "You are signed in, to read: nothing can be changed."
        response = visit.leave(visit.back(back), "done", said)
    visit.keep_session(response, visit.session)
    return response


def sign_out(visit: Visit) -> Response:
    """Have this browser forget the session."""
    check_form(visit.request)
    response = visit.leave(visit.url(next(iter(visit.site.pages))), "done", "You are signed out.")
    visit.drop_session(response)
    return response


def set_theme(visit: Visit) -> Response:
    """Have pages look light, dark, or as the system does."""
    check_form(visit.request)
    form = Fields(visit.request.form)
    response = visit.leave(visit.back(form.text("back", "/")))
    visit.keep_theme(response, form.choice("theme", (*THEMES, "system"), "system"))
    return response


def _refuse_haste(visit: Visit) -> None:
    address = visit.request.remote_addr or ""
    if wait_s := visit.site.patience.wait_s(address):
        raise TooManyRequests(
            f"too many wrong tokens came from {address or 'there'}: try again in {math.ceil(wait_s)} s",
            retry_after=math.ceil(wait_s),
        )
