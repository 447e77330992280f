"""Real files of several formats, made here, whose times and pictures are known."""

from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import struct
import subprocess
import sys
from threading import Thread

import av
import cv2
import numpy as np
import pytest
from skimage import data

from emotion_perception.videos import Video, VideoError, VideoInterrupted, VideoWriter

#: When the frames of the irregular files are shown [ms].
TIMES = [0, 30, 70, 75, 400, 410, 1400, 1401, 1990, 2000]


def write(path, times=None, codec='libx264', size=(80, 60), count=10, options=()):
    """Write frames that become brighter by 20 each; without times at 25 frames a second."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.options = dict(options)
        stream.pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(
                np.full((size[1], size[0], 3), 20 * (number % 12), np.uint8), format='bgr24'
            )
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_avi(path, scale, rate):
    """Write ten frames of a nominal rate of rate / scale."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 30, (80, 60))
    for number in range(10):
        writer.write(np.full((60, 80, 3), 20 * number, np.uint8))
    writer.release()
    content = bytearray(path.read_bytes())
    struct.pack_into('<II', content, content.index(b'strh') + 28, scale, rate)
    path.write_bytes(content)
    return path


def frames(path):
    with Video(path) as video:
        return list(video)


def milliseconds(path):
    return [round(stamp / 1e6) for stamp, _ in frames(path)]


def brightness(path):
    return [round(image.mean() / 20) for _, image in frames(path)]


@pytest.mark.parametrize(
    'name, codec',
    [('a.mp4', 'libx264'), ('a.mkv', 'libx264'), ('a.webm', 'libvpx'), ('a.mov', 'libx264')],
)
def test_times_are_those_of_the_container(tmp_path, name, codec):
    path = write(tmp_path / name, TIMES, codec)
    assert milliseconds(path) == TIMES
    assert brightness(path) == list(range(10))


def test_times_count_from_the_first_frame(tmp_path):
    assert milliseconds(write(tmp_path / 'a.mkv', [5000 + time for time in TIMES])) == TIMES


@pytest.mark.parametrize(
    'name, codec',
    [
        ('a.avi', 'mjpeg'),
        ('a.avi', 'mpeg4'),
        ('a.h264', 'libx264'),
        ('a.ts', 'libx264'),
        ('a.dv', 'dvvideo'),
    ],
)
def test_without_times_the_nominal_rate_counts(tmp_path, name, codec):
    size = (720, 576) if codec == 'dvvideo' else (80, 60)
    path = write(tmp_path / name, codec=codec, size=size)
    assert milliseconds(path) == list(range(0, 400, 40))
    assert frames(path)[0][1].shape == (*size[::-1], 3)


@pytest.mark.parametrize(
    'scale, rate', [(1000, 1), (0xFFFFFFFF, 1), (1, 90000)], ids=('slow', 'negative', 'fast')
)
def test_an_impossible_rate_is_said_and_not_believed(tmp_path, scale, rate):
    with pytest.warns(UserWarning, match='a.avi says .* frames per second: .* to have 30'):
        video = Video(write_avi(tmp_path / 'a.avi', scale, rate))
    assert [round(stamp / 1e6) for stamp, _ in video] == [round(n * 1000 / 30) for n in range(10)]
    assert video.duration is None


@pytest.mark.parametrize('scale, rate', [(0, 0), (1, 0)])
def test_a_rate_that_is_none_is_the_usual_one(tmp_path, scale, rate):
    assert milliseconds(write_avi(tmp_path / 'a.avi', scale, rate)) == [
        round(n * 1000 / 30) for n in range(10)
    ]


def test_stamps_grow_where_times_go_back(tmp_path):
    first, second = (write(tmp_path / name).read_bytes() for name in ('a.ts', 'b.ts'))
    (tmp_path / 'joined.ts').write_bytes(first + second)
    stamps = [stamp for stamp, _ in frames(tmp_path / 'joined.ts')]
    assert len(stamps) == 20
    assert np.diff(stamps).min() > 0 and stamps[-1] == 19 * 40_000_000


@pytest.mark.parametrize('first, second', [(0, 5_000_000), (5_000_000, 0)])
def test_a_broadcast_whose_clock_begins_anew(tmp_path, first, second):
    parts = (
        write(tmp_path / f'{start}.ts', [start + 40 * n for n in range(10)]).read_bytes()
        for start in (first, second)
    )
    (tmp_path / 'joined.ts').write_bytes(b''.join(parts))
    assert max(np.diff(milliseconds(tmp_path / 'joined.ts'))) <= 40
    assert Video(tmp_path / 'joined.ts').duration is None


def test_avi_with_frames_out_of_order(tmp_path):
    path = write(tmp_path / 'a.avi', count=50, options={'bf': '3'})
    assert milliseconds(path) == list(range(0, 2000, 40))


