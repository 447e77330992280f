"""Bags and videos through the pipeline into bags: nothing lost, the same bytes every time."""

import csv
from dataclasses import replace
import os
from pathlib import Path
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rosbags', reason='needs the extra [bags]')

from mcap.reader import make_reader  # noqa: E402
from mcap.stream_reader import StreamReader  # noqa: E402
from rosbags.highlevel import AnyReader  # noqa: E402

from emotion_perception.emotions import EMOTIONS  # noqa: E402
from emotion_perception.offline import images  # noqa: E402
from emotion_perception.offline.many import process_here, process_on_cluster  # noqa: E402
from emotion_perception.offline.messages import (  # noqa: E402
    decode,
    definition,
    EMOTION_ARRAY,
    IMAGE_ANNOTATIONS,
    type_hash,
)
from emotion_perception.offline.processing import process, Settings  # noqa: E402
from emotion_perception.offline.recordings import Bag, find_recordings  # noqa: E402
from emotion_perception.offline.result_bag import (  # noqa: E402
    images_with_results,
    read_results,
    ResultBag,
    RESULTS_TOPIC,
)
from emotion_perception.pipeline import EmotionPipeline  # noqa: E402
from emotion_perception.videos import Video, VideoInterrupted  # noqa: E402

TOPIC = '/camera/image_raw'
SECOND = 10**9


@pytest.fixture(scope='module')
def frames(moving_face):
    return moving_face(70)  # of more than two seconds


@pytest.fixture(scope='module')
def messages(bag_messages, frames):
    return bag_messages(frames)


@pytest.fixture(scope='module')
def bag(write_bag, messages, tmp_path_factory):
    return write_bag(tmp_path_factory.mktemp('bags') / 'run', {TOPIC: messages})


def run(place, output, **settings):
    (recording,) = find_recordings([place])
    return process(recording, Settings(output, **settings))


@pytest.fixture(scope='module')
def results(bag, tmp_path_factory):
    """Return the folder of the bag's results."""
    output = tmp_path_factory.mktemp('results')
    outcome = run(bag, output, annotations=True)
    assert not outcome.error and not outcome.warnings and outcome.images == 70
    return output / 'run'


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, '-m', 'emotion_perception.bag', *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_results_are_those_of_the_pipeline(results, frames, messages):
    pipeline = EmotionPipeline()
    found = list(read_results(results))
    assert sum(len(result.faces) for result in found) > 60
    for result, frame, (log_time, message) in zip(found, frames, messages, strict=True):
        assert result.time_ns == log_time - 5_000_000
        assert result.camera == 'camera' and result.frame_id == 'eye'
        assert result.image_size == (240, 320)
        expected = pipeline.process(frame, result.time_ns)
        assert [
            replace(face, intensity=0, confidence=0, scores=(), sequence_duration=0)
            for face in result.faces
        ] == [
            replace(face, intensity=0, confidence=0, scores=(), sequence_duration=0)
            for face in expected
        ]
        for face, other in zip(result.faces, expected):
            np.testing.assert_array_equal(
                np.float32([face.intensity, face.confidence, *face.scores]),
                np.float32([other.intensity, other.confidence, *other.scores]),
            )


