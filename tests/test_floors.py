"""Hold the floors: a module imports its own part and what stands below it, and only ``clock.py`` reads time.

Reads the source with ``ast`` and imports nothing of ours. An import under ``TYPE_CHECKING`` counts like any other.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Lowest first. On one floor, too, a part (a module or a folder) imports only what stands before it.
#: ``store.redis`` is a part of its own: the store's words stand below the Redis client, its scripts above.
FLOORS = (
    "errors clock events",
    "document message native wire codec returned outcome needs chunking options store_wait definition config",
    "store leftovers backend handed redis rabbitmq sqs broker store.redis",
    "policies",
    (
        "patience routing scope trace observers subscribers copies enqueue inbox current alarm flow hooks heed "
        "runtime claimed settling sides attempt shadow unrecorded execution lease holding announcement versioning "
        "orders routes evidence schedules migration relay drain"
    ),
    "task bridge contrib.django __init__",
    "shown monitoring operations observe worker comparison",
    "testing dashboard cli contrib __main__",
)
RANK = {part: rank for rank, part in enumerate(" ".join(FLOORS).split())}
FLOOR = {part: floor for floor, parts in enumerate(FLOORS) for part in parts.split()}

#: The highest floor that a backend's file imports; F2 where it is not named.
BACKEND_REACH = {"worker": 5, "command": 6}

#: Who alone imports these; the rest of the project never does.
HOMES = {
    "celery": ("backends/taskbridge_celery/",),
    "kombu": ("backends/taskbridge_celery/",),
    "taskbridge_celery": ("backends/taskbridge_celery/",),
    "dramatiq": ("backends/taskbridge_dramatiq/",),
    "taskbridge_dramatiq": ("backends/taskbridge_dramatiq/",),
    "cronsim": ("taskbridge/policies/",),
    "redis": ("taskbridge/redis/",),
    "amqp": ("taskbridge/rabbitmq/",),
    "pika": ("backends/taskbridge_dramatiq/",),
    "boto3": ("taskbridge/sqs/",),
    "botocore": ("taskbridge/sqs/",),
    "django": ("taskbridge/inbox.py", "taskbridge/contrib/"),
    "psycopg": ("taskbridge/inbox.py",),
    "prometheus_client": ("taskbridge/observe/",),
    "sentry_sdk": ("taskbridge/observe/sentry/",),
    "opentelemetry": ("taskbridge/observe/opentelemetry.py",),
    "watchfiles": ("taskbridge/worker/",),
    "jinja2": ("taskbridge/comparison/", "taskbridge/dashboard/", "taskbridge/cli/dashboard.py"),
    "matplotlib": ("taskbridge/comparison/",),
    "a2wsgi": ("taskbridge/dashboard/asgi.py",),
    "waitress": ("taskbridge/dashboard/serving.py", "taskbridge/cli/dashboard.py"),
    "werkzeug": ("taskbridge/dashboard/", "taskbridge/cli/dashboard.py"),
    "taskbridge.relay": ("taskbridge/relay/", "taskbridge/worker/", "taskbridge/testing/", "taskbridge/cli/"),
}

#: What only the clock does.
TIMES = {f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter") for unit in ("", "_ns")}
TIMES |= {"time.sleep", "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today"}


def faults(path: str, source: str) -> Iterator[str]:
    """What is wrong with one file; ``path`` is from the project's root, with ``/``."""
    tree = ast.parse(source)
    folder, part = path.removesuffix(".py").split("/")[:2]
    if folder == "taskbridge" and part not in RANK:
        yield f"{path}: no floor is known for {part!r}; put it where it belongs in FLOORS, tests/test_floors.py"
        return
    for line, name in imports(tree, path):
        homes = next((homes for owned, homes in HOMES.items() if f"{name}.".startswith(f"{owned}.")), ("",))
        if not path.startswith(homes):
            yield f"{path}:{line}: imports {name}, which only {' and '.join(homes)} may"
        elif f"{name}.".startswith("taskbridge.") and not reaches(path, target := part_of(name)):
            yield f"{path}:{line}: imports {name} ({target}, floor F{FLOOR[target]}), which does not stand below it"
    if path != "taskbridge/clock.py":
        yield from (f"{path}:{line}: {name} belongs to taskbridge/clock.py" for line, name in times(tree))


def reaches(path: str, target: str) -> bool:
    folder, *_, file = parts = path.removesuffix(".py").split("/")
    if folder == "taskbridge":
        return RANK[target] <= RANK[part_of(".".join(parts))]
    return FLOOR[target] <= BACKEND_REACH.get(file, 2)


def part_of(name: str) -> str:
    """``taskbridge.store.keys`` is of ``store``; a name that the package only re-exports is of ``__init__``."""
    _, *words = name.split(".")
    return next((part for part in (".".join(words[:2]), ".".join(words[:1])) if part in RANK), "__init__")


def imports(tree: ast.AST, path: str) -> Iterator[tuple[int, str]]:
    package = path.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *filter(None, [node.module])]
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def times(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each use of a name in TIMES, however it was imported."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            head, *rest = ast.unparse(node).split(".")
            if (name := ".".join([known.get(head, head), *rest])) in TIMES:
                yield node.lineno, name


def test_every_module_keeps_to_its_floor():
    """Imports point down, vendors stay at home, time is read in one place."""
    files = [path for folder in ("taskbridge", "backends") for path in sorted((ROOT / folder).rglob("*.py"))]

    found = [fault for path in files for fault in faults(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))]

    assert [] == found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("taskbridge/utils.py", ""),
        ("taskbridge/codec.py", "from .store import Claims"),
        ("taskbridge/codec.py", "from . import store"),
        ("taskbridge/codec.py", "from taskbridge import Backoff"),
        ("taskbridge/flow/chunks.py", "from ..execution import settle"),
        ("taskbridge/bridge.py", "from .relay.loop import Relay"),
        ("taskbridge/store/redis/claims.py", "if TYPE_CHECKING:\n    from redis import Redis"),
        ("taskbridge/store/keys.py", "from ..redis.server import Server"),
        ("taskbridge/redis/shelf.py", "from ..store.redis.claims import PACKAGE"),
        ("taskbridge/relay/loop.py", "from ..bridge import Bridge"),
        ("taskbridge/worker/child.py", "def run():\n    import celery.app.trace"),
        ("backends/taskbridge_celery/backend.py", "from taskbridge.policies import retry"),
        ("backends/taskbridge_celery/worker.py", "from taskbridge.worker import child"),
        ("backends/taskbridge_dramatiq/wire.py", "import taskbridge_celery"),
        ("taskbridge/execution.py", "import time as t\nt.sleep(1)"),
        ("taskbridge/execution.py", "from datetime import datetime as at\nnow = at.now"),
    ],
)
def test_what_breaks_the_floors_is_found(path: str, source: str):
    """The rule bites: each of these is one fault."""
    assert 1 == len(list(faults(path, source)))