def test_the_length_that_a_file_declares(tmp_path):
    assert Video(write(tmp_path / 'a.mp4')).duration == pytest.approx(0.4)
    assert Video(write(tmp_path / 'a.mkv')).duration == pytest.approx(0.4)
    late = write(tmp_path / 'a.flv', [100_000 + time for time in TIMES], 'flv1')
    assert Video(late).duration == pytest.approx(2.1, abs=0.1)


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv'])
def test_a_last_picture_that_is_held(tmp_path, name):
    with av.open(str(tmp_path / name), 'w') as container:
        stream = container.add_stream('mpeg4', rate=25)
        stream.width, stream.height = 80, 60
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((60, 80, 3), np.uint8), format='bgr24')
            for packet in stream.encode(frame):
                packet.duration = 250 if packet.pts == 2 else 1
                container.mux(packet)
    with Video(tmp_path / name) as video:
        assert [round(stamp / 1e6) for stamp, _ in video] == [0, 40, 80]
        assert video.end_ns == pytest.approx(10.08e9)


@pytest.mark.parametrize('clockwise', [0, 1, 2, 3])
def test_a_turned_video_comes_upright(tmp_path, clockwise):
    path = tmp_path / 'phone.mp4'
    picture = cv2.cvtColor(data.astronaut()[:200, :300], cv2.COLOR_RGB2BGR)
    with VideoWriter(path, 300, 200, 30, 'libx264') as writer:
        writer.write(picture)
    lying = frames(path)[0][1]
    a, b, c, d = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)][clockwise]
    content = bytearray(path.read_bytes())
    # The matrix of the track's header, in 16.16 fixed point: x' = a x + c y, y' = b x + d y.
    struct.pack_into(
        '>9i',
        content,
        content.index(b'tkhd') + 44,
        a << 16,
        b << 16,
        0,
        c << 16,
        d << 16,
        0,
        0,
        0,
        1 << 30,
    )
    path.write_bytes(content)
    np.testing.assert_array_equal(frames(path)[0][1], np.rot90(lying, -clockwise))


@pytest.mark.parametrize('name', ['smile \U0001f600.mp4', "it's $HOME.mp4", '12:30.mp4', '%d.mp4'])
def test_any_file_name_will_do(tmp_path, name):
    assert len(frames(write(tmp_path / name))) == 10


def test_grey_of_16_bits_is_scaled_by_those_in_use(tmp_path):
    with av.open(str(tmp_path / 'infrared.mkv'), 'w') as container:
        stream = container.add_stream('ffv1', rate=25)
        stream.width, stream.height, stream.pix_fmt = 80, 60, 'gray16le'
        for value in (1000, 1000, 100):
            deep = np.full((60, 80), value, np.uint16)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(deep, format='gray16le')))
        container.mux(stream.encode())
    assert [image[0, 0].tolist() for _, image in frames(tmp_path / 'infrared.mkv')] == [
        [1000 >> 2] * 3,
        [1000 >> 2] * 3,
        [100 >> 2] * 3,
    ]


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write(tmp_path / 'a.mp4')
    assert len(frames('~/a.mp4')) == 10


def test_a_damaged_frame_is_left_out(tmp_path):
    path = write(tmp_path / 'a.mp4', codec='mpeg4')
    content = bytearray(path.read_bytes())
    start = content.index(b'mdat')
    content[start + 400 : start + 500] = bytes(100)
    path.write_bytes(content)
    seen = frames(path)
    assert 8 <= len(seen) <= 10
    assert np.diff([stamp for stamp, _ in seen]).min() > 0


def sound(path, codec='pcm_s16le', rate=8000, samples='s16'):
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=rate)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), samples, 'mono')
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def song(path):
    """Write music with the picture of its cover, as shops sell it (ID3v2.3)."""
    sound(path, 'mp3', 44100, 's16p')
    cover = b'\0image/jpeg\0\3\0' + cv2.imencode('.jpg', data.astronaut())[1].tobytes()
    tag = b'APIC' + struct.pack('>IH', len(cover), 0) + cover
    size = bytes(len(tag) >> shift & 127 for shift in (21, 14, 7, 0))
    path.write_bytes(b'ID3\3\0\0' + size + tag + path.read_bytes())


@pytest.mark.parametrize(
    'name, make, reason',
    [
        ('no.mp4', None, 'no such file'),
        ('folder', lambda path: path.mkdir(), 'it is a folder'),
        ('a.mp4', lambda path: path.write_text('words'), 'it is damaged, or in no format that'),
        ('empty.mp4', lambda path: path.write_text(''), 'it is damaged, or in no format that'),
        ('a.wav', sound, 'it holds no video'),
        ('a.mp3', song, 'it holds sound with a picture of its cover'),
    ],
)
def test_what_is_no_video_says_why(tmp_path, name, make, reason):
    if make:
        make(tmp_path / name)
    with pytest.raises(VideoError) as error:
        Video(tmp_path / name)
    assert str(error.value).startswith(f'{tmp_path / name} cannot be read as a video: {reason}')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('url', ['http://127.0.0.1:1/a.mp4', 'rtsp://127.0.0.1:1/a', 'nothing://a'])
