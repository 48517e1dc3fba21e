"""Ask SQS, and say what went wrong in our own words.

One pair of boto's clients per process: one for long polls, whose answers take their time and which are not repeated;
one for all else, which boto tries three times. A fork begins with new ones.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from ..errors import BackendNotInstalled, BrokerUnavailable, ConfigError, PayloadTooLarge, SoftTimeout
from .url import Address

#: How long a long poll may last: the most that SQS allows. Source: Amazon SQS API Reference, ReceiveMessage.
POLL_S = 20

#: How long to wait for a connection, and for an answer beyond what was asked for, seconds.
CONNECT_S = 3.0
ANSWER_S = 10.0

#: How often boto tries what it may try again: no answer, throttling, a server's error.
TRIES = 3

#: Connections of one process: receivers beyond them wait for each other.
CONNECTIONS = 64

#: Codes that say that there is no such queue; that somebody may not; and that somebody is not known.
#: Source: Amazon SQS API Reference, "Common Errors" and the errors of each action.
_NO_QUEUE = {"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "KmsAccessDenied",
    "AuthorizationError",
    "NotAuthorized",
    "OptInRequired",
}
_UNKNOWN = {
    *("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "IncompleteSignature"),
    *("InvalidAccessKeyId", "AuthFailure", "MissingAuthenticationToken", "InvalidSecurity"),
}

#: What it says of one message, or of several together, that a queue does not take: its ``MaximumMessageSize`` counts.
_LONG = "Message must be shorter than"
_LONG_TOGETHER = {"BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"}

#: Held while a client is made, so that a fork meets no half-made one, and no lock that nobody will release.
_making = threading.Lock()
os.register_at_fork(before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release)


class NoQueue(ConfigError):
    """There is no such queue."""


class Refused(BrokerUnavailable):
    """It answers, and says no: throttled, in trouble, or it does not take what it was asked for."""


class Client:
    """SQS at one address.

    Args:
        address: where it is.
        shown: its URL as it may be shown.

    Raises:
        BackendNotInstalled: boto3 is missing.
    """

    def __init__(self, address: Address, shown: str) -> None:
        if find_spec("botocore") is None:
            raise BackendNotInstalled("a broker on SQS needs the package 'boto3': pip install 'taskbridge[sqs]'")
        self.shown = shown
        self._address = address
        self._session: Any = None
        self._pid = 0
        self._clients: dict[bool, Any] = {}

    def load(self) -> None:
        """Read what boto reads before it asks anything, so that a process that forks has it once. Opens nothing."""
        import botocore.parsers  # noqa: F401

        loader = self._boto().get_component("data_loader")
        self._boto().get_service_model("sqs")
        for data in ("endpoints", "partitions", "sdk-default-configuration"):
            loader.load_data(data)

    def call(self, action: str, *, polls: bool = False, expects: str = "", **words: Any) -> Mapping[str, Any]:
        """Ask for an action of SQS by boto's name of it.

        Args:
            action: such as ``send_message``.
            polls: it may take as long as a long poll, and is not tried again.
            expects: a word that its answer must have. Defaults to none.
            words: its parameters, as SQS calls them.

        Raises:
            NoQueue: there is no such queue.
            PayloadTooLarge: it does not take a message, or several together, of that size.
            ConfigError: somebody may not, is not known, or boto does not know where to go.
            BrokerUnavailable: no answer, one that cannot be read, or one that says "not now".
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            answer: Mapping[str, Any] = getattr(self._client(polls=polls), action)(**words)
        except ClientError as error:
            raise self._refused(action, error) from error
        except BotoCoreError as error:
            _interrupted(error)
            raise self._failed(error) from error
        except ResponseParserError as error:
            raise self._garbage(str(error)) from error
        except ValueError as error:  # what boto makes of a host that cannot be
            raise ConfigError(f"{self.shown}: {error}") from error
        kind = answer["ResponseMetadata"]["HTTPHeaders"].get("content-type", "json")
        if "json" not in kind:  # boto takes a page of words for an answer that says nothing
            raise self._garbage(f"its content type is {kind}")
        if expects and expects not in answer:
            raise self._garbage(f"there is no {expects} in it")
        return answer

    def close(self) -> None:
        """Give the connections back."""
        clients, self._clients = self._clients, {}
        if self._pid == os.getpid():
            for client in clients.values():
                client.close()

    def _client(self, *, polls: bool) -> Any:
        if self._pid == os.getpid() and polls in self._clients:
            return self._clients[polls]
        with _making:
            if self._pid != os.getpid():
                self._pid, self._clients = os.getpid(), {}
            if polls not in self._clients:
                self._clients[polls] = self._new(polls=polls)
            return self._clients[polls]

    def _new(self, *, polls: bool) -> Any:
        from botocore.config import Config

        region = self._address.region or self._boto().get_config_variable("region")
        if not region:
            raise ConfigError(
                f"{self.shown}: which region? Set AWS_DEFAULT_REGION, or say it in the URL: sqs://?region=eu-west-1"
            )
        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=ANSWER_S + polls * POLL_S,
            retries={"mode": "standard", "total_max_attempts": 1 if polls else TRIES},
            max_pool_connections=CONNECTIONS,
            parameter_validation=False,  # ours are right, and looking costs as much as sending
            tcp_keepalive=True,
        )
        endpoint = self._address.endpoint or None
        return self._boto().create_client("sqs", region_name=region, endpoint_url=endpoint, config=config)

    def _boto(self) -> Any:
        """Return boto's session: files that were read and keys that were found, and no connection."""
        if self._session is None:
            from botocore.session import Session

            session = Session()
            if self._address.key:
                session.set_credentials(self._address.key, self._address.secret)
            self._session = session
        return self._session

    def _refused(self, action: str, error: Any) -> Exception:
        """Return our error for an answer that says no."""
        said = error.response.get("Error", {})
        code = str(said.get("Code", "")).rpartition("#")[2] or "an error"
        text = f"{code}: {said.get('Message') or 'no more is said'}"
        where = f"{self.shown} ({self._region()})"
        verb = "".join(word.capitalize() for word in action.split("_"))
        if code in _NO_QUEUE:
            return NoQueue(f"{where}: there is no such queue: {text}")
        if code in _DENIED or code == "403":  # a status, where whoever says no speaks another protocol
            return ConfigError(f"{where} denies sqs:{verb}: {text}; see the policy in docs/brokers.md")
        if code in _UNKNOWN:
            return ConfigError(f"{where} does not know who asks: {text}; see the AWS credentials, and the region")
        if _LONG in text or code in _LONG_TOGETHER:
            return PayloadTooLarge(f"{where} refuses {verb}: {text}: save the data and pass its id")
        return Refused(f"the broker {where} refuses {verb}: {text}")

    def _failed(self, error: Any) -> Exception:
        """Return our error for no answer, or none that makes sense."""
        from botocore import exceptions as boto

        if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError):
            return ConfigError(
                f"{self.shown}: no AWS credentials ({error}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a "
                f"profile or a role, or say key and secret in the URL, before its host"
            )
        if isinstance(error, boto.HTTPClientError | boto.ConnectionError | boto.MetadataRetrievalError):
            return BrokerUnavailable(f"the broker {self.shown} is away: {error}")
        return ConfigError(f"{self.shown}: {error}")

    def _garbage(self, why: str) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"the broker {self.shown} answers what SQS does not ({why[:200]}): is the host right, and is_secure=?"
        )

    def _region(self) -> str:
        client = next(iter(self._clients.values()), None)
        return client.meta.region_name if client else self._address.region or "no region"


def reasons(answer: Mapping[str, Any]) -> str:
    """Return why some entries of a batch were refused."""
    said = {f"{one.get('Code')}: {one.get('Message')}" for one in answer.get("Failed", ())}
    return "; ".join(sorted(said)) or "it does not say why"


def _interrupted(error: Any) -> None:
    """Raise a soft timeout that fell into boto's hands, which wraps whatever is raised while it sends."""
    cause = getattr(error, "kwargs", {}).get("error")
    if isinstance(cause, SoftTimeout):
        raise cause
