"""The files that a ROS 2 bag consists of, MCAP and sqlite3, read without ROS and metadata.yaml.

What metadata.yaml says of topics and files is left aside: it is missing where a recorder was
killed, and wrong where it was edited or the bag was merged.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
import heapq
from itertools import count
from pathlib import Path
import sqlite3
import struct
from typing import Any
from urllib.parse import quote

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.records import Channel, Chunk, McapRecord, Message as McapMessage, Schema, Statistics
from mcap.stream_reader import breakup_chunk
from rosbags.interfaces import Qos
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.metadata import parse_qos
import zstandard

_MAGIC = b'\x89MCAP0\r\n'
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'

#: What reading a damaged MCAP raises: mcap, its compressions, and it does not catch short data.
_MCAP_ERRORS = (McapError, struct.error, ValueError, zstandard.ZstdError, EOFError, RuntimeError)


class BagError(Exception):
    """A bag, or the rest of it, cannot be read; the message names the file and the reason."""


@dataclass(frozen=True)
class Topic:
    """A topic of a bag."""

    name: str
    type: str  #: such as sensor_msgs/msg/Image
    count: int  #: of its messages
    encoding: str = 'cdr'  #: of its messages
    definition: bytes = b''  #: of its type, with those that it uses; empty where unknown
    definition_format: str = 'ros2msg'
    metadata: tuple[tuple[str, str], ...] = ()  #: key, value: QoS (YAML), hash of the type

    @property
    def offered_qos(self) -> list[Qos]:
        """What each of its publishers offered; empty where unknown."""
        try:
            return parse_qos(dict(self.metadata).get('offered_qos_profiles', ''))
        except (ReaderError, KeyError, TypeError):  # written by a recorder of its own kind
            return []


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it stands in a bag."""

    topic: str
    log_time: int  #: when it was recorded [ns]
    data: bytes  #: as its topic's encoding has it
    publish_time: int  #: when it was published [ns]; the log time where unknown
    sequence: int  #: of its publisher; 0 where unknown


def in_time_order(
    sources: Iterable[tuple[int, Callable[[], Iterable[Message]]]],
) -> Iterator[Message]:
    """Merge messages by log time; those of one time keep the order of their sources.

    :param sources: of each the first log time, and what gives its messages by log time. It is
        called when their time has come, so that few of the sources are in memory.
    """
    waiting = sorted(enumerate(sources), key=lambda source: source[1][0], reverse=True)
    heap: list[tuple[int, int, int, Message, Iterator[Message]]] = []
    tie = count()
    while waiting or heap:
        while waiting and (not heap or waiting[-1][1][0] <= heap[0][0]):
            order, (_, source) = waiting.pop()
            messages = iter(source())
            if first := next(messages, None):
                heapq.heappush(heap, (first.log_time, order, next(tie), first, messages))
        if heap:
            _, order, _, message, messages = heap[0]
            yield message
            if following := next(messages, None):
                heapq.heapreplace(heap, (following.log_time, order, next(tie), following, messages))
            else:
                heapq.heappop(heap)


def open_storage(path: Path) -> 'McapFile | SqliteFile':
    """Open one file of a bag, ``.mcap`` or ``.db3``.

    :raises BagError: when there is nothing in it to read.
    """
    try:
        return (McapFile if path.suffix == '.mcap' else SqliteFile)(path)
    except OSError as error:
        raise BagError(f'{path}: {error.strerror}') from error


