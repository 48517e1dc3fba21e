"""A message whose task runs here, without a worker."""

from taskbridge.current import Current


def a_message(starts: int = 1, attempt: int = 1, id: str = "m") -> Current:
    """What a task asks of its own message."""
    return Current(
        id=id,
        task="book",
        queue="bookings",
        attempt=attempt,
        starts=starts,
        fencing_token=starts,
        enqueued_at_ms=0,
        first_due_ms=0,
    )
