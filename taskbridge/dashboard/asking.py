"""The pages in between: who are you, and are you sure. What was asked for is kept in them, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from werkzeug.wrappers import Response

from .action import Action
from .fields import Fields
from .visit import Visit

#: What our own forms bring beside the fields of an action.
OURS = ("back", "form_token", "sure", "pending", "token", "who")


def ask_for_token(
    visit: Visit,
    *,
    status: int = HTTPStatus.UNAUTHORIZED,
    problem: str = "",
    back: str = "",
    action: Action | None = None,
    fields: Mapping[str, str] | None = None,
) -> Response:
    """Show where one signs in.

    Args:
        visit: what was asked for.
        status: of the answer.
        problem: why that has not been enough so far.
        back: where one goes then. Defaults to what was asked for.
        action: what was asked for, and is asked once more then.
        fields: its fields.
    """
    return visit.show(
        "sign_in.html",
        status=status,
        title="Sign in",
        problem=problem or (visit.ended.why if visit.ended else ""),
        pending=action,
        fields=dict(fields or {}),
        back=back or visit.here(),
    )


def ask_again(visit: Visit, action: Action, fields: Mapping[str, str], back: str) -> Response:
    """Show what is about to be done, and do nothing yet.

    Raises:
        BadRequest: a field that the question needs is not there.
    """
    question = action.question(Fields(fields)) or f"{action.label}?"
    return visit.show(
        "confirm.html",
        title=action.label,
        action=action,
        question=question,
        fields=dict(fields),
        back=back,
        back_url=visit.back(back),
    )


def fields_of(form: Fields) -> dict[str, str]:
    """Return those fields of a form that are its action's."""
    return {name: value for name, value in form.all().items() if name not in OURS}
