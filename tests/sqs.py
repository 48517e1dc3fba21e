"""An SQS on loopback for tests: moto's server in a process of its own. It keeps everything in memory."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

from .servers import HOST, Process

ROOT = Path(__file__).parent.parent

#: What its clients sign with; it looks at neither.
KEY, SECRET = "testing", "testing"
REGION = "eu-west-1"

#: What clients read that get no key by the URL, or ask for more than SQS.
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION}

#: How long it may take to answer what the tests themselves ask, seconds.
PATIENCE_S = 60.0


class SqsServer(Process):
    """One SQS. Started again it is empty, on the same port."""

    #: It imports all of moto first: some seconds alone on two cores, ten times as long on a busy machine.
    start_s = 90.0

    def __init__(self) -> None:
        super().__init__(sys.executable)

    def config(self) -> list[str]:
        return [
            *("import runpy, sys", f"sys.path.insert(0, {str(ROOT)!r})", f"sys.argv[1:] = ['{HOST}', '{self.port}']"),
            "runpy.run_module('tests.moto_server', run_name='__main__')",
        ]

    def answers(self) -> bool:
        try:
            self._ask("GET", "/moto-api/data.json")
        except OSError:
            return False
        return True

    def reset(self) -> None:
        """Forget all queues and messages."""
        self._ask("POST", "/moto-api/reset")

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def url(self, port: int = 0, **more: str) -> str:
        """The URL as a user would write it; of a proxy in front of it with its port."""
        words = {"region": REGION, "is_secure": "false", **more}
        query = "&".join(f"{name}={value}" for name, value in words.items())
        return f"sqs://{KEY}:{SECRET}@{HOST}:{port or self.port}?{query}"

    def client(self) -> Any:
        """A plain client of boto's, which knows nothing of us."""
        import boto3

        return boto3.client(
            "sqs",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def _ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(f"{self.endpoint}{path}", method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return bytes(answer.read())


def names(client: Any) -> list[str]:
    """The names of all queues, sorted."""
    return sorted(url.rpartition("/")[2] for url in client.list_queues().get("QueueUrls", []))


def bodies(client: Any, name: str) -> list[str]:
    """What lies in a queue and can be seen now, in its order, without its being hidden or counted for long."""
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    found: list[str] = []
    while got := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60).get("Messages"):
        found += [one["Body"] for one in got]
    return found


def attributes(client: Any, name: str) -> dict[str, Any]:
    """A queue's attributes; its policies as JSON values."""
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    said = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return {key: json.loads(value) if value.startswith("{") else value for key, value in said.items()}