def test_an_address_that_gives_nothing(url):
    with pytest.raises(VideoError, match=f'{url} cannot be .*: this address gives none \\('):
        Video(url)


def test_an_address_that_ends_in_the_middle(tmp_path):
    content = write(tmp_path / 'a.ts', count=200).read_bytes()

    class Half(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Length', len(content))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Half) as server:
        Thread(target=server.serve_forever).start()
        seen = 0
        with pytest.raises(VideoInterrupted, match='this address gives none'):
            for _ in Video(f'http://127.0.0.1:{server.server_port}/a.ts'):
                seen += 1
        server.shutdown()
    assert 20 < seen < 190


def test_a_video_without_a_picture(tmp_path):
    path = write(tmp_path / 'a.avi', codec='mjpeg', count=1)
    content = path.read_bytes()
    picture = content.index(b'\xff\xd8')
    path.write_bytes(content[:picture] + bytes(len(content) - picture))
    with pytest.raises(VideoError, match='a.avi cannot be .*: no picture in it can be decoded'):
        frames(path)


@pytest.mark.parametrize('name, codec', [('a.avi', 'mjpeg'), ('a.mp4', 'libx264')])
def test_what_is_written_can_be_read(tmp_path, name, codec):
    picture = cv2.cvtColor(data.astronaut()[:200, :300], cv2.COLOR_RGB2BGR)
    with VideoWriter(tmp_path / name, 300, 200, 30, codec) as writer:
        for number in range(5):
            writer.write(np.roll(picture, number, 1))
    read = frames(tmp_path / name)
    assert [stamp for stamp, _ in read] == pytest.approx([n * 1e9 / 30 for n in range(5)], abs=2)
    assert np.abs(read[4][1].astype(int) - np.roll(picture, 4, 1)).mean() < 6
    assert cv2.VideoCapture(str(tmp_path / name)).get(cv2.CAP_PROP_FRAME_COUNT) == 5


def test_a_video_may_last_for_decades(tmp_path):
    with VideoWriter(tmp_path / 'a.mp4', 64, 48, 1e-6, 'libx264') as writer:
        for _ in range(1800):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    stamps = [stamp for stamp, _ in frames(tmp_path / 'a.mp4')]
    assert len(stamps) == 1800 and stamps[-1] == 1799 * 10**15


@pytest.mark.parametrize(
    'name, reason',
    [('folder/a.mp4', 'No such file or directory'), ('a.xyz', 'Could not determine output format')],
)
def test_what_cannot_be_written_says_why(tmp_path, name, reason):
    with pytest.raises(VideoError, match=f'{name} cannot be written: {reason}'):
        VideoWriter(tmp_path / name, 80, 60, 30, 'libx264')


@pytest.mark.parametrize('name, codec', [('a.avi', 'mjpeg'), ('a.mp4', 'libx264')])
@pytest.mark.slow
def test_a_disk_that_runs_full_is_said(tmp_path, name, codec):
    code = (
        'import resource, sys; import numpy as np; '
        'from emotion_perception.videos import VideoError, VideoWriter\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n'
        'try:\n'
        '    with VideoWriter(sys.argv[1], 320, 240, 30, sys.argv[2]) as writer:\n'
        '        for number in range(100):\n'
        '            noise = np.random.default_rng(number).integers(0, 255, (240, 320, 3))\n'
        '            writer.write(noise.astype(np.uint8))\n'
        'except VideoError as error: print(error)\n'
    )
    printed = subprocess.run(
        [sys.executable, '-c', code, tmp_path / name, codec],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed == f'{tmp_path / name} cannot be written: File too large\n'


def test_a_file_that_breaks_off_is_said(tmp_path):
    path = write(tmp_path / 'a.mkv', codec='mpeg4', count=50)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    with pytest.warns(UserWarning, match='a.mkv lasts 2.0 s, but holds .* only for 0.[3-7] s'):
        assert frames(path)


def test_it_is_quiet_and_holds_few_frames(tmp_path):
    """Read 40 full-HD frames (250 MB), some of them damaged, with 120 MB more than imports take."""
    path = write(tmp_path / 'a.mp4', codec='mpeg4', size=(1920, 1080), count=40)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)
    code = (
        'import resource, sys; from emotion_perception.videos import Video; '
        'most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = most(); '
        'print(sum(1 for _ in Video(sys.argv[1])), most() - before)'
    )
    ended = subprocess.run(
        [sys.executable, '-c', code, path], capture_output=True, text=True, check=True
    )
    count, kilobytes = map(int, ended.stdout.split())
    assert count > 30 and kilobytes < 120_000
    assert ended.stderr == ''