def test_every_reader_opens_the_results(results, messages):
    times = [log_time + 1 for log_time, _ in messages]
    with AnyReader([results]) as reader:
        read = list(reader.messages())
        assert [
            log_time for connection, log_time, _ in read if connection.topic == RESULTS_TOPIC
        ] == times
        annotated = [
            reader.deserialize(data, connection.msgtype)
            for connection, _, data in read
            if connection.msgtype == IMAGE_ANNOTATIONS
        ]
    assert len(annotated) == 70
    assert annotated[-1].points[0].points[2].x > annotated[-1].points[0].points[0].x
    assert annotated[-1].texts[0].text.startswith('1 ')
    path = results / 'run_0.mcap'
    with path.open('rb') as file:
        reader = make_reader(file)
        assert reader.get_summary().statistics.channel_message_counts == {1: 70, 2: 70}
        schema, channel, message = next(iter(reader.iter_messages(topics=[RESULTS_TOPIC])))
        assert b'# The emotion by name' in schema.data and reader.get_header().profile == 'ros2'
        assert schema.name == EMOTION_ARRAY
        assert message.publish_time == message.log_time - 5_000_001, 'the stamp of the image'
        assert 'reliability: reliable' in channel.metadata['offered_qos_profiles']
    decoders = pytest.importorskip('mcap_ros2.decoder')
    with path.open('rb') as file:
        decoded = make_reader(file, decoder_factories=[decoders.DecoderFactory()])
        faces = [message.faces for *_, message in decoded.iter_decoded_messages([RESULTS_TOPIC])]
    assert faces[-1][0].label == list(read_results(results))[-1].faces[0].label


