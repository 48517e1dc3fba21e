"""What the providers say, in one word."""

from examples.fintech import provider


def answers(name: str, by: str, attempt: int, start: int) -> str:
    """What the provider says to this call."""
    try:
        provider.send(by, name, attempt=attempt, start=start)
    except provider.ProviderBusy:
        return "429"
    except provider.ProviderError:
        return "503"
    return "200"
