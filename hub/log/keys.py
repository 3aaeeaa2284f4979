"""keys.v1: what was sealed and how to open it; and the end of keys that were thrown away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.log.config import consumer_config, producer_config
from hub.log.reader import Record
from hub.pipeline.data_keys import DataKey, Wrapping, read_id, read_key, record_key
from hub.pipeline.records import LogRecord
from hub.pipeline.sealed import is_sealed, key_id, opened, stub
from hub.settings import Kafka
from schemas.topics import KEYS

SILENT_S: Final = 10.0
"""How long to wait for Kafka without a record before that is a failure."""
POLL_S: Final = 0.2
AT_ONCE: Final = 2_000


RecordAt: TypeAlias = Callable[[int, int], Record | None]
"""By partition and offset of events.v1: see `LogReader.record`."""


class Some(NamedTuple):
    """What keys.v1 says from one offset to `end`, which is outside. `gone`: ids that were thrown away."""

    keys: list[DataKey]
    gone: list[bytes]
    end: int


class KeyLog:
    """Reads keys.v1, and throws keys away there. Connects when it is first asked. For one thread."""

    def __init__(self, kafka: Kafka, namespace: str) -> None:
        """Does not connect yet."""
        self._topic = KEYS.name(namespace)
        self._kafka = kafka
        self._group = f"{namespace}.keys"
        self._admin = LogAdmin(kafka, namespace)
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._next = -1

    def close(self) -> None:
        """End the connections."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def topic_id(self) -> str:
        """The broker's id of the topic. Raises Unavailable."""
        return self._admin.topic_id(KEYS)

    def since(self, begin: int) -> Iterator[Some]:
        """
        What the topic says from this offset on up to its end as it is now, in parts.

        Raises: Unavailable.
        """
        end = self._admin.end_offsets(KEYS)[0]
        while begin < end:
            some = self._some(begin)
            yield some
            begin = some.end

    def _some(self, begin: int) -> Some:
        consumer, start = self._reading(begin), begin
        keys: list[DataKey] = []
        gone: list[bytes] = []
        heard_s = time.monotonic()
        while True:
            messages = consumer.consume(1, POLL_S)
            if messages:
                messages += consumer.consume(AT_ONCE, 0)
            for message in messages:
                error, offset = message.error(), message.offset() or 0
                if error is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        self._next = -1
                        raise Unavailable("kafka", f"{self._topic} cannot be read: {error.str()}")
                    begin = max(begin, offset)  # what lies between was thrown away, and compacted
                elif offset >= start:
                    begin = offset + 1
                    _add(message, keys, gone)
            if begin > start:
                self._next = begin
                return Some(keys, gone, begin)
            if time.monotonic() - heard_s > SILENT_S:
                self._next = -1
                raise Unavailable("kafka", f"nothing of {self._topic} within {SILENT_S:g} s")

    def _reading(self, begin: int) -> Consumer:
        """A consumer that comes to this offset, perhaps by way of some before it."""
        if self._consumer is None:
            # the group is never joined and nothing is committed, but librdkafka wants a name. Where offset 0 is gone,
            # what is left begins
            config = consumer_config(
                self._kafka, self._group, **{"enable.partition.eof": True, "auto.offset.reset": "earliest"}
            )
            self._consumer = Consumer(config)
            self._next = -1
        if not 0 <= begin - self._next <= AT_ONCE or self._next < 0:
            self._consumer.assign([TopicPartition(self._topic, 0, begin)])
        self._next = begin
        return self._consumer

    def throw_away(self, ids: Sequence[bytes]) -> None:
        """Return when Kafka has it that these are gone. Raises Unavailable: ask again."""
        failed: list[KafkaError] = []
        producer = self._producer = self._producer or Producer(producer_config(self._kafka))

        def delivered(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failed.append(error)

        try:
            for id in ids:
                producer.produce(self._topic, None, record_key(id), on_delivery=delivered)
            left = producer.flush(self._kafka.delivery_timeout_s + 1)
        except (BufferError, KafkaException) as exc:
            raise Unavailable("kafka", f"{self._topic} takes nothing now: {exc}") from exc
        if left or failed:
            why = failed[0].str() if failed else "no acknowledgement within the time set"
            raise Unavailable("kafka", f"{self._topic} does not have it yet which keys were thrown away: {why}")


def _add(message: Message, keys: list[DataKey], gone: list[bytes]) -> None:
    id, value = read_id(message.key() or b""), message.value()
    if id is None:
        return  # somebody else's
    if value is None:
        gone.append(id)
        return
    key = read_key(id, value)
    if key is not None:
        keys.append(key)


class KeyStore(Protocol):
    """What is asked of the store: see `hub.store.port.DataKeys`."""

    def data_keys(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Wrapped keys by id."""
        ...

    def keys_read(self, topic_id: str) -> int:
        """Next offset to keep."""
        ...


def opening(record_at: RecordAt, store: KeyStore, wrapping: Wrapping) -> RecordAt:
    """`record_at`, its records as they were before they were sealed; None also for one whose key was thrown away."""

    def opened_at(partition: int, offset: int) -> Record | None:
        record = record_at(partition, offset)
        if record is None or not is_sealed(record.value):
            return record
        id = key_id(record.value)
        wrapped = store.data_keys([id]).get(id)
        return None if wrapped is None else record._replace(value=opened(record.value, wrapped, wrapping))

    return opened_at


class KeepingStore(KeyStore, Protocol):
    """One that may be written."""

    def keep_keys(
        self, topic_id: str, begin: int, end: int, keys: Sequence[DataKey], gone: Sequence[bytes], *, at_ms: int
    ) -> bool:
        """False: others have kept it already."""
        ...


class Opener:
    """
    Opens sealed records. A key that the store does not have is on keys.v1 behind what the store has of that: it was
    acknowledged before its record was sent. One that is not there either was thrown away.

    Records that are not sealed cost a look at their first bytes. For one thread.
    """

    def __init__(self, log: KeyLog, store: KeyStore, wrapping: Wrapping) -> None:
        """What it finds on keys.v1 it keeps in memory, until it is asked for other records."""
        self._log = log
        self._store = store
        self._wrapping = wrapping

    def close(self) -> None:
        """End the connections to Kafka."""
        self._log.close()

    def open(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """
        These records as they were before they were sealed; what was thrown away says so.

        Raises: Unavailable. Refused: see `Wrapping.unwrap`.
        """
        ids = {key_id(record.value) for record in records if is_sealed(record.value)}
        if not ids:
            return [*records]
        keys = self._store.data_keys([*ids])
        missing = ids - keys.keys()
        if missing:
            keys |= self._found(missing)
        return [self._opened(record, keys) if is_sealed(record.value) else record for record in records]

    def _found(self, missing: set[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for some in self._log.since(self._store.keys_read(self._log.topic_id())):
            found.update((key.id, key.wrapped) for key in some.keys if key.id in missing)
            for id in some.gone:
                found.pop(id, None)
        return found

    def _opened(self, record: LogRecord, keys: dict[bytes, bytes]) -> LogRecord:
        wrapped = keys.get(key_id(record.value))
        if wrapped is not None:
            return record._replace(value=opened(record.value, wrapped, self._wrapping))
        left = stub(record.value)
        return record if left is None else record._replace(value=left, is_shredded=True)


class KeepingOpener(Opener):
    """The collector's: what it finds on keys.v1 is in the store from then on."""

    def __init__(
        self,
        log: KeyLog,
        store: KeepingStore,
        wrapping: Wrapping,
        *,
        now_ms: Callable[[], int],
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """Args: now_ms: milliseconds since 1970. before: called before it writes to the store."""
        super().__init__(log, store, wrapping)
        self._keeping = store
        self._now_ms = now_ms
        self.before = before

    def _found(self, missing: set[bytes]) -> dict[bytes, bytes]:
        self.before()
        topic_id = self._log.topic_id()
        while not self._is_level(topic_id):
            pass  # another collector was quicker: from where it has come to
        return self._store.data_keys([*missing])

    def _is_level(self, topic_id: str) -> bool:
        begin = self._store.keys_read(topic_id)
        for some in self._log.since(begin):
            if not self._keeping.keep_keys(topic_id, begin, some.end, some.keys, some.gone, at_ms=self._now_ms()):
                return False
            begin = some.end
        return True
