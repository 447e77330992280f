"""Messages in and out, in one process: every encoding against OpenCV's own conversion."""

import array
import io
import os
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from builtin_interfaces.msg import Time  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from emotion_perception import emotions, images  # noqa: E402
from emotion_perception.msg import FaceEmotion  # noqa: E402
from emotion_perception.nodes import messages  # noqa: E402


@pytest.fixture(scope='module')
def picture():
    """Give a smooth coloured picture: uint8 [48,64,3] BGR."""
    y, x = np.mgrid[:48, :64]
    return np.stack([x * 3 + 30, y * 4 + 20, 200 - x - y], axis=-1).astype(np.uint8)


def image_message(pixels, encoding, padding=0, **fields):
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    return Image(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=rows.shape[1],
        data=array.array('B', rows.tobytes()),
        **fields,
    )


def yuv422(picture, first):
    """Write 4:2:2 as a camera does: video range, chroma of each pair of pixels averaged."""
    full = cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb).astype(float)
    y = np.round(full[..., 0] * 219 / 255 + 16).astype(np.uint8)
    v, u = np.moveaxis(np.round((full[..., 1:] - 128) * 224 / 255 + 128).astype(np.uint8), -1, 0)
    chroma = np.empty_like(y)
    for start, plane in ((0, u), (1, v)):
        chroma[:, start::2] = plane.reshape(y.shape[0], -1, 2).mean(axis=2)
    return np.dstack([chroma, y] if first == 'u' else [y, chroma])


def bayer(picture, pattern):
    """Keep of each pixel the one colour that a sensor with this pattern measures."""
    mosaic = np.empty(picture.shape[:2], np.uint8)
    for position, colour in enumerate(pattern):
        place = np.s_[position // 2 :: 2, position % 2 :: 2]
        mosaic[place] = picture[place][..., 'bgr'.index(colour)]
    return mosaic


def decoded(message):
    """Decode as the node does, and see that nothing changes without cv_bridge."""
    found = messages.bgr_from_image(message)
    np.testing.assert_array_equal(images.bgr_from_image(message), found)
    return found


def assert_like(found, expected, tolerance):
    assert found.dtype == np.uint8 and found.shape == expected.shape
    # The outermost pixels of a demosaiced picture are guesses.
    difference = np.abs(found.astype(int) - expected)[2:-2, 2:-2]
    assert difference.max() <= tolerance


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize(
    'encoding, code',
    [
        ('bgr8', None),
        ('8UC3', None),
        ('rgb8', cv2.COLOR_BGR2RGB),
        ('bgra8', cv2.COLOR_BGR2BGRA),
        ('rgba8', cv2.COLOR_BGR2RGBA),
    ],
)
def test_colour_is_exact(picture, encoding, code, padding):
    pixels = picture if code is None else cv2.cvtColor(picture, code)
    assert_like(decoded(image_message(pixels, encoding, padding)), picture, 0)


def test_bgr8_is_not_copied(picture):
    message = image_message(picture, 'bgr8', padding=4)
    message.data[0] = 99
    image = messages.bgr_from_image(message)
    assert np.shares_memory(image, np.frombuffer(message.data, np.uint8))
    assert image[0, 0, 0] == 99


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_grey_is_exact(picture, encoding):
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    assert_like(decoded(image_message(grey, encoding, 3)), np.dstack([grey] * 3), 0)


@pytest.mark.parametrize(
    'encoding, code',
    [
        ('bgr16', None),
        ('16UC3', None),
        ('rgb16', cv2.COLOR_BGR2RGB),
        ('bgra16', cv2.COLOR_BGR2BGRA),
        ('16UC4', cv2.COLOR_BGR2BGRA),
        ('rgba16', cv2.COLOR_BGR2RGBA),
        ('8UC4', cv2.COLOR_BGR2BGRA),
    ],
)
def test_deep_colour_and_unnamed_channels(picture, encoding, code):
    pixels = picture if code is None else cv2.cvtColor(picture, code)
    if '16' in encoding:
        pixels = pixels.astype('<u2') << 8
    assert_like(decoded(image_message(pixels, encoding, padding=4)), picture, 0)


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', ['nv12', 'nv21', 'nv24'])
def test_two_planes(picture, encoding, padding):
    height, width = picture.shape[:2]
    i420 = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
    u, v = i420[height:].reshape(2, height // 2, width // 2)
    pairs = np.dstack([v, u] if encoding == 'nv21' else [u, v])
    if encoding == 'nv24':
        pairs = pairs.repeat(2, axis=0).repeat(2, axis=1)
    # A row of pairs for all pixels is twice as long as a row of brightness, and so is its padding.
    planes = [
        np.pad(i420[:height], ((0, 0), (0, padding))),
        np.pad(
            pairs.reshape(len(pairs), -1),
            ((0, 0), (0, 2 * padding if encoding == 'nv24' else padding)),
        ),
    ]
    message = Image(
        height=height,
        width=width,
        encoding=encoding,
        step=width + padding,
        data=array.array('B', b''.join(plane.tobytes() for plane in planes)),
    )
    expected = cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420)
    assert_like(decoded(message), expected, 0)


@pytest.mark.parametrize('bits', [8, 10, 12, 14, 16])
@pytest.mark.parametrize('encoding', ['mono16', '16UC1', 'bayer_rggb16', 'png'])
def test_16_bits_are_scaled_by_those_in_use(picture, encoding, bits):
    grey = cv2.normalize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), None, 0, 255, cv2.NORM_MINMAX)
    if encoding.startswith('bayer'):
        grey[:] = grey.max()
    deep = (grey.astype('<u2') << 8) >> 16 - bits
    if encoding == 'png':
        found = images.bgr_from_compressed_image(
            CompressedImage(
                format='mono16; png', data=array.array('B', cv2.imencode('.png', deep)[1].tobytes())
            )
        )
    else:
        found = decoded(image_message(deep, encoding))
    assert_like(found, np.dstack([grey] * 3), 0)


