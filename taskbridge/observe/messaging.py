"""What tracers say of a message in the words of OpenTelemetry's conventions for messaging, which Sentry's are, too."""

from __future__ import annotations

from ..config import Settings
from ..message import Message

#: What a broker's URL begins with, and the name of its kind. Source: OpenTelemetry, ``messaging.system``.
SYSTEMS = {"sqs": "aws_sqs", "amqp": "rabbitmq", "amqps": "rabbitmq"}


def system_of(settings: Settings, backend: str) -> str:
    """Return ``messaging.system`` of a backend: what its broker is."""
    chosen = settings.backend_settings(backend)
    return "memory" if chosen.engine == "memory" else SYSTEMS.get(chosen.broker_url.partition(":")[0], "redis")


def size_of(message: Message) -> int:
    """Return ``messaging.message.body.size``: that of its arguments as JSON, bytes."""
    return len(message.args) + len(message.kwargs)
