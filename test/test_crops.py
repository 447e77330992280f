"""The geometry of a crop."""

import cv2
import numpy as np
import pytest

from emotion_perception.crops import CROP, crop_face, CROP_SIZE, fit_crop, is_even
from emotion_perception.emotions import Roi


@pytest.fixture
def image():
    """Return uint8 [200,300,3], smooth, with other values at every place and channel."""
    rows, columns = np.mgrid[:200, :300]
    return np.stack([rows, columns * 0.8, 255 - rows], -1).astype(np.uint8)


def test_a_box_of_the_crops_size_is_copied_as_it_is(image):
    crop = crop_face(image, Roi(40, 30, 64, 64))
    assert crop.dtype == np.uint8 and crop.shape == (64, 64, 3)
    np.testing.assert_array_equal(crop, image[30:94, 40:104])


def test_a_box_keeps_its_place_when_it_is_resized(image):
    large, small = crop_face(image, Roi(40, 30, 128, 128)), crop_face(image, Roi(40, 30, 32, 32))
    np.testing.assert_allclose(large[10, 20], image[50:52, 80:82].mean((0, 1)), atol=1)
    np.testing.assert_allclose(small[10, 20], image[35, 50], atol=1.5)


def test_a_box_that_is_no_square_is_widened_around_its_middle(image):
    np.testing.assert_array_equal(
        crop_face(image, Roi(60, 30, 44, 64)), crop_face(image, Roi(50, 30, 64, 64))
    )
    np.testing.assert_array_equal(
        crop_face(image, Roi(50, 40, 64, 44)), crop_face(image, Roi(50, 30, 64, 64))
    )


@pytest.mark.parametrize(
    'roi',
    [
        Roi(0, 0, 20, 64),
        Roi(280, 100, 20, 64),
        Roi(100, 0, 64, 20),
        Roi(100, 180, 64, 20),
        Roi(-30, -30, 64, 64),
        Roi(270, 170, 64, 64),
        Roi(-10, -20, 320, 240),
    ],
)
def test_outside_of_the_image_its_edge_goes_on(image, roi):
    side = max(roi.width, roi.height)
    left = roi.x_offset + (roi.width - side) // 2
    top = roi.y_offset + (roi.height - side) // 2
    square = image[np.arange(top, top + side).clip(0, 199)][
        :, np.arange(left, left + side).clip(0, 299)
    ]
    np.testing.assert_array_equal(crop_face(image, roi), fit_crop(square))


@pytest.mark.parametrize('roi', [Roi(10, 10, 0, 20), Roi(10, 10, 20, 0), Roi(10, 10, -5, 20)])
def test_an_empty_region_is_refused(image, roi):
    with pytest.raises(ValueError, match='width and a height of 1 or more'):
        crop_face(image, roi)


@pytest.mark.parametrize(
    'roi', [Roi(300, 10, 20, 20), Roi(10, 200, 20, 20), Roi(-20, 10, 20, 20), Roi(10, -20, 20, 20)]
)
def test_a_region_beside_the_image_is_refused(image, roi):
    with pytest.raises(ValueError, match='outside of the image of 300 x 200'):
        crop_face(image, roi)


def test_a_region_of_one_pixel_and_an_image_of_one_pixel(image):
    assert (crop_face(image, Roi(7, 8, 1, 1)) == image[8, 7]).all()
    assert (crop_face(image[:1, :1], Roi(0, 0, 1, 1)) == image[0, 0]).all()


def test_an_image_that_is_a_view_is_cropped_alike(image):
    roi = Roi(20, 20, 90, 90)
    np.testing.assert_array_equal(
        crop_face(image[:, ::-1], roi), crop_face(np.ascontiguousarray(image[:, ::-1]), roi)
    )


def test_a_large_face_is_averaged_and_not_sampled():
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    np.testing.assert_allclose(
        crop_face(image, Roi(0, 0, 256, 256)), image.reshape(64, 4, 64, 4, 3).mean((1, 3)), atol=1
    )


def test_ready_crops():
    grey = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    crop = fit_crop(grey)
    assert crop.dtype == np.uint8 and crop.shape == (CROP_SIZE, CROP_SIZE, 3)
    assert (crop == crop[..., :1]).all()
    np.testing.assert_array_equal(crop, fit_crop(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)))
    np.testing.assert_array_equal(fit_crop(crop), crop)


def test_the_described_geometry_is_the_one_in_use(image):
    assert CROP['size'] == CROP_SIZE == crop_face(image, Roi(0, 0, 50, 50)).shape[0]
    assert CROP['channels'] == 'BGR'


@pytest.mark.parametrize(
    ('share', 'offset', 'even'),
    [(1, 0, False), (0.05, 0, False), (0.02, 0, False), (0.02, 60, True)],
)
def test_a_wall_is_even_and_a_face_in_the_dark_is_not(share, offset, even):
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    face = fit_crop(data.astronaut()[:, :, ::-1][80:190, 175:285])
    assert is_even((face * share + offset).round().astype(np.uint8)) is even