def test_rerun_finds_nothing_wrong(results):
    rerun = shutil.which('rerun', path=os.path.dirname(sys.executable))
    if rerun is None:
        pytest.skip('needs the extra [rerun]')
    checked = subprocess.run(
        [rerun, 'mcap', 'check', results / 'run_0.mcap'],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_type_hashes_are_those_of_the_built_messages():
    messages = pytest.importorskip('emotion_perception.msg', reason='needs the built messages')
    for kind in (messages.EmotionArray, messages.FaceEmotion):
        name = f'emotion_perception/msg/{kind.__name__}'
        share = Path(messages.__file__).parents[5] / 'share/emotion_perception/msg'
        assert type_hash(name) in (share / f'{kind.__name__}.json').read_text()
        assert definition(name).startswith((share / f'{kind.__name__}.msg').read_bytes().rstrip())


def test_two_runs_give_the_same_bytes(bag, results, tmp_path):
    run(bag, tmp_path, annotations=True)
    assert content(tmp_path / 'run') == content(results)
    run(bag, tmp_path / 'one', annotations=True, options={'threads': 1})
    assert content(tmp_path / 'one' / 'run') == content(results)


def test_table_holds_the_results(results):
    with (results / 'emotions.csv').open() as file:
        rows = list(csv.DictReader(file))
    found = [(result, face) for result in read_results(results) for face in result.faces or [None]]
    for row, (result, face) in zip(rows, found, strict=True):
        assert int(row['time_ns']) == result.time_ns
        assert row['label'] == (face.label if face else '')
        if face:
            assert row['state'] == face.state.name
            assert [np.float32(row[name]) for name in EMOTIONS] == list(np.float32(face.scores))
            assert int(row['width']) == face.roi.width


def test_parquet_holds_what_the_csv_does(bag, results, tmp_path):
    parquet = pytest.importorskip('pyarrow.parquet', reason='needs the extra [parquet]')
    run(bag, tmp_path, table='parquet')
    columns = parquet.read_table(tmp_path / 'run' / 'emotions.parquet').to_pydict()
    with (results / 'emotions.csv').open() as file:
        rows = list(csv.DictReader(file))
    for row, values in zip(rows, zip(*columns.values()), strict=True):
        for text, value in zip(row.values(), values):
            assert text == (
                '' if value is None else f'{value:.9g}' if isinstance(value, float) else str(value)
            )


def test_rerun_file(bag, tmp_path):
    pytest.importorskip('rerun', reason='needs the extra [rerun]')
    assert not run(bag, tmp_path, rerun=True).error
    assert (tmp_path / 'run' / 'emotions.rrd').stat().st_size > 100_000
    shown = subprocess.run(
        [
            shutil.which('rerun', path=os.path.dirname(sys.executable)),
            'rrd',
            'print',
            tmp_path / 'run' / 'emotions.rrd',
        ],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    assert '/camera/image/faces' in shown and 'happiness' in shown


def test_metadata_for_humble(bag, tmp_path):
    run(bag, tmp_path, humble=True)
    metadata = (tmp_path / 'run' / 'metadata.yaml').read_text()
    assert 'version: 8' in metadata and 'reliability: 1' in metadata and '&' not in metadata
    with AnyReader([tmp_path / 'run']) as reader:
        assert reader.message_count == 70


@pytest.mark.slow
def test_other_topics_are_copied_in_order(write_bag, messages, tmp_path):
    from emotion_perception.offline.messages import typestore

    types = typestore().types
    clock = [
        (
            log_time + shift,
            types['rosgraph_msgs/msg/Clock'](
                clock=types['builtin_interfaces/msg/Time'](sec=1, nanosec=number)
            ),
        )
        for number, (log_time, _) in enumerate(messages)
        for shift in (0, 2)
    ]
    for storage in ('mcap', 'sqlite3'):
        path = write_bag(tmp_path / storage, {TOPIC: messages, '/clock': clock}, storage)
        assert not run(path, tmp_path / 'out', copied=('/clock',)).error
        assert not run(path, tmp_path / 'all', copied=None).error
        with Bag([tmp_path / 'out' / storage / f'{storage}_0.mcap']) as bag:
            assert {name: topic.count for name, topic in bag.topics.items()} == {
                RESULTS_TOPIC: 70,
                '/clock': 140,
            }
            assert bag.topics['/clock'].definition
        with (tmp_path / 'all' / storage / f'{storage}_0.mcap').open('rb') as file:
            read = [
                (message.log_time, channel.topic)
                for _, channel, message in make_reader(file).iter_messages(log_time_order=False)
            ]
        assert read == sorted(read, key=lambda item: item[0]) and len(read) == 280
    missing = run(path, tmp_path / 'none', copied=('/tf',))
    assert 'there is no topic /tf to copy; there are /camera/image_raw, /clock' in missing.error


def test_results_of_another_run_are_not_copied(write_bag, messages, results, tmp_path):
    with Bag([results / 'run_0.mcap']) as bag:
        earlier = {
            topic: [
                (message.log_time, decode(message.data, bag.topics[topic].type))
                for message in list(bag.messages({topic}))[:3]
            ]
            for topic in (RESULTS_TOPIC, '/emotion_node/annotations')
        }
    earlier['/other/emotions'] = earlier[RESULTS_TOPIC]
    place = write_bag(tmp_path / 'run', {TOPIC: messages[:5], **earlier})

    def counts(output, **settings):
        outcome = run(place, output, copied=None, **settings)
        assert outcome.images == 5 and not outcome.error
        with Bag([output / 'run' / 'run_0.mcap']) as bag:
            counted = {name: topic.count for name, topic in bag.topics.items()}
        return counted, outcome.warnings

    assert counts(tmp_path / 'plain') == (
        {TOPIC: 5, RESULTS_TOPIC: 5, '/emotion_node/annotations': 3},
        [
            'not copied: /emotion_node/emotions, /other/emotions would be mixed up with the '
            'results of this run'
        ],
    )
    counted, (warning,) = counts(tmp_path / 'annotated', annotations=True)
    assert counted == {TOPIC: 5, RESULTS_TOPIC: 5, '/emotion_node/annotations': 5}
    assert warning.startswith('not copied: /emotion_node/annotations, /emotion_node/emotions, ')
    named = run(place, tmp_path / 'named', copied=(TOPIC, '/other/emotions'))
    assert named.error.startswith('/other/emotions would be mixed up') and not named.images


def test_results_of_one_log_time_get_times_of_their_own(write_bag, messages, tmp_path):
    same = [(SECOND, message) for _, message in messages[:5]]
    run(write_bag(tmp_path / 'run', {TOPIC: same}), tmp_path / 'out')
    with Bag([tmp_path / 'out' / 'run' / 'run_0.mcap']) as bag:
        assert [message.log_time for message in bag.messages({RESULTS_TOPIC})] == [
            SECOND + 1 + number for number in range(5)
        ]


def test_results_know_the_times_of_their_images(write_bag, bag_messages, frames, tmp_path):
    """Where several images without a stamp were recorded at one time."""
    zero = [
        (SECOND + number // 3, message)
        for number, (_, message) in enumerate(bag_messages(frames[:6], start=0, period=0))
    ]
    place = write_bag(tmp_path / 'run', {TOPIC: zero})
    assert run(place, tmp_path / 'out').images == 6
    (recording,) = find_recordings([place])
    found = list(images_with_results(recording, {TOPIC: 'camera'}, tmp_path / 'out' / 'run'))
    assert [result.time_ns for _, result in found] == [SECOND] * 3 + [SECOND + 1] * 3
    for (pixels, _), frame in zip(found, frames):
        np.testing.assert_array_equal(pixels, frame)


def test_times_in_older_results(results, tmp_path):
    """Results were published when they were logged."""
    with Bag([results / 'run_0.mcap']) as bag:
        messages = list(bag.messages({RESULTS_TOPIC}))
    older = ResultBag(tmp_path / 'run', {'recording': 'run'})
    for message in messages:
        older.add_results(message.log_time - 1, message.log_time, {RESULTS_TOPIC: message.data})
    older.finish()
    older.close()
    assert list(read_results(tmp_path / 'run')) == list(read_results(results))


def test_a_video_is_a_recording_too(frames, tmp_path):
    writer = cv2.VideoWriter(
        str(tmp_path / 'clip.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 25, (320, 240)
    )
    for frame in frames[:20]:
        writer.write(frame)
    writer.release()
    outcome = run(tmp_path / 'clip.avi', tmp_path / 'out')
    assert not outcome.error and outcome.images == 20
    assert [result.time_ns for result in read_results(tmp_path / 'out' / 'clip')] == [
        number * SECOND // 25 for number in range(20)
    ]
    os.rename(tmp_path / 'clip.avi', os.fsencode(tmp_path) + b'/K\xfcche.avi')  # of Latin-1
    (recording,) = find_recordings([tmp_path], leave_out=tmp_path / 'out')
    assert recording.name == 'K\\udcfcche'
    outcome = process(recording, Settings(tmp_path / 'out', report=True))
    assert not outcome.error and (tmp_path / 'out' / recording.name / 'report.html').exists()
    (tmp_path / 'text.mp4').write_text('no video')
    assert 'text.mp4 cannot be read as a video' in run(tmp_path / 'text.mp4', tmp_path).error
    assert not (tmp_path / 'text').exists()


def test_a_video_whose_disk_fails_is_read_on_later(frames, tmp_path, monkeypatch):
    writer = cv2.VideoWriter(
        str(tmp_path / 'clip.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 25, (320, 240)
    )
    for frame in frames[:20]:
        writer.write(frame)
    writer.release()
    run(tmp_path / 'clip.avi', tmp_path / 'whole')

    class Failing(Video):
        def __iter__(self):
            for number, item in enumerate(super().__iter__()):
                if number == 12:
                    raise VideoInterrupted('clip.avi cannot be read as a video: I/O error')
                yield item

    with monkeypatch.context() as patch:
        patch.setattr(images, 'Video', Failing)
        outcome = run(tmp_path / 'clip.avi', tmp_path / 'out')
    assert 'I/O error; what is written is kept, and the same command goes on' in outcome.error
    assert not (tmp_path / 'out/clip/metadata.yaml').exists()
    outcome = run(tmp_path / 'clip.avi', tmp_path / 'out')
    assert not outcome.error and not outcome.done_before
    assert content(tmp_path / 'out') == content(tmp_path / 'whole')


def test_broken_images_are_counted_and_a_damaged_bag_is_kept(write_bag, messages, tmp_path):
    strange = [
        (log_time, replace(message, encoding='zebra')) if number % 10 == 5 else (log_time, message)
        for number, (log_time, message) in enumerate(messages)
    ]
    path = write_bag(tmp_path / 'run', {TOPIC: strange}) / 'run.mcap'
    outcome = run(path, tmp_path / 'out')
    assert outcome.images == 63 and not outcome.error
    assert outcome.warnings[0].startswith(
        "camera: 7 unusable images, the first: unknown encoding 'zebra', expected one of bgr8"
    )
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    outcome = run(cut, tmp_path / 'out')
    assert 'cut.mcap: cut off after byte' in outcome.error and 25 < outcome.images < 35
    assert len(list(read_results(tmp_path / 'out' / 'cut'))) == outcome.images
    again = run(cut, tmp_path / 'out')
    assert again.done_before and again.error == outcome.error
    damaged = bytearray(path.read_bytes())
    with path.open('rb') as file:
        chunks = make_reader(file).get_summary().chunk_indexes
    checksum = chunks[len(chunks) // 2].chunk_start_offset + 9 + 24
    damaged[checksum : checksum + 4] = b'oops'
    (tmp_path / 'damaged.mcap').write_bytes(damaged)
    outcome = run(tmp_path / 'damaged.mcap', tmp_path / 'out')
    assert 'damaged.mcap: damaged at byte' in outcome.error and 25 < outcome.images < 35
    again = run(tmp_path / 'damaged.mcap', tmp_path / 'out')
    assert again.done_before and again.error == outcome.error
    (tmp_path / 'out' / 'damaged' / 'metadata.yaml').write_text('nonsense: [')
    again = run(tmp_path / 'damaged.mcap', tmp_path / 'out')
    assert 'metadata.yaml is damaged: remove it, and it is written anew' in again.error
    only = [(log_time, replace(message, encoding='zebra')) for log_time, message in messages]
    outcome = run(write_bag(tmp_path / 'zebra', {TOPIC: only}), tmp_path / 'out')
    assert outcome.error.startswith('camera: 70 unusable images, the first: unknown encoding')
    assert not (tmp_path / 'out' / 'zebra').exists()


def test_late_images_and_recordings_one_after_the_other(
    write_bag, messages, bag_messages, frames, tmp_path
):
    (time, _), (later, _) = messages[20:22]
    swapped = messages[:20] + [(time, messages[21][1]), (later, messages[20][1])] + messages[22:30]
    outcome = run(write_bag(tmp_path / 'late', {TOPIC: swapped}), tmp_path / 'out', rerun=False)
    assert outcome.images == 29 and not outcome.error
    assert outcome.warnings == ['camera: 1 late images were left out, as the node does']
    time, message = messages[20]
    stamp = replace(message.header.stamp, sec=message.header.stamp.sec - 100)
    off = replace(message, header=replace(message.header, stamp=stamp))
    one_off = messages[:20] + [(time, off)] + messages[21:30]
    place = write_bag(tmp_path / 'off', {TOPIC: one_off})
    outcome = run(place, tmp_path / 'out', rerun=False, report=True)
    assert outcome.images == 29 and not outcome.error
    assert outcome.warnings == ['camera: 1 late images were left out, as the node does']
    assert {f.track_id for r in read_results(tmp_path / 'out' / 'off') for f in r.faces} == {1}
    second = [
        (messages[29][0] + SECOND + number, message)
        for number, (_, message) in enumerate(bag_messages(frames[:10], start=5 * SECOND))
    ]
    outcome = run(write_bag(tmp_path / 'two', {TOPIC: messages[:30] + second}), tmp_path / 'out')
    assert outcome.images == 39 and 'run backwards' in outcome.warnings[0]
    results = list(read_results(tmp_path / 'out' / 'two'))
    assert [result.time_ns for result in results[30:]] == [log_time for log_time, _ in second[1:]]
    assert results[29].faces[0].track_id < results[-1].faces[0].track_id


def test_a_camera_that_is_mounted_upside_down(write_bag, bag_messages, frames, tmp_path):
    turned = bag_messages([np.ascontiguousarray(frame[::-1, ::-1]) for frame in frames[:20]])
    run(write_bag(tmp_path / 'turned', {TOPIC: turned}), tmp_path / 'out', rotation=180)
    run(write_bag(tmp_path / 'plain', {TOPIC: bag_messages(frames[:20])}), tmp_path / 'out')
    for result, plain in zip(
        read_results(tmp_path / 'out' / 'turned'),
        read_results(tmp_path / 'out' / 'plain'),
        strict=True,
    ):
        for face, other in zip(result.faces, plain.faces, strict=True):
            x, y, width, height = other.roi
            assert face.roi == (320 - x - width, 240 - y - height, width, height)
            assert face.scores == other.scores


def test_results_of_other_settings_are_left_alone(bag, results, tmp_path):
    shutil.copytree(results, tmp_path / 'run')
    before = content(tmp_path)
    again = run(bag, tmp_path, annotations=True)
    assert again.done_before and not again.error and not again.images
    other = run(bag, tmp_path, annotations=True, options={'neutral_threshold': 0.7})
    assert 'holds results of something else (neutral_threshold: 0.37, now 0.7)' in other.error
    shutil.copy(bag / 'run.mcap', tmp_path / 'run' / 'run_0.mcap')
    (tmp_path / 'run' / 'metadata.yaml').unlink()
    assert 'is in the way' in run(bag, tmp_path, annotations=True).error
    (tmp_path / 'run' / 'run_0.mcap').write_bytes(before[Path('run/run_0.mcap')])
    run(bag, tmp_path, annotations=True)
    assert content(tmp_path) == before


def intact_times(path):
    """Give the log times of the messages in a file that may end anywhere."""
    times = []
    try:
        with path.open('rb') as file:
            for record in StreamReader(file).records:
                times += [record.log_time] if hasattr(record, 'log_time') else []
    except Exception:  # what mcap raises at the end of a cut file is of many kinds
        pass
    return times


@pytest.mark.parametrize('number', range(6))
@pytest.mark.slow
def test_killed_at_a_random_moment(number, bag, results, tmp_path):
    """Kill it as it writes; it goes on to the same bytes."""
    moment = random.Random(number).random()
    path, whole = tmp_path / 'run' / 'run_0.mcap', content(results)
    kind = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]
    child = subprocess.Popen(
        [sys.executable, '-m', 'emotion_perception.bag', bag, '-o', tmp_path, '--annotations'],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not path.exists() or path.stat().st_size < 600:
        time.sleep(0.001)
        assert child.poll() is None
    time.sleep(moment * 0.4)
    child.send_signal(kind)
    child.wait(60)
    times = intact_times(path)
    expected = intact_times(results / 'run_0.mcap')
    assert times == expected[: len(times)]
    if kind != signal.SIGKILL:
        with path.open('rb') as file:
            assert make_reader(file).get_summary().statistics.message_count == len(times)
    run(bag, tmp_path, annotations=True)
    assert content(tmp_path / 'run') == whole


def test_every_second_is_in_the_file_once_it_is_over(bag, tmp_path):
    """Take the process away without any warning after 65 images, 2.16 s."""
    code = f"""
import os, signal
from pathlib import Path
from emotion_perception.offline.processing import Settings, process
from emotion_perception.offline.recordings import find_recordings
counted = 0
def progress(more, total):
    global counted
    counted += more
    if counted == 65:
        os.kill(os.getpid(), signal.SIGKILL)
recording, = find_recordings([Path({str(bag)!r})])
process(recording, Settings(Path({str(tmp_path)!r})), progress)
"""
    ended = subprocess.run([sys.executable, '-c', code], timeout=120)
    assert ended.returncode == -signal.SIGKILL
    times = intact_times(tmp_path / 'run' / 'run_0.mcap')
    assert times[-1] > times[0] + 1.9 * SECOND
    assert run(bag, tmp_path).images == 70


def test_what_is_there_stays_when_going_on_is_interrupted(bag, results, tmp_path):
    shutil.copytree(results, tmp_path / 'run')
    (tmp_path / 'run' / 'metadata.yaml').unlink()
    path, counted = tmp_path / 'run' / 'run_0.mcap', 0

    def progress(more, total):
        nonlocal counted
        counted += more
        if counted == 40:
            raise KeyboardInterrupt

    (recording,) = find_recordings([bag])
    with pytest.raises(KeyboardInterrupt):
        process(recording, Settings(tmp_path, annotations=True), progress)
    assert path.read_bytes() == (results / 'run_0.mcap').read_bytes()
    with path.open('r+b') as file:  # as if it had been killed
        file.truncate(path.stat().st_size // 4)
    counted = 0
    with pytest.raises(KeyboardInterrupt):
        process(recording, Settings(tmp_path, annotations=True), progress)
    assert len(list(read_results(tmp_path / 'run'))) == 39


@pytest.mark.slow
def test_a_full_disk_loses_nothing(bag, results, tmp_path):
    """A file that may not grow stands for the disk."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))

    ended = command(bag, '-o', tmp_path, '--annotations', preexec_fn=limit)
    assert ended.returncode == 1
    assert 'File too large; what is written is kept, and the same command goes on' in ended.stdout
    assert len(intact_times(tmp_path / 'run' / 'run_0.mcap')) > 30
    ended = command(bag, '-o', tmp_path, '--annotations')
    assert ended.returncode == 0, ended.stderr
    assert content(tmp_path / 'run') == content(results)


def test_two_processes_do_not_write_one_file(bag, results, tmp_path):
    import fcntl

    shutil.copytree(results, tmp_path / 'run')
    (tmp_path / 'run' / 'metadata.yaml').unlink()
    with (tmp_path / 'run' / 'run_0.mcap').open('rb') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert 'is being written by another process' in run(bag, tmp_path, annotations=True).error


@pytest.fixture(scope='module')
def many(bag, tmp_path_factory):
    """Return a folder of bags, of which some are bad."""
    folder = tmp_path_factory.mktemp('many')
    for number in range(4):
        shutil.copytree(bag, folder / f'{number}')
    (folder / 'empty.mcap').touch()
    (folder / 'text.db3').write_text('no bag')
    (folder / 'cut.mcap').write_bytes((bag / 'run.mcap').read_bytes()[: 2 * 10**6])
    return folder


@pytest.mark.slow
def test_one_bad_bag_does_not_stop_the_rest(many, tmp_path):
    ended = command(many, '-o', tmp_path, '-j', 2)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1].startswith(
        '7 recordings: 4 processed, 0 done before, 3 with errors: '
    )
    assert 'empty.mcap: is empty' in ended.stdout and 'is no sqlite3 bag' in ended.stdout
    files = {(tmp_path / f'{number}' / 'emotions.csv').read_bytes() for number in range(4)}
    assert len(files) == 1
    ended = command(many, '-o', tmp_path, '-j', 2)
    assert ended.stdout.splitlines()[-1].startswith(
        '7 recordings: 0 processed, 4 done before, 3 with errors: '
    )
    assert ended.returncode == 1 and ended.stdout.count('cut.mcap: cut off after byte') == 1


@pytest.mark.slow
def test_many_recordings_do_not_take_many_open_files(tmp_path):
    from multiprocessing import resource_tracker

    for number in range(3):
        (tmp_path / f'{number}.mcap').touch()
    resource_tracker.ensure_running()  # which has a file of its own
    before = len(os.listdir('/proc/self/fd'))
    outcomes = process_here(
        find_recordings([tmp_path]), Settings(tmp_path / 'out'), 1, lambda *_: None
    )
    for _ in range(3):
        assert 'is empty' in next(outcomes).error
    assert len(os.listdir('/proc/self/fd')) == before


def test_a_process_that_does_not_start_says_why(bag, tmp_path):
    recordings = find_recordings([bag])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as file:
        free = file.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        (outcome,) = process_here(recordings, Settings(tmp_path), 1, lambda *_: None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert outcome.error == 'its process did not start: Too many open files'


@pytest.mark.slow
def test_a_process_that_is_killed_takes_only_its_own_bag_along(many, tmp_path):
    import multiprocessing

    recordings = find_recordings([many / f'{number}' for number in range(3)])
    killed = []

    def progress(more, total):
        if not killed:
            killed.append(multiprocessing.active_children()[0])
            killed[0].kill()

    outcomes = list(process_here(recordings, Settings(tmp_path), 2, progress))
    assert sorted(outcome.error for outcome in outcomes) == [
        '',
        '',
        'its process ended with signal 9',
    ]
    outcomes = list(process_here(recordings, Settings(tmp_path), 2, lambda *_: None))
    assert sorted(outcome.done_before for outcome in outcomes) == [False, True, True]
    assert len({(tmp_path / f'{number}' / 'emotions.csv').read_bytes() for number in range(3)}) == 1


@pytest.mark.slow
def test_a_cluster_of_which_a_worker_is_killed(many, tmp_path):
    distributed = pytest.importorskip('distributed', reason='needs the extra [cluster]')
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        with distributed.Client(cluster) as client:
            pids = list(client.run(os.getpid).values())
        recordings = find_recordings([many])
        outcomes = []
        for outcome in process_on_cluster(
            recordings, Settings(tmp_path), cluster.scheduler_address
        ):
            if not outcomes:
                os.kill(pids[0], signal.SIGKILL)
            outcomes.append(outcome)
    assert len(outcomes) == 7
    assert {outcome.name for outcome in outcomes if outcome.error} == {'empty', 'text', 'cut'}
    assert len({(tmp_path / f'{number}' / 'emotions.csv').read_bytes() for number in range(4)}) == 1


@pytest.mark.parametrize(
    'arguments, reason',
    [
        (['nothing'], 'nothing: no such file or folder'),
        (['.', '-p', 'zoom:=2'], 'no parameter zoom; there are cascade, min_face_size'),
        (['.', '-p', 'max_faces:=many'], '-p max_faces:=many: invalid literal for int'),
        (['.', '-p', 'max_faces:=0'], 'max_faces takes 1 to 64'),
        (['.', '-p', 'publish_new_tracks:=yes'], 'true or false is expected'),
        (['.', '--model', 'nowhere.json'], 'nowhere.json is missing'),
        (['.', '--table', 'parquet'], '--table parquet needs the extra [parquet]: '),
        (['.', '--rerun'], '--rerun needs the extra [rerun]: '),
        (['.', '--cluster', 'tcp://127.0.0.1:1'], '--cluster needs the extra [cluster]: '),
    ],
)
def test_wrong_arguments_say_what_is_right(arguments, reason, tmp_path, capsys, monkeypatch):
    from emotion_perception import bag

    monkeypatch.chdir(tmp_path)
    (tmp_path / 'clip.mp4').touch()
    for library in ('pyarrow', 'rerun', 'distributed'):
        monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    with pytest.raises(SystemExit) as raised:
        bag.main(arguments)
    assert raised.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize('address', ['nonsense', 'tcp://127.0.0.1:1'])
@pytest.mark.slow
def test_a_wrong_cluster_is_told_in_a_line(address, bag, tmp_path):
    pytest.importorskip('distributed', reason='needs the extra [cluster]')
    environment = os.environ | {'DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT': '1s'}
    ended = command(bag, '-o', tmp_path, '--cluster', address, env=environment)
    assert ended.returncode == 1 and f'no Dask scheduler at {address}: ' in ended.stderr
    assert 'Traceback' not in ended.stderr


def test_list(bag, capsys):
    from emotion_perception import bag as command_file

    with pytest.raises(SystemExit) as raised:
        command_file.main([str(bag), '--list'])
    assert not raised.value.code
    assert capsys.readouterr().out == (
        'run:\n  /camera/image_raw  (sensor_msgs/msg/Image, 70 messages, 320 x 240 bgr8)\n'
    )
