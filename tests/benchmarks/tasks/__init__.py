"""The same tasks three times: plain Celery, plain Dramatiq, taskbridge. Same names, same queue."""
