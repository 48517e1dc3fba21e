"""The broker of the command ``dramatiq``, which has set up Sentry first and has a task of its own beside ours."""

from __future__ import annotations

import dramatiq

from . import reported

from taskbridge_dramatiq.command import broker  # isort: skip

dramatiq.actor(reported.bare, broker=broker, actor_name="bare", queue_name="reported")
