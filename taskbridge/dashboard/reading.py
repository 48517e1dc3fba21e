"""A page is asked for: it is read and shown, or said why it is not."""

from __future__ import annotations

from werkzeug.wrappers import Response

from .asking import ask_for_token
from .fields import Fields
from .page import Look, Page
from .visit import Visit


def read_page(visit: Visit, page: Page) -> Response:
    """Show a page to whoever may read."""
    visit.page = page
    if not visit.may_read:
        return ask_for_token(visit)
    query = Fields(visit.request.args)
    who = visit.session.name if visit.session else ""
    look = Look(bridge=visit.site.bridge, query=query, watch=visit.site.watch, may_act=visit.may_act, who=who)
    which = query.text(page.of, "").strip() if page.of else ""
    title = f"{page.title} {which}" if which else page.title
    return visit.show(page.template, title=title, live=True, look=look, **page.read(look))