class McapFile:
    """An MCAP file, also one that was cut off, has no index, or holds more than ROS messages.

    :raises BagError: when it is none.
    :raises OSError: when it does not open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: What is wrong with the file although it can be read; '' for nothing.
        self.damage = ''
        self._stream = path.open('rb')
        self._size = path.stat().st_size
        if self._stream.read(len(_MAGIC)) != _MAGIC:
            raise BagError(f'{path}: ' + ('is empty' if self._size == 0 else 'is no MCAP file'))
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._counts: dict[int, int] | None = None
        # (first log time, offset of the record, whether it is a chunk)
        self._parts: list[tuple[int, int, bool]] = []
        if not self._read_summary():
            self._walk()
        #: By name.
        self.topics = self._topics(self._counted() if self._counts is None else self._counts)
        #: Log time of the first message [ns]; None without messages.
        self.start = min((start for start, _, _ in self._parts), default=None)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Give the messages of some topics by log time, those of one time as they were written.

        :raises BagError: where the file is damaged.
        """
        wanted = {
            number: channel.topic
            for number, channel in self._channels.items()
            if channel.topic in topics
        }
        return in_time_order(
            (start, partial(self._read, offset, is_chunk, wanted))
            for start, offset, is_chunk in self._parts
        )

    def _read(self, offset: int, is_chunk: bool, wanted: dict[int, str]) -> list[Message]:
        found = [
            Message(
                wanted[record.channel_id],
                record.log_time,
                record.data,
                record.publish_time,
                record.sequence,
            )
            for record in (self._chunk(offset) if is_chunk else [self._record(offset)])
            if isinstance(record, McapMessage) and record.channel_id in wanted
        ]
        found = [_uncompressed(message) for message in found]
        return sorted(found, key=lambda message: message.log_time)

    def _chunk(self, offset: int) -> list[McapRecord]:
        try:
            self._stream.seek(offset + 9)  # opcode, length
            return breakup_chunk(Chunk.read(ReadDataStream(self._stream)), validate_crc=True)
        except _MCAP_ERRORS as error:
            raise BagError(f'{self.path}: damaged at byte {offset}: {error}') from error

    def _record(self, offset: int) -> McapMessage:
        self._stream.seek(offset)
        _, length = struct.unpack('<BQ', self._stream.read(9))
        message: McapMessage = McapMessage.read(ReadDataStream(self._stream), length)
        return message

    def _read_summary(self) -> bool:
        """Take the index from the end of the file; False where there is none, or of no chunks."""
        try:
            self._stream.seek(0)
            summary = make_reader(self._stream).get_summary()
        except (*_MCAP_ERRORS, OSError):
            return False
        if summary is None or not summary.chunk_indexes or not summary.statistics:
            return False
        self._schemas, self._channels = summary.schemas, summary.channels
        self._counts = summary.statistics.channel_message_counts
        self._parts = [
            (index.message_start_time, index.chunk_start_offset, True)
            for index in summary.chunk_indexes
        ]
        return True

    def _walk(self) -> None:
        """Go from record to record, over what is in them, as far as the file is whole."""
        offset, opcode = len(_MAGIC), None
        while offset + 9 <= self._size and opcode != Opcode.FOOTER:
            self._stream.seek(offset)
            opcode, length = struct.unpack('<BQ', self._stream.read(9))
            if offset + 9 + length > self._size or opcode == 0:
                break
            stream = ReadDataStream(self._stream)
            try:
                if opcode == Opcode.SCHEMA:
                    self._keep(Schema.read(stream))
                elif opcode == Opcode.CHANNEL:
                    self._keep(Channel.read(stream))
                elif opcode == Opcode.STATISTICS:
                    self._counts = Statistics.read(stream).channel_message_counts
                elif opcode == Opcode.CHUNK:
                    self._parts.append((stream.read8(), offset, True))
                elif opcode == Opcode.MESSAGE:
                    _channel, _sequence, log_time = struct.unpack('<HIQ', stream.read(14))
                    self._parts.append((log_time, offset, False))
            except _MCAP_ERRORS as error:
                self.damage = f'{self.path}: damaged at byte {offset}: {error}'
                return
            offset += 9 + length
        if opcode != Opcode.FOOTER:
            self.damage = (
                f'{self.path}: cut off after byte {offset} of {self._size}, as when a '
                'recorder is killed'
            )

    def _keep(self, record: McapRecord) -> None:
        if isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel):
            self._channels[record.id] = record

    def _counted(self) -> dict[int, int]:
        """Count the messages, and find the channels and schemas that stand in chunks only."""
        counts: dict[int, int] = Counter()
        for position, (_, offset, is_chunk) in enumerate(self._parts):
            try:
                records = self._chunk(offset) if is_chunk else [self._record(offset)]
            except BagError as error:
                self.damage = str(error)
                self._parts = self._parts[:position]
                break
            for record in records:
                if isinstance(record, McapMessage):
                    counts[record.channel_id] += 1
                else:
                    self._keep(record)
        return counts

    def _topics(self, counts: dict[int, int]) -> dict[str, Topic]:
        topics: dict[str, Topic] = {}
        for number, channel in self._channels.items():
            schema = self._schemas.get(channel.schema_id) or Schema(0, b'', '', '')
            before = topics[channel.topic].count if channel.topic in topics else 0
            topics[channel.topic] = Topic(
                channel.topic,
                schema.name,
                before + counts.get(number, 0),
                channel.message_encoding,
                schema.data,
                schema.encoding,
                tuple(channel.metadata.items()),
            )
        return topics


