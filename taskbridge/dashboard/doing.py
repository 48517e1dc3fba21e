"""An action is asked for: by whom, from where, are they sure; then it is done, once, and said what came of it."""

from __future__ import annotations

import logging

from werkzeug.exceptions import BadRequest, Forbidden
from werkzeug.wrappers import Response

from ..errors import BrokerUnavailable, StoreUnavailable, TaskbridgeError
from .action import WHO, Action, Deed
from .asking import ask_again, ask_for_token, fields_of
from .fields import Fields
from .guard import check_form
from .visit import Visit

log = logging.getLogger("taskbridge.dashboard")

#: What a form says that comes from the page in between.
SURE = "yes"


def act(visit: Visit, action: Action) -> Response:
    """Do an action for whoever may, and send the browser back to where it was.

    Raises:
        Forbidden: nobody may here, or the form is not of this session.
    """
    check_form(visit.request)
    site, form = visit.site, Fields(visit.request.form)
    fields, back = fields_of(form), form.text("back", "/")
    if "act" not in site.sessions.roles:
        raise Forbidden("this dashboard only shows: it was started without a token, so nobody can change anything")
    if visit.session is None:
        return ask_for_token(visit, back=back, action=action, fields=fields)
    if not visit.may_act:
        raise Forbidden("your session only reads; sign out, and in again with the token that acts")
    if not site.sessions.is_form_token(visit.session, form.text("form_token", "")):
        return ask_again(visit, action, fields, back)  # a page of an earlier session: nothing is lost, nothing is done
    if action.asks and form.text("sure", "") != SURE:
        return ask_again(visit, action, fields, back)
    who = f"{WHO}:{visit.session.name}" if visit.session.name else WHO
    kind, said = _done(action, Deed(bridge=site.bridge, form=Fields(fields), who=who))
    return visit.leave(visit.back(back), kind, said)


def _done(action: Action, deed: Deed) -> tuple[str, str]:
    """Do it; what an operation refuses is said, and what it cannot reach is everybody's problem."""
    try:
        said = action.do(deed)
    except (StoreUnavailable, BrokerUnavailable):
        raise
    except TaskbridgeError as error:
        return "refused", str(error)
    except BadRequest as error:
        return "refused", str(error.description)
    log.info("%s has done %s: %s", deed.who, action.name, said)
    return "done", said
