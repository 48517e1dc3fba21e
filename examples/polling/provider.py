"""A provider of payments, slow and outside: it takes a charge at once (202) and decides later.

The cents decide what becomes of one: 13 is declined, 99 is never decided, 29 is done, but the first question is one too
many (429); all else is done. It keeps nothing when it ends.

    uvicorn examples.polling.provider:app
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

#: How long it takes to decide, seconds.
READY_AFTER_S = float(os.environ.get("POLLING_READY_AFTER_S", "3"))

#: How long it wants to be left alone after a 429, seconds.
RETRY_AFTER_S = 1

DECLINED, NEVER, BUSY = 13, 99, 29


@dataclass(slots=True)
class Charge:
    """What it has taken, when, and how often it was asked."""

    id: str
    cents: int
    ready_at_s: float
    asked: int = 0

    def status(self) -> str:
        """``pending``, ``done`` or ``declined``."""
        if self.cents % 100 == NEVER or time.monotonic() < self.ready_at_s:
            return "pending"
        return "declined" if self.cents % 100 == DECLINED else "done"


by_key: dict[str, Charge] = {}
by_id: dict[str, Charge] = {}


async def take(request: Request) -> JSONResponse:
    """Take a charge; told again under the same key it is the same one."""
    key = request.headers["Idempotency-Key"]
    if key not in by_key:
        cents = int((await request.json())["cents"])
        charge = Charge(f"ch-{uuid.uuid4().hex}", cents, time.monotonic() + READY_AFTER_S)
        by_key[key] = by_id[charge.id] = charge
    return JSONResponse({"id": by_key[key].id, "status": "pending"}, 202)


async def tell(request: Request) -> JSONResponse:
    """Say what has become of a charge."""
    charge = by_id.get(request.path_params["id"])
    if charge is None:
        return JSONResponse({"error": "there is no such charge"}, 404)
    charge.asked += 1
    if charge.cents % 100 == BUSY and charge.asked == 1:
        return JSONResponse({"error": "too many"}, 429, {"Retry-After": str(RETRY_AFTER_S)})
    return JSONResponse({"id": charge.id, "status": charge.status()})


async def tell_all(_: Request) -> JSONResponse:
    """Say what it has taken under which key, and how often it was asked for each."""
    return JSONResponse({key: {"id": charge.id, "asked": charge.asked} for key, charge in by_key.items()})


app = Starlette(
    routes=[
        Route("/charges", take, methods=["POST"]),
        Route("/charges", tell_all),
        Route("/charges/{id}", tell),
    ]
)