def test_the_bits_in_use_are_those_of_the_stream(picture):
    depth = images.BitDepth()

    def brightest(value, **pixels):
        image = np.full((48, 64), value, '<u2')
        for at, defect in pixels.items():
            image[0, int(at[1:])] = defect
        return messages.bgr_from_image(image_message(image, 'mono16'), depth=depth)[5, 5, 0]

    assert brightest(100) == 100
    assert brightest(1000, x7=65535) == 1000 >> 2  # one defect pixel does not decide
    assert depth.bits == 10
    assert brightest(60000) == 60000 >> 8
    assert brightest(1000) == 1000 >> 2  # one broken image does not decide either
    assert [brightest(4000), brightest(4000)] == [4000 >> 4] * 2
    assert brightest(100) == 100 >> 4  # steadily: no brighter for a dark image
    assert depth.bits == 12
    other_size = image_message(np.full((24, 32), 1000, '<u2'), 'mono16')
    assert messages.bgr_from_image(other_size, depth=depth)[5, 5, 0] == 1000 >> 2


@pytest.mark.parametrize('order, is_bigendian', [('<u2', 0), ('>u2', 1)])
@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
def test_16_bits_keep_the_upper_8_in_either_byte_order(picture, encoding, order, is_bigendian):
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    deep = (grey.astype(int) * 256 + 77).astype(order)
    message = image_message(deep, encoding, 2, is_bigendian=is_bigendian)
    assert_like(decoded(message), np.dstack([grey] * 3), 0)


@pytest.mark.parametrize(
    'encoding, first', [('yuv422', 'u'), ('uyvy', 'u'), ('yuv422_yuy2', 'y'), ('yuyv', 'y')]
)
def test_both_orders_of_yuv422(picture, encoding, first):
    message = image_message(yuv422(picture, first), encoding, padding=4)
    assert_like(decoded(message), picture, 6)


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_patterns(picture, pattern):
    mosaic = bayer(picture, pattern)
    assert_like(decoded(image_message(mosaic, f'bayer_{pattern}8')), picture, 4)
    deep = mosaic.astype('<u2') * 256
    assert_like(decoded(image_message(deep, f'bayer_{pattern}16')), picture, 4)


@pytest.mark.parametrize(
    'changes, reason',
    [
        ({'encoding': 'jpeg'}, "unknown encoding 'jpeg', expected one of bgr8"),
        ({'encoding': ''}, "unknown encoding ''"),
        ({'height': 0}, 'empty: 64 x 0'),
        ({'width': 0, 'height': 0, 'step': 0}, 'empty: 0 x 0'),
        ({'step': 100}, 'step is 100, expected at least 192 bytes for 64 pixels of bgr8'),
        ({'height': 47}, r'holds 9216 bytes, expected step x height = 192 x 47'),
        ({'height': 49}, r'holds 9216 bytes, expected step x height = 192 x 49'),
        ({'encoding': 'yuv422', 'width': 63}, 'width is 63, expected an even one'),
        ({'encoding': 'nv12', 'width': 63}, 'size is 63 x 48, expected even numbers for nv12'),
        ({'encoding': 'nv12'}, r'holds 9216 bytes, expected step x rows = 192 x 72'),
        ({'encoding': 'x' * 5000}, r"unknown encoding 'x{40}'\.\.\. \(5000 characters\)"),
        ({'width': 2**31, 'height': 9}, 'expected at most 33177600 .max_pixels'),
    ],
)
def test_unusable_image_says_why(picture, changes, reason):
    message = image_message(picture, 'bgr8')
    for field, value in changes.items():
        setattr(message, field, value)
    with pytest.raises(ValueError, match=reason):
        messages.bgr_from_image(message)


