"""What goes wrong between us and SQS, in our own words: what came, and what to do."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from taskbridge.errors import BackendNotInstalled, BrokerUnavailable, ConfigError, SoftTimeout
from taskbridge.sqs import client
from taskbridge.sqs.client import Client, NoQueue
from taskbridge.sqs.url import parse
from tests.meddler import JSON, Meddler, error
from tests.servers import free_port, in_time

PLAIN = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_PROFILE"), "")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's keys, no role of a machine."""
    for name in PLAIN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")


def asked(url: str, action: str = "get_queue_url", **words: str) -> object:
    return Client(parse(url), "sqs://shown").call(action, **(words or {"QueueName": "mail"}))


def test_no_region_is_asked_for():
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=r"which region.*AWS_DEFAULT_REGION.*region=eu-west-1"):
        asked("sqs://")


def test_no_keys_are_asked_for():
    """Wherever they may come from."""
    with pytest.raises(ConfigError, match=r"no AWS credentials.*AWS_ACCESS_KEY_ID.*a role.*in the URL"):
        asked("sqs://?region=eu-west-1")


def test_keys_and_region_may_come_from_the_aws_variables(meddler: Meddler, monkeypatch: pytest.MonkeyPatch):
    """As everywhere in AWS; so may the endpoint."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{meddler.port}")

    with pytest.raises(NoQueue):
        asked("sqs://")


@pytest.mark.parametrize(
    ("code", "kind", "what"),
    [
        ("AccessDenied", ConfigError, r"denies sqs:GetQueueUrl: AccessDenied.*docs/brokers.md"),
        ("InvalidClientTokenId", ConfigError, "does not know who asks.*credentials, and the region"),
        ("SignatureDoesNotMatch", ConfigError, "does not know who asks"),
        ("QueueDoesNotExist", NoQueue, "no such queue"),
        ("ThrottlingException", BrokerUnavailable, "refuses GetQueueUrl: ThrottlingException"),
        ("ExpiredToken", BrokerUnavailable, "ExpiredToken"),
        ("InternalFailure", BrokerUnavailable, "InternalFailure"),
    ],
)
def test_what_sqs_says_is_told(meddler: Meddler, code: str, kind: type[Exception], what: str):
    """With where and which region, for a wrong one looks like a missing queue."""
    meddler.meddle = lambda action, words: error(code)

    with pytest.raises(kind, match=what) as raised:
        asked(meddler.url)

    assert "eu-west-1" in str(raised.value)
    assert kind is type(raised.value) or kind is BrokerUnavailable


def test_throttling_is_tried_again(meddler: Meddler):
    """Three times in all, by boto."""
    meddler.meddle = lambda action, words: error("ThrottlingException")

    with pytest.raises(BrokerUnavailable):
        asked(meddler.url)

    assert 3 == meddler.asked["GetQueueUrl"]


def test_a_poll_is_tried_once(meddler: Meddler):
    """Whoever polls asks again anyway, and an answer that was lost hides messages."""
    meddler.meddle = lambda action, words: error("InternalFailure", 500)

    with pytest.raises(BrokerUnavailable):
        Client(parse(meddler.url), "").call("receive_message", polls=True, QueueUrl="http://x/1/q", WaitTimeSeconds=1)

    assert 1 == meddler.asked["ReceiveMessage"]


@pytest.mark.parametrize(
    "answer",
    [
        (200, "text/html", b"<html>Welcome to nginx</html>"),
        (200, "application/x-amz-json-1.0", b"{ this is no JSON"),
        (404, "text/html", b"<html>not found</html>"),
        (502, "text/html", b"<html>bad gateway</html>"),
        (200, "text/plain", b""),
    ],
)
def test_an_endpoint_that_answers_garbage_is_away(meddler: Meddler, answer: tuple[int, str, bytes]):
    """A page of words is no answer, least of all one that says that nothing is there."""
    meddler.meddle = lambda action, words: answer

    with pytest.raises(BrokerUnavailable, match=r"sqs://shown"):
        asked(meddler.url, "send_message", QueueUrl="http://x/1/q", MessageBody="b", expects="MessageId")
    with pytest.raises(BrokerUnavailable, match=r"sqs://shown"):
        asked(meddler.url, QueueName="mail", expects="QueueUrl")
    if answer[1] != JSON:  # an answer in JSON's name that is none says that nothing is there
        with pytest.raises(BrokerUnavailable, match=r"sqs://shown"):
            asked(meddler.url, "receive_message", QueueUrl="http://x/1/q")


def test_nobody_there_is_away():
    """Within seconds."""

    def ask() -> None:
        with pytest.raises(BrokerUnavailable, match=r"is away"):
            asked(f"sqs://k:s@127.0.0.1:{free_port()}?is_secure=false")

    in_time(ask, 10)


def test_who_hangs_up_is_away(meddler: Meddler):
    """In the middle of a request."""
    meddler.hangs_up = True

    with pytest.raises(BrokerUnavailable, match=r"is away"):
        asked(meddler.url)


def test_a_fork_asks_by_connections_of_its_own(meddler: Meddler):
    """What its parent has open is its parent's."""
    here = Client(parse(meddler.url), "")
    with pytest.raises(NoQueue):
        here.call("get_queue_url", QueueName="mail")
    mine = here._client(polls=False)

    pid = os.fork()
    if pid == 0:
        try:
            here.call("get_queue_url", QueueName="mail")
        except NoQueue:
            os._exit(0 if here._client(polls=False) is not mine else 1)
        os._exit(2)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert mine is here._client(polls=False)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    """With what to install; nothing else of taskbridge needs it."""
    monkeypatch.setattr(client, "find_spec", lambda name: None)

    with pytest.raises(BackendNotInstalled, match=r"pip install 'taskbridge\[sqs\]'"):
        Client(parse("sqs://"), "")


@pytest.mark.parametrize("polls", [True, False])
def test_a_soft_timeout_that_falls_into_botos_hands_comes_out(meddler: Meddler, *, polls: bool):
    """Boto wraps whatever is raised while it asks, and asks again; a task must meet it as what it is."""
    hung_up = threading.Event()
    meddler.meddle = lambda action, words: error("InternalFailure") if hung_up.wait(20) else None
    here = Client(parse(meddler.url), "")
    here._client(polls=polls)

    def interrupt(_signal: int, _frame: object) -> None:
        raise SoftTimeout("over")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.5)
        with pytest.raises(SoftTimeout, match=r"over"):
            here.call("get_queue_url", polls=polls, QueueName="mail")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        hung_up.set()
