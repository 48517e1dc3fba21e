"""The API that a front end has: POST /payments starts one and answers at once, GET /payments/<id> says how it stands.

A request never waits for the provider: it writes a row, enqueues, and is over.

    uvicorn examples.polling.api:app
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from taskbridge.errors import StoreUnavailable

from ..fintech import rows
from . import payments
from .database import opened
from .payments import Payment
from .tasks import pay

PAGE = Path(__file__).with_name("page.html")


async def create(request: Request) -> JSONResponse:
    """Start a payment: 202 and where to look, or 200 and how it stands for a key that is known.

    Source of 400, 422 and their meaning: the IETF's draft-ietf-httpapi-idempotency-key-header.
    """
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise HTTPException(400, "send a header Idempotency-Key: one for each payment, the same when you try again")
    cents = _cents(await request.body())
    payment, new = await run_in_threadpool(_start, key, cents)
    return JSONResponse(_shown(payment), 202 if new else 200, {"Location": f"/payments/{payment.id}"})


def show(request: Request) -> JSONResponse:
    """How a payment stands: what the database says; neither worker nor provider is asked."""
    with opened() as db:
        try:
            return JSONResponse(_shown(payments.find(db, request.path_params["id"])))
        except LookupError as error:
            raise HTTPException(404, str(error)) from None


def show_newest(_: Request) -> JSONResponse:
    """How the last ones stand."""
    with opened() as db:
        return JSONResponse([_shown(payment) for payment in payments.newest(db)])


def show_page(_: Request) -> FileResponse:
    """Show the page that watches them."""
    return FileResponse(PAGE)


def _start(key: str, cents: int) -> tuple[Payment, bool]:
    """Write the row, then enqueue. Who dies in between is told nothing, tries again, and both are made good."""
    with opened() as db:
        payment, new = payments.request(db, key, cents)
    if payment.cents != cents:
        raise HTTPException(422, "this Idempotency-Key was used for another amount")
    if payment.state == "requested":
        try:
            pay.using(idempotency_key=key).enqueue(payment.id)  # once, however often it comes to this
        except StoreUnavailable as error:
            raise HTTPException(503, f"not now; try again with the same key: {error}") from None
    return payment, new


def _cents(body: bytes) -> int:
    try:
        cents = rows.cents(json.loads(body)["amount"])
    except (ValueError, KeyError, TypeError):
        raise HTTPException(400, 'send JSON such as {"amount": "12.50"}') from None
    if not 0 < cents < 10**9:
        raise HTTPException(400, "an amount is above 0.00 and below 10,000,000.00")
    return cents


def _shown(payment: Payment) -> dict[str, Any]:
    amount = f"{payment.cents // 100}.{payment.cents % 100:02d}"
    return {"id": payment.id, "amount": amount, "state": payment.state, "steps": payment.steps}


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


app = Starlette(
    routes=[
        Route("/", show_page),
        Route("/payments", create, methods=["POST"]),
        Route("/payments", show_newest),
        Route("/payments/{id}", show),
    ],
    exception_handlers={HTTPException: _refuse},
)