def test_compressed(picture):
    data = array.array('B', cv2.imencode('.png', picture)[1].tobytes())
    message = CompressedImage(format='png', data=data)
    assert_like(images.bgr_from_compressed_image(message), picture, 0)


def compressed(data, format_='jpeg'):
    return CompressedImage(format=format_, data=array.array('B', data))


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tiff', '.bmp', '.webp'])
@pytest.mark.parametrize('share', [0, 0.1, 0.5, 0.9])
def test_half_a_picture_says_why_and_libraries_are_quiet(picture, suffix, share, capfd):
    data = cv2.imencode(suffix, picture)[1].tobytes()
    data = data[: int(len(data) * share)]
    with pytest.raises(
        ValueError,
        match=f"{len(data)} bytes of format 'jpeg' do not decode, expected a whole picture",
    ):
        images.bgr_from_compressed_image(compressed(data))
    assert capfd.readouterr().err == ''


def test_damaged_pictures_are_refused_or_read_but_never_printed_about(picture, capfd):
    random = np.random.default_rng(0)
    for suffix in ['.jpg', '.png', '.tiff', '.bmp', '.webp'] * 20:
        data = bytearray(cv2.imencode(suffix, picture)[1].tobytes())
        for place in random.integers(0, len(data), 12):
            data[place] ^= random.integers(1, 256)
        try:
            image = images.bgr_from_compressed_image(compressed(data))
        except ValueError:
            continue
        assert image.dtype == np.uint8 and image.shape[2] == 3
    os.write(2, b'what others write remains\n')
    assert capfd.readouterr().err == 'what others write remains\n'


def test_what_others_write_while_a_picture_is_decoded_remains(capfd):
    with images.libraries_quiet():
        os.write(2, b'[WARN] [17.5] [node]: mine\n[ WARN:0@0.1] global OpenCV\nlibpng error: x\n')
    assert capfd.readouterr().err == '[WARN] [17.5] [node]: mine\n'


@pytest.mark.parametrize('size', [1 << 13, 1 << 19])
def test_a_picture_that_claims_to_be_huge_is_not_decoded(size):
    png = bytearray(cv2.imencode('.png', np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    png[16:24] = size.to_bytes(4, 'big') * 2  # its width and height
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, 'big')
    with pytest.raises(ValueError, match='pixels'):
        images.bgr_from_compressed_image(compressed(png, 'png'))


def test_exif_turns_nothing(picture):
    stream = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    PIL.Image.fromarray(picture).save(stream, 'JPEG', exif=exif)
    assert images.bgr_from_compressed_image(compressed(stream.getvalue())).shape == picture.shape


@pytest.mark.parametrize('orientation', range(1, 10))
def test_the_orientation_of_tiff_turns_nothing_either(picture, orientation):
    stream = io.BytesIO()
    PIL.Image.fromarray(picture[..., ::-1]).save(stream, 'TIFF', tiffinfo={274: orientation})
    found = images.bgr_from_compressed_image(compressed(stream.getvalue(), 'tiff'))
    assert_like(found, picture, 0)


def test_image_from_bgr_is_the_way_back(picture):
    header = Header(frame_id='eye', stamp=Time(sec=3, nanosec=4))
    message = messages.image_from_bgr(picture[:, ::-1], header)
    assert message.header == header
    assert_like(decoded(message), picture[:, ::-1], 0)


def test_nanoseconds():
    assert messages.nanoseconds(Time(sec=2, nanosec=5)) == 2_000_000_005


def test_emotion_array_holds_every_field():
    face = emotions.FaceEmotion(
        track_id=7,
        state=emotions.TrackState.COASTING,
        roi=emotions.Roi(1, 2, 30, 40),
        label='happiness',
        label_id=3,
        intensity=0.25,
        confidence=0.5,
        scores=(0.0, 0.125, 0.125, 0.5, 0.25, 0.0),
        sequence_length=12,
        sequence_duration=0.375,
    )
    header = Header(frame_id='eye', stamp=Time(sec=3, nanosec=4))
    message = messages.emotion_array(header, 'left', (480, 640), [face])
    assert message.header == header and message.camera == 'left'
    assert (message.image_width, message.image_height) == (640, 480)
    (found,) = message.faces
    assert found.roi.x_offset == 1 and found.roi.y_offset == 2
    assert found.roi.width == 30 and found.roi.height == 40 and not found.roi.do_rectify
    for field in FaceEmotion.get_fields_and_field_types():
        value = getattr(found, field)
        if field == 'scores':
            assert value.dtype == np.float32 and tuple(value) == face.scores
        elif field != 'roi':
            assert value == getattr(face, field), field


def test_no_face_is_an_empty_array():
    assert messages.emotion_array(Header(), 'camera', (480, 640), []).faces == []
