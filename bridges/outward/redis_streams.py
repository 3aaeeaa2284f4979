"""A stream of a Redis or Valkey server as a target."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Final, cast

from pydantic import Field
from redis.asyncio import Redis

from bridges.base import Context
from bridges.outward.base import Denied, Later, Message, Rejected, Target, TargetSpec
from bridges.redis_link import FAILURES, RedisSettings, client, port_error
from hub.errors import Refused


class RedisStreamsSettings(RedisSettings, frozen=True, extra="forbid"):
    """Settings of a destination of type `redis_streams`."""

    stream: Annotated[str, Field(min_length=1, description="Key of the stream; made with the first entry.")]
    field: Annotated[str, Field(min_length=1, description="Field of an entry that holds the message.")] = "body"
    most_entries: Annotated[
        int, Field(ge=0, description="The oldest entries go when the stream has about so many. 0: none goes.")
    ] = 0
    replicas: Annotated[
        int, Field(ge=0, le=10, description="So many replicas must have it before it counts as sent.")
    ] = 0


class RedisStreamsTarget(Target):
    """Entries are added in one round, in their order, by the server's own ids."""

    def __init__(self, settings: RedisStreamsSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._redis: Redis | None = None

    async def connect(self) -> None:
        """See Target."""
        self._redis = client(self._settings, self._context)
        try:
            await self._redis.ping()
        except FAILURES as exc:
            raise port_error(exc, self._settings) from exc

    async def send(self, batch: Sequence[Message]) -> Sequence[Rejected]:
        """See Target. Rejects nothing: Redis takes any bytes, up to 512 MB."""
        settings = self._settings
        if self._redis is None:
            raise Later("the destination is closed")
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for message in batch:
                    fields: dict[Any, Any] = {settings.field: message.body, **message.headers()}
                    pipe.xadd(settings.stream, fields, maxlen=settings.most_entries or None, approximate=True)
                answers = await pipe.execute(raise_on_error=False)
            for place, answer in enumerate(answers):
                if isinstance(answer, Exception):
                    raise self._failure(answer, place)
            if settings.replicas:
                await self._wait(settings.replicas)
        except FAILURES as exc:
            raise port_error(exc, settings) from exc
        return ()

    async def close(self) -> None:
        """See Target."""
        redis, self._redis = self._redis, None
        if redis is not None:
            with suppress(*FAILURES):
                await redis.aclose()

    async def _wait(self, replicas: int) -> None:
        assert self._redis is not None
        found = await cast("Any", self._redis).wait(replicas, int(self._settings.timeout_s * 500))
        if int(found) < replicas:
            raise Later(f"only {found} of {replicas} replicas have it: look at them, or lower settings.replicas")

    def _failure(self, error: Exception, place: int) -> Later | Denied:
        """All before that place are there; what is behind it is sent again, or it would stand in front of it."""
        found = port_error(error, self._settings)
        kind = Denied if isinstance(found, Refused) else Later
        return kind(found.detail, sent=frozenset(range(place)), stuck=place)


SPEC: Final = TargetSpec(
    "redis_streams", "Add to a stream of a Redis or Valkey server.", RedisStreamsSettings, RedisStreamsTarget
)
