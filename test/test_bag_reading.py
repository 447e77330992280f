"""Bags of every kind, whole and broken: what is read from them."""

from dataclasses import replace
from pathlib import Path
import shutil
import sqlite3

from mcap.writer import CompressionType, Writer
import numpy as np
import pytest
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from emotion_perception.bag import list_topics
from emotion_perception.offline.images import choose_cameras, images_of_bag, topic_table
from emotion_perception.offline.messages import decode, definition, IMAGE, typestore
from emotion_perception.offline.processing import process, Settings
from emotion_perception.offline.recordings import Bag, find_recording, find_recordings
from emotion_perception.offline.storage import BagError

TOPIC = '/camera/image_raw'
SECOND = 10**9
FOREVER = QosTime(9223372036, 854775807)
QOS = Qos(
    QosHistory.KEEP_LAST,
    5,
    QosReliability.BEST_EFFORT,
    QosDurability.VOLATILE,
    FOREVER,
    FOREVER,
    QosLiveliness.AUTOMATIC,
    FOREVER,
    False,
)


def read(*places, cameras=None):
    """Read the images of one bag; return them and what is wrong with the bag."""
    (recording,) = find_recordings(places)
    with Bag(recording.paths) as bag:
        return list(images_of_bag(bag, choose_cameras(bag, cameras or {}))), bag.damage


def read_until_damage(place):
    """Return the images before the damage, and what is said of it."""
    (recording,) = find_recordings([place])
    images = []
    with Bag(recording.paths) as bag:
        try:
            images += images_of_bag(bag, choose_cameras(bag, {}))
        except BagError as error:
            return images, str(error)
        return images, bag.damage


@pytest.fixture(scope='module')
def frames(moving_face):
    return moving_face(12)


@pytest.fixture(scope='module')
def messages(bag_messages, frames):
    return bag_messages(frames)


def check(images, frames, exact=True):
    assert len(images) == len(frames)
    for image, frame in zip(images, frames):
        assert image.camera == 'camera' and image.header.frame_id == 'eye' and not image.problem
        if exact:
            np.testing.assert_array_equal(image.pixels, frame)
        else:
            assert np.abs(image.pixels.astype(int) - frame).mean() < 5
    assert [image.log_time - image.time_ns for image in images] == [5_000_000] * len(frames)


@pytest.mark.parametrize(
    'storage, compression',
    [
        ('mcap', 'none'),
        ('mcap', 'storage'),
        ('mcap', 'message'),
        ('mcap', 'file'),
        ('sqlite3', 'none'),
        ('sqlite3', 'message'),
        ('sqlite3', 'file'),
    ],
)
@pytest.mark.parametrize('metadata', [True, False])
def test_storage_and_compression(
    storage, compression, metadata, frames, messages, write_bag, tmp_path
):
    path = write_bag(tmp_path / 'bag', {TOPIC: messages}, storage, compression)
    if not metadata:
        (path / 'metadata.yaml').unlink()
    (file,) = (file for file in path.iterdir() if file.name != 'metadata.yaml')
    (path / f'._{file.name}').write_bytes(b'\0\5\26\7')  # as macOS leaves
    images, damage = read(path)
    check(images, frames)
    assert not damage
    lone, damage = read(Path(shutil.move(file, tmp_path)))
    check(lone, frames)


@pytest.mark.parametrize('kind', ['jpeg', 'png', '', 'rgb8; jpeg compressed bgr8', 'JPG'])
def test_compressed_images_whatever_their_format_says(
    kind, frames, bag_messages, write_bag, tmp_path
):
    path = write_bag(tmp_path / 'bag', {TOPIC + '/compressed': bag_messages(frames, kind)})
    check(read(path)[0], frames, exact=kind == 'png')