class SqliteFile:
    """A sqlite3 file of a bag, also one that was cut off.

    :raises BagError: when it is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ''  #: as of an McapFile
        if path.stat().st_size == 0:
            raise BagError(f'{path}: is empty')
        try:
            self._database = self._open()
            self._topics = {row['id']: row for row in self._rows('SELECT * FROM topics')}
        except sqlite3.Error as error:
            raise BagError(f'{path}: is no sqlite3 bag: {error}') from error
        try:
            counts = dict(
                self._database.execute('SELECT topic_id, count(*) FROM messages GROUP BY topic_id')
            )
            self.start: int | None = self._database.execute(
                'SELECT min(timestamp) FROM messages'
            ).fetchone()[0]
        except sqlite3.DatabaseError as error:
            self.damage = f'{path}: damaged: {error}'
            counts = Counter(number for (number,) in self._intact('topic_id'))
            #: Log time of the first message [ns]; None without messages.
            self.start = min((log_time for (log_time,) in self._intact('timestamp')), default=None)
        self.topics = self._named(counts)  #: by name

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Give the messages of some topics by log time, those of one time as they were written.

        Of a damaged file those before the damage, as they were written.

        :raises BagError: where the file is damaged after all.
        """
        names = {
            number: row['name'] for number, row in self._topics.items() if row['name'] in topics
        }
        if self.damage:
            rows = self._intact('topic_id, timestamp, data')
        else:
            rows = iter(
                self._database.execute(
                    'SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN '
                    f'({",".join(map(str, names))}) ORDER BY timestamp, id'
                )
            )
        try:
            for number, log_time, data in rows:
                if number in names:
                    yield _uncompressed(Message(names[number], log_time, data, log_time, 0))
        except sqlite3.DatabaseError as error:
            raise BagError(f'{self.path}: damaged: {error}') from error

    def _open(self) -> sqlite3.Connection:
        place = f'file:{quote(str(self.path.resolve()))}?'
        try:
            database = sqlite3.connect(f'{place}mode=ro', uri=True, check_same_thread=False)
            database.execute('SELECT * FROM topics')
        except sqlite3.OperationalError:  # it wants to tidy up, in a folder without permission
            database = sqlite3.connect(f'{place}immutable=1', uri=True, check_same_thread=False)
        except sqlite3.DatabaseError:  # shorter than it says: this opens what there is
            database.execute('PRAGMA writable_schema=ON')
        return database

    def _rows(self, query: str) -> list[dict[str, Any]]:
        """Give rows as dicts, because the tables have grown with the versions of rosbag2."""
        cursor = self._database.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor]

    def _intact(self, columns: str) -> Iterator[tuple[Any, ...]]:
        """Give the messages before the damage. Not by the index on time: that is damaged too."""
        try:
            yield from self._database.execute(f'SELECT {columns} FROM messages ORDER BY id')
        except sqlite3.DatabaseError:
            return

    def _named(self, counts: dict[int, int]) -> dict[str, Topic]:
        try:
            definitions = {
                row['topic_type']: row for row in self._rows('SELECT * FROM message_definitions')
            }
        except sqlite3.DatabaseError:  # Humble's files have none
            definitions = {}
        topics: dict[str, Topic] = {}
        for number, row in self._topics.items():
            definition = definitions.get(row['type'], {})
            metadata = {
                'offered_qos_profiles': row.get('offered_qos_profiles'),
                'topic_type_hash': row.get('type_description_hash'),
            }
            before = topics[row['name']].count if row['name'] in topics else 0
            topics[row['name']] = Topic(
                row['name'],
                row['type'],
                before + counts.get(number, 0),
                row['serialization_format'],
                definition.get('encoded_message_definition', '').encode(),
                definition.get('encoding', 'ros2msg'),
                tuple((key, value) for key, value in metadata.items() if value),
            )
        return topics


def _uncompressed(message: Message) -> Message:
    """Undo the compression of single messages, of which metadata.yaml alone would tell.

    The first bytes of CDR are never those of zstd.
    """
    if message.data[:4] != _ZSTD_MAGIC:
        return message
    return replace(message, data=zstandard.decompress(message.data))
