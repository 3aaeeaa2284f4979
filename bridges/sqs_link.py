"""An SQS queue as bridges and destinations reach it: settings, a client, and boto's errors in words."""

from __future__ import annotations

import threading
from functools import cache
from typing import Annotated, Any, ClassVar, Final

from botocore import exceptions as errors
from botocore.config import Config
from botocore.session import Session
from pydantic import Field

from bridges.aws_link import AwsServer, check_ca_file
from bridges.base import Context
from hub.definitions.secrets import resolve
from hub.errors import PortError, Refused, Unavailable

MOST: Final = 10
"""Messages in one request: SQS allows no more."""
ATTEMPTS: Final = 3
FAILURES: Final = (errors.BotoCoreError, errors.ClientError, OSError)
"""What a call may raise."""


class SqsServer(AwsServer, frozen=True, extra="forbid"):
    """
    Settings that say where a queue is, and who we are there.

    Attributes:
        rights: What AWS has to allow us.
        key_rights: The same for the key of an encrypted queue.
        slower: How to make fewer requests.
    """

    rights: ClassVar[str]
    key_rights: ClassVar[str]
    slower: ClassVar[str]

    queue: Annotated[
        str, Field(min_length=1, description="The queue: its name, or its URL if another account owns it.")
    ]


def client(
    settings: SqsServer, context: Context, *, connect_s: float, answer_s: float, attempts: int, connections: int
) -> Any:
    """
    A client of boto's, for several threads at once; it does not connect yet.

    Args:
        answer_s: An answer may take so long, seconds.
        attempts: Of one call.
        connections: At the same time.

    Raises: Refused: a variable or file that the settings name is not there. One of FAILURES: they make no client.
    """
    check_ca_file(settings, "source")
    keys = {
        "aws_access_key_id": settings.access_key_id or None,
        "aws_secret_access_key": resolve(settings.secret_access_key, context.environ) or None,
        "aws_session_token": resolve(settings.session_token, context.environ) or None,
    }
    with _making:
        return _session().create_client(
            "sqs",
            region_name=settings.region or None,
            endpoint_url=settings.endpoint_url or None,
            verify=settings.ca_file or None,
            config=Config(
                connect_timeout=connect_s,
                read_timeout=answer_s,
                retries={"total_max_attempts": attempts, "mode": "standard"},
                max_pool_connections=connections,
                tcp_keepalive=True,
            ),
            **keys,
        )


def queue_url(client: Any, settings: SqsServer) -> str:
    """What requests name the queue with. Raises one of FAILURES."""
    if "://" in settings.queue:
        return settings.queue
    return str(client.get_queue_url(QueueName=settings.queue)["QueueUrl"])


@cache
def _session() -> Session:
    """One for all that a process runs: it holds AWS's descriptions of its services, megabytes of them."""
    return Session()


_making: Final = threading.Lock()
"""A session makes one client at a time."""

_MEND: Final[tuple[tuple[type[Exception], str, type[PortError], str], ...]] = (
    (errors.NoRegionError, "", Refused, "set settings.region"),
    (
        errors.NoCredentialsError,
        "",
        Refused,
        "set settings.access_key_id and secret_access_key, or give the process a role",
    ),
    (errors.PartialCredentialsError, "", Refused, "set settings.access_key_id and settings.secret_access_key"),
    (
        errors.ClientError,
        "NonExistentQueue",
        Unavailable,
        "correct settings.queue and settings.region, or create the queue",
    ),
    (
        errors.ClientError,
        "QueueDoesNotExist",
        Unavailable,
        "correct settings.queue and settings.region, or create the queue",
    ),
    (errors.ClientError, "InvalidClientTokenId", Refused, "correct settings.access_key_id"),
    (errors.ClientError, "UnrecognizedClient", Refused, "correct settings.access_key_id"),
    (errors.ClientError, "InvalidAccessKeyId", Refused, "correct settings.access_key_id"),
    (
        errors.ClientError,
        "SignatureDoesNotMatch",
        Refused,
        "correct settings.secret_access_key, or this machine's clock",
    ),
    (errors.ClientError, "InvalidSecurity", Refused, "correct settings.access_key_id and settings.secret_access_key"),
    (errors.ClientError, "ExpiredToken", Refused, "renew settings.session_token"),
    (errors.ClientError, "KMS", Refused, "allow {key_rights} with the key of the queue"),
    (
        errors.ClientError,
        "AccessDenied",
        Refused,
        "allow {rights}",
    ),
    (errors.ClientError, "Throttl", Unavailable, "SQS asks for fewer requests: {slower}"),
    (
        errors.ClientError,
        "OverLimit",
        Unavailable,
        "too many messages of the queue are in flight: does another reader hold them?",
    ),
    (errors.SSLError, "CERTIFICATE_VERIFY", Refused, "name the authority in settings.ca_file"),
    (errors.SSLError, "", Refused, "does the server speak TLS? Else write http:// in settings.endpoint_url"),
    (
        errors.EndpointConnectionError,
        "",
        Unavailable,
        "does a server run there, and is settings.endpoint_url or region right?",
    ),
    (
        errors.ConnectTimeoutError,
        "",
        Unavailable,
        "is settings.endpoint_url right, and does a firewall let us through?",
    ),
    (errors.ReadTimeoutError, "", Unavailable, "the server does not answer: is it overloaded, or the network cut?"),
    (errors.HTTPClientError, "", Unavailable, "is settings.endpoint_url right: http or https, host, port?"),
)
"""Error, words in its text, what it is, how to mend it, with settings' class attributes in it; the first that fits."""


def port_error(exc: Exception, settings: SqsServer) -> PortError:
    """What an error of boto's means: what happened, where, and how to mend it."""
    words = f"{exc} [{exc.response.get('Error', {}).get('Code')}]" if isinstance(exc, errors.ClientError) else str(exc)
    place = f"queue {settings.queue} at {settings.endpoint_url or settings.region or 'AWS'}"
    for error, text, kind, mend in _MEND:
        if isinstance(exc, error) and text in words:
            todo = mend.format(rights=settings.rights, key_rights=settings.key_rights, slower=settings.slower)
            return kind("source", f"{place}: {words}. {todo[0].upper()}{todo[1:]}")
    return Unavailable("source", f"{place}: {words}")
