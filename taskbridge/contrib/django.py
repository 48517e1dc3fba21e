"""Django where tasks run: set up before they are imported, its connections treated as around a web request.

Only where ``DJANGO_SETTINGS_MODULE`` is set; nothing is imported or done elsewhere. Whether a connection outlives its
run is Django's to say (``CONN_MAX_AGE``, ``CONN_HEALTH_CHECKS``), on either engine.
"""

from __future__ import annotations

import inspect
import logging
import os
import traceback

from ..bridge import Bridge
from ..definition import Definition
from ..errors import ConfigError

VARIABLE = "DJANGO_SETTINGS_MODULE"


def set_up() -> None:
    """Set Django up, once: for what is imported after it, models are ready.

    Raises:
        ConfigError: the settings, or an application they name, do not import.
    """
    module = os.environ.get(VARIABLE)
    if not module:
        return
    try:
        import django
        from django.apps import apps

        if not apps.ready:  # a second time would only configure the logging anew
            django.setup()
            _be_heard()
    except (Exception, SystemExit) as error:
        trace = "".join(traceback.format_exception(error)).rstrip()
        raise ConfigError(
            f"{VARIABLE} is {module!r}, and Django does not start with it; mend it, or unset the variable:\n{trace}"
        ) from error


def keep_connections(bridge: Bridge) -> None:
    """Have connections that are old or broken closed before and after each run of this bridge's tasks."""
    if os.environ.get(VARIABLE):
        bridge.hooks.outside(_before, _after)


def close_connections() -> None:
    """Close every connection of this thread: a fork must not share them with its parent."""
    if not os.environ.get(VARIABLE):
        return
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):  # Django 5.1, PostgreSQL
            connection.close_pool()


def _be_heard() -> None:
    """A ``LOGGING`` that does not say otherwise silences every logger that was there before it; ours are needed."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "taskbridge" and isinstance(logger, logging.Logger):
            logger.disabled = False


def _before(definition: Definition) -> None:
    from django.db import close_old_connections

    close_old_connections()
    if inspect.iscoroutinefunction(definition.function):
        import asyncio

        asyncio.run(_in_the_thread_of_async_calls())


def _after(definition: Definition) -> None:
    from django.core.cache import close_caches

    close_caches()
    _before(definition)


async def _in_the_thread_of_async_calls() -> None:
    """Django runs what a coroutine asks of the database in a thread, which has connections of its own."""
    from asgiref.sync import sync_to_async
    from django.db import close_old_connections

    await sync_to_async(close_old_connections)()
