"""The application of ``celery -A``, which has set up Sentry first and has a task of its own beside ours."""

from __future__ import annotations

from . import reported

from taskbridge_celery.command import app  # isort: skip

app.task(name="bare")(reported.bare)
