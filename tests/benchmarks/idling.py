"""What an idle worker costs on SQS: ``python -m tests.benchmarks.idling [--minutes 3]``, requests by kind and dollars.

A worker of two processes and one queue, in steady state: it has looked for the parts of its queue that are not there
until it looks as seldom as it ever does. And what sending and running cost, by ``sqs.py``'s way of counting.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

from ..servers import until
from .processes import produce, worker
from .sqs import ENGINES, PATIENCE_S, TASKS, counted, place_of, side_of

#: A standard queue's million requests, dollars; each of up to 64 KiB. Source: Amazon SQS pricing, us-east-1, 2026.
DOLLARS_A_MILLION = 0.40

#: The steady state is reached after so long, seconds. Source: ``LOOK_S`` in taskbridge/sqs/receiver.py.
STEADY_S = 150.0


def main() -> None:
    """Print what each engine asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.idling", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long to count an idle worker")
    minutes = parser.parse_args().minutes
    for engine in ENGINES:
        asked = idle(engine, minutes * 60)
        hour = sum(asked.values()) * 60 / minutes
        kinds = ", ".join(f"{kind} {count * 60 / minutes:,.0f}" for kind, count in asked.most_common())
        print(f"{engine}: an idle hour of two processes: {hour:,.0f} requests, ${dollars(hour):.6f} ({kinds})")
        sent, run = counted(engine, "taskbridge")
        print(f"{engine}: a million tasks sent in bulk: {sent * 1e6:,.0f} requests, ${dollars(sent * 1e6):.2f}")
        print(f"{engine}: a million tasks run: {run * 1e6:,.0f} requests, ${dollars(run * 1e6):.2f}")


def idle(engine: str, seconds: float) -> Counter[str]:
    """Return what a worker asks in so long with nothing to do, by kind."""
    with place_of(counted=True) as place:
        side, name = side_of(place, engine, "taskbridge")
        produce(side, place, "fill", str(TASKS))
        with worker(side, place):
            until(lambda: place.left(name) == 0, PATIENCE_S, "it to be idle")
            time.sleep(STEADY_S)
            before = Counter(place.meddler.asked)
            time.sleep(seconds)
            return Counter(place.meddler.asked) - before


def dollars(requests: float) -> float:
    """Return what so many requests cost."""
    return requests / 1e6 * DOLLARS_A_MILLION


if __name__ == "__main__":
    main()