def test_padded_and_big_endian_images(frames, messages, write_bag, tmp_path):
    (time, padded), (later, deep) = messages[:2]
    rows = np.pad(frames[0].reshape(240, -1), ((0, 0), (0, 5)), constant_values=255)
    padded = replace(padded, step=965, data=rows.reshape(-1))
    grey = frames[1][..., 0]
    deep = replace(
        deep,
        encoding='mono16',
        is_bigendian=1,
        step=640,
        data=(grey.astype('>u2') * 256 + 7).astype('>u2').view(np.uint8).reshape(-1),
    )
    images, _ = read(write_bag(tmp_path / 'bag', {TOPIC: [(time, padded), (later, deep)]}))
    check(images, [frames[0], np.dstack([grey] * 3)])


def test_qos_that_was_edited_in_metadata(frames, messages, write_bag, tmp_path):
    path = write_bag(tmp_path / 'bag', {TOPIC: messages}, qos=[QOS])
    metadata = path / 'metadata.yaml'
    assert 'depth: 5' in metadata.read_text()
    metadata.write_text(metadata.read_text().replace('depth: 5', 'depth: 1'))
    check(read(path)[0], frames)
    metadata.write_text('nonsense: [')
    check(read(path)[0], frames)


def write_mcap(path, messages, profile='ros2', foreign=False, **options):
    """Write raw messages as other recorders do."""
    with path.open('wb') as file:
        writer = Writer(file, **options)
        writer.start(profile)
        if foreign:
            schema = writer.register_schema('Statistics', 'jsonschema', b'{}')
            channel = writer.register_channel('/statistics', 'json', schema)
            writer.add_message(channel, messages[0][0], b'{}', messages[0][0])
        schema = writer.register_schema(IMAGE, 'ros2msg', definition(IMAGE))
        channel = writer.register_channel(TOPIC, 'cdr', schema)
        for time, message in messages:
            writer.add_message(
                channel, time, bytes(typestore().serialize_cdr(message, IMAGE)), time - 7, 3
            )
        writer.finish()
    return path


@pytest.mark.parametrize('profile', ['', 'ros2', 'other'])
def test_mcap_of_any_profile_with_other_channels(profile, frames, messages, tmp_path):
    path = write_mcap(tmp_path / 'a.mcap', messages, profile, foreign=True)
    check(read(path)[0], frames)
    with Bag([path]) as bag:
        assert bag.topics['/statistics'].encoding == 'json'
        message = next(bag.messages({TOPIC}))
        assert (message.log_time - message.publish_time, message.sequence) == (7, 3)


@pytest.mark.parametrize(
    'options',
    [
        {'use_chunking': False},
        {'chunk_size': 1},
        {'chunk_size': 10**6},
        {'chunk_size': 10**9},
        {'compression': CompressionType.LZ4},
    ],
)
def test_mcap_out_of_order_is_read_by_log_time(options, frames, messages, tmp_path):
    disordered = [messages[i] for i in (1, 0, 3, 2, 11, 4, 5, 10, 6, 7, 9, 8)]
    check(read(write_mcap(tmp_path / 'a.mcap', disordered, **options))[0], frames)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_messages_of_one_log_time_keep_their_order(storage, frames, messages, write_bag, tmp_path):
    same = [(messages[0][0], message) for _, message in messages]
    images, _ = read(write_bag(tmp_path / 'bag', {TOPIC: same}, storage))
    for image, frame in zip(images, frames, strict=True):
        np.testing.assert_array_equal(image.pixels, frame)


def test_pieces_of_a_split_bag_are_merged_by_time(frames, messages, write_bag, tmp_path):
    bag = tmp_path / 'run'
    bag.mkdir()
    for number, part in enumerate((messages[6:], messages[1:6:2], messages[0:6:2])):
        piece = write_bag(tmp_path / 'piece', {TOPIC: part})
        shutil.move(piece / 'piece.mcap', bag / f'run_{number}.mcap')
        shutil.rmtree(piece)
    check(read(bag)[0], frames)
    (bag / 'run_3.mcap').touch()  # what a recorder leaves that is killed as it begins a piece
    images, damage = read(bag)
    check(images, frames)
    assert 'run_3.mcap: is empty' in damage


def test_a_packed_file_beside_the_same_unpacked_is_read_once(frames, messages, write_bag, tmp_path):
    packed = write_bag(tmp_path / 'bag', {TOPIC: messages}, compression='file') / 'bag.mcap.zstd'
    shutil.copy(write_bag(tmp_path / 'plain' / 'bag', {TOPIC: messages}) / 'bag.mcap', tmp_path)
    shutil.move(tmp_path / 'bag.mcap', tmp_path / 'bag')
    images, damage = read(tmp_path / 'bag')
    check(images, frames)
    assert not damage
    shutil.copy(packed, tmp_path / 'plain' / 'lone.mcap.zstd')
    assert len(find_recordings([tmp_path / 'plain'])) == 2
    (tmp_path / 'plain' / 'lone.mcap').touch()
    assert [item.name for item in find_recordings([tmp_path / 'plain'])] == ['bag', 'lone']


@pytest.mark.parametrize('options', [{'use_chunking': False}, {'chunk_size': 1}])
def test_truncated_mcap(options, frames, messages, tmp_path):
    path = write_mcap(tmp_path / 'a.mcap', messages, **options)
    content = path.read_bytes()
    for length in (len(content) - 1, len(content) * 2 // 3, len(content) // 3):
        path.write_bytes(content[:length])
        images, damage = read(path)
        expected = {len(content) - 1: 12, len(content) * 2 // 3: (7, 8), len(content) // 3: (3, 4)}
        assert len(images) in np.atleast_1d(expected[length])
        check(images, frames[: len(images)])
        # The footer's last byte is nothing that anybody needs.
        assert 'a.mcap: cut off after byte' in damage or length == len(content) - 1


def test_truncated_sqlite(frames, messages, write_bag, tmp_path):
    path = write_bag(tmp_path / 'bag', {TOPIC: messages}, 'sqlite3') / 'bag.db3'
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    images, damage = read(path)
    assert 4 <= len(images) <= 6
    check(images, frames[: len(images)])
    assert 'bag.db3: damaged: database disk image is malformed' in damage


def test_damaged_mcap_keeps_what_was_before(frames, messages, tmp_path):
    path = write_mcap(tmp_path / 'a.mcap', messages, chunk_size=1)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    images, damage = read_until_damage(path)
    assert 4 <= len(images) <= 7
    check(images, frames[: len(images)])
    assert 'a.mcap: damaged at byte' in damage


def test_old_sqlite_without_definitions(frames, messages, write_bag, tmp_path):
    path = write_bag(tmp_path / 'bag', {TOPIC: messages}, 'sqlite3') / 'bag.db3'
    with sqlite3.connect(path) as database:
        for change in (
            'DROP TABLE message_definitions',
            'DROP TABLE schema',
            'ALTER TABLE topics DROP COLUMN type_description_hash',
        ):
            database.execute(change)
    check(read(path)[0], frames)


def test_stamps_that_are_zero(frames, bag_messages, write_bag, tmp_path):
    messages = [
        (time + 17 * SECOND, message)
        for time, message in bag_messages(frames[:3], start=0, period=0)
    ]
    images, _ = read(write_bag(tmp_path / 'bag', {TOPIC: messages}))
    assert [image.time_ns for image in images] == [time for time, _ in messages]
    assert [bool(image.distrust) for image in images] == [True, False, False]
    assert images[0].distrust == 'the images have no stamp'


def test_an_empty_image_says_nothing_of_the_stamps(frames, bag_messages, write_bag, tmp_path):
    (time, first), *others = bag_messages(frames[:4], 'jpeg')
    stamp = replace(first.header.stamp, sec=0, nanosec=0)
    empty = replace(first, header=replace(first.header, stamp=stamp), data=np.zeros(0, np.uint8))
    images, _ = read(write_bag(tmp_path / 'bag', {TOPIC: [(time, empty), *others]}))
    assert images[0].pixels is None and not any(image.distrust for image in images)
    assert [image.log_time - image.time_ns for image in images[1:]] == [5_000_000] * 3


def test_stamps_that_run_backwards(frames, bag_messages, write_bag, tmp_path):
    first = bag_messages(frames[:3])
    second = [
        (first[-1][0] + SECOND + i, message)
        for i, (_, message) in enumerate(bag_messages(frames[:3], start=5 * SECOND))
    ]
    images, _ = read(write_bag(tmp_path / 'bag', {TOPIC: first + second}))
    assert [image.time_ns for image in images] == (
        [time - 5_000_000 for time, _ in first] + [5 * SECOND] + [time for time, _ in second[1:]]
    )
    assert [image.distrust != '' for image in images] == [False] * 4 + [True] + [False]
    assert images[4].distrust.startswith('the stamps of the images run backwards, from 17000000')


def test_a_stamp_that_is_a_little_late_is_no_reason_for_distrust(messages, write_bag, tmp_path):
    (time, _), (later, _) = messages[:2]
    swapped = [(time, messages[1][1]), (later, messages[0][1]), *messages[2:]]
    images, _ = read(write_bag(tmp_path / 'bag', {TOPIC: swapped}))
    assert not any(image.distrust for image in images)
    assert images[0].time_ns - images[1].time_ns == 33_333_333


def test_two_cameras_of_one_frame(frames, messages, write_bag, tmp_path):
    path = write_bag(tmp_path / 'bag', {'/left/image': messages, '/right/image': messages})
    with pytest.raises(BagError) as raised:
        read(path)
    assert str(raised.value) == (
        'which of the image topics is meant? name one or several, there are:\n'
        '  /left/image  (sensor_msgs/msg/Image, 12 messages, 320 x 240 bgr8)\n'
        '  /right/image  (sensor_msgs/msg/Image, 12 messages, 320 x 240 bgr8)'
    )
    images, _ = read(path, cameras={'/left/image': 'left', '/right/image': ''})
    assert [image.camera for image in images] == ['left', '/right/image'] * 12
    with pytest.raises(BagError, match='cameras have the same name'):
        read(path, cameras={'/left/image': 'eye', '/right/image': 'eye'})


def test_raw_and_compressed_of_one_camera_leave_no_doubt(
    frames, messages, bag_messages, write_bag, tmp_path
):
    path = write_bag(
        tmp_path / 'bag',
        {TOPIC: messages, TOPIC + '/compressed': bag_messages(frames, 'jpeg'), '/empty': []},
    )
    check(read(path)[0], frames)
    check(read(path, cameras={TOPIC + '/compressed': ''})[0], frames, exact=False)


def test_topics_that_cannot_be_read(messages, write_bag, tmp_path):
    clock = typestore().types['rosgraph_msgs/msg/Clock'](
        clock=typestore().types['builtin_interfaces/msg/Time'](sec=1, nanosec=0)
    )
    path = write_bag(tmp_path / 'bag', {TOPIC: messages, '/clock': [(1, clock)], '/empty': []})
    there = (
        f'  {TOPIC}  (sensor_msgs/msg/Image, 12 messages, 320 x 240 bgr8)\n'
        '  /clock  (rosgraph_msgs/msg/Clock, 1 messages)\n'
        '  /empty  (sensor_msgs/msg/Image, 0 messages)'
    )
    for topic, reason in (
        ('/other', 'there is no topic /other'),
        ('/empty', '/empty holds no message'),
        (
            '/clock',
            '/clock is of type rosgraph_msgs/msg/Clock, not sensor_msgs/msg/Image or '
            'sensor_msgs/msg/CompressedImage',
        ),
    ):
        with pytest.raises(BagError) as raised:
            read(path, cameras={topic: ''})
        assert str(raised.value) == f'{reason}; there are:\n{there}'
    with Bag([path / 'bag.mcap']) as bag:
        assert topic_table(bag) == there
    only = write_bag(tmp_path / 'only', {'/clock': [(1, clock)]})
    with pytest.raises(BagError, match='there is no topic with images in it, there are:\n  /clock'):
        read(only)


def test_unusable_images_say_why(frames, messages, write_bag, tmp_path):
    strange = [(time, replace(message, encoding='zebra')) for time, message in messages[:1]]
    images, _ = read(write_bag(tmp_path / 'bag', {TOPIC: strange + messages[1:]}))
    assert images[0].pixels is None and "unknown encoding 'zebra'" in images[0].problem
    assert all(image.pixels is not None for image in images[1:])


def test_what_is_no_message_says_so():
    with pytest.raises(ValueError, match='3 bytes are no sensor_msgs/msg/Image'):
        decode(b'abc', IMAGE)
    with pytest.raises(ValueError, match='no sensor_msgs/msg/Image'):
        decode(b'\0\1\0\0' + bytes(20), IMAGE)


@pytest.mark.parametrize(
    'name, content, reason',
    [
        ('a.mcap', b'', 'is empty'),
        ('a.mcap', b'text that is no bag', 'is no MCAP file'),
        ('a.db3', b'', 'is empty'),
        ('a.db3', b'text that is no bag' * 99, 'is no sqlite3 bag'),
        ('a.mcap.zstd', b'text', 'cannot be unpacked'),
    ],
)
def test_what_is_no_bag_says_so(name, content, reason, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match=reason):
        read(tmp_path / name)


def test_a_folder_of_anything(messages, write_bag, tmp_path):
    write_bag(tmp_path / 'run', {TOPIC: messages})
    shutil.copy(tmp_path / 'run' / 'run.mcap', tmp_path / 'lone.mcap')
    (tmp_path / 'day').mkdir()
    shutil.copytree(tmp_path / 'run', tmp_path / 'day' / 'run')
    for name in ('clip.mp4', 'clip.MOV', 'notes.txt', 'day/two.db3'):
        (tmp_path / name).touch()
    (tmp_path / 'out').mkdir()
    shutil.copytree(tmp_path / 'run', tmp_path / 'out' / 'run')
    names = [recording.name for recording in find_recordings([tmp_path], tmp_path / 'out')]
    assert names == ['clip.MOV', 'clip.mp4', 'day/run', 'day/two', 'lone', 'run']


def test_a_folder_that_cannot_be_read_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    (tmp_path / 'day' / 'bare').mkdir(parents=True)
    (tmp_path / 'day' / 'bare' / 'metadata.yaml').touch()
    (tmp_path / 'lost+found').mkdir()
    (tmp_path / 'two.db3').touch()
    listed = Path.iterdir

    def refused(path):  # root may list everything
        if path.name == 'lost+found':
            raise PermissionError(13, 'Permission denied')
        return listed(path)

    monkeypatch.setattr(Path, 'iterdir', refused)
    recordings = find_recordings([tmp_path])
    assert [item.name for item in recordings] == ['day/bare', 'lost+found', 'two']
    errors = [process(item, Settings(tmp_path / 'out')).error for item in recordings]
    assert 'day/bare: has a metadata.yaml, but no .mcap' in errors[0]
    assert errors[1] == f'{tmp_path}/lost+found: Permission denied'
    assert 'two.db3: is empty' in errors[2] and not (tmp_path / 'out').exists()
    assert list_topics(recordings).splitlines() == errors
    with pytest.raises(BagError, match='bare: has a metadata.yaml'):
        find_recording(tmp_path / 'day')


@pytest.mark.parametrize(
    'places, reason',
    [
        (['nothing'], 'nothing: no such file or folder'),
        (['empty'], 'empty: holds no bag'),
        (['old.bag'], 'old.bag: is a bag of ROS 1; rosbags-convert'),
        (['bare'], 'bare: has a metadata.yaml, but no .mcap'),
        (['a/x.mcap', 'b/x.mcap'], 'a/x.mcap and .*b/x.mcap have the same name'),
    ],
)
def test_places_without_recordings(places, reason, tmp_path):
    for folder in ('empty', 'bare', 'a', 'b'):
        (tmp_path / folder).mkdir()
    for file in ('old.bag', 'bare/metadata.yaml', 'a/x.mcap', 'b/x.mcap'):
        (tmp_path / file).touch()
    with pytest.raises(BagError, match=reason):
        find_recordings([tmp_path / place for place in places])
