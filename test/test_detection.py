"""Detection, and detection with tracking, on real pictures."""

import os
from pathlib import Path
import shutil

import cv2
from hypothesis import given, settings, strategies
import numpy as np
import pytest

from emotion_perception.boxes import Box, overlap
from emotion_perception.detection import FaceDetector, find_cascade, shrink
from emotion_perception.emotions import TrackState
from emotion_perception.face_finder import FaceFinder

FRAME_NS = 33_000_000
FACE = Box(174.0, 67.0, 101.0, 101.0)  # in the photograph


@pytest.fixture(scope='module')
def photograph():
    """Return the portrait of Eileen Collins (NASA, public domain), gray, uint8 [512,512]."""
    data = pytest.importorskip('skimage.data')
    return cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)


@pytest.fixture(scope='module')
def head(photograph):
    """Return a square cut-out with the face in its middle, two thirds as large."""
    return photograph[42:194, 148:300]


@pytest.fixture(scope='module')
def detector():
    return FaceDetector()


def picture(head, faces, width=640, height=480):
    """Return a gray image with heads at (x, y) of their face's left top, size of the face."""
    image = np.full((height, width), 90, np.uint8)
    image += (np.arange(width) // 8 % 2 * 12).astype(np.uint8)  # a striped wall
    for x, y, size in faces:
        edge = round(1.5 * size)
        left, top = round(x - size / 4), round(y - size / 4)
        small = cv2.resize(head, (edge, edge), interpolation=cv2.INTER_AREA)
        small = small[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
        image[
            max(top, 0) : max(top, 0) + small.shape[0], max(left, 0) : max(left, 0) + small.shape[1]
        ] = small
    return image


def watch(finder, images):
    """Return [(track_id, state, box), ...] for every image."""
    return [
        [(t.track_id, t.state, tuple(t.box)) for t in finder.update(image, i * FRAME_NS)]
        for i, image in enumerate(images)
    ]


def test_cascade_is_found():
    assert find_cascade().endswith('haarcascade_frontalface_default.xml')


def test_missing_cascade_names_what_was_tried(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.xml'):
        FaceDetector(cascade=str(tmp_path / 'nowhere.xml'))


@pytest.mark.parametrize('content', ['', 'no xml', '<?xml version="1.0"?><opencv_storage/>'])
def test_a_file_that_is_no_cascade_is_refused(tmp_path, content):
    path = tmp_path / 'cascade.xml'
    path.write_text(content)
    with pytest.raises(ValueError, match='not a Haar cascade'):
        FaceDetector(cascade=str(path))


def test_a_cascade_whose_name_opencv_cannot_take_is_refused(tmp_path):
    path = tmp_path / os.fsdecode(b'k\xfc.xml')
    shutil.copy(find_cascade(), path)
    with pytest.raises(ValueError, match='udcfc.xml.* expected a name in UTF-8'):
        FaceDetector(cascade=str(path))


def test_opencv_without_cascades_is_named(monkeypatch):
    monkeypatch.delattr(cv2, 'CascadeClassifier')
    with pytest.raises(OSError, match='no CascadeClassifier'):
        FaceDetector()


@pytest.mark.parametrize(
    'options', [{'scale_factor': 1.0}, {'min_face_size': 10}, {'detection_interval': 0}]
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ValueError, match='need'):
        FaceDetector(**options)


def test_a_photograph_gives_its_one_face(detector, photograph):
    (roi,) = detector.detect(photograph)
    assert overlap(roi, FACE) > 0.8


@pytest.mark.parametrize('size', [48, 55, 70, 100, 200, 400])
def test_faces_from_the_smallest_asked_for_are_found(detector, head, size):
    x, y = 320 - size / 2, 240 - size / 2
    (roi,) = detector.detect(picture(head, [(x, y, size)]))
    assert overlap(roi, (x, y, size, size)) > 0.7
    assert 0.8 < roi.width / size < 1.25


def test_faces_far_smaller_than_asked_for_are_not_reported(head):
    finder = FaceFinder(FaceDetector(min_face_size=100))
    assert not any(watch(finder, [picture(head, [(300, 200, 60)])] * 12))


def test_a_face_is_followed_by_its_picture(detector, head):
    found = detector.search(picture(head, [(300, 200, 70)]), Box(300.0, 200.0, 70.0, 70.0), 3)
    place, likeness = detector.follow(picture(head, [(307, 196, 70)]), found.box, found.patch, 0.25)
    assert likeness > 0.9
    assert place.x - found.box.x == pytest.approx(7, abs=2.5)
    assert place.y - found.box.y == pytest.approx(-4, abs=2.5)
    _, elsewhere = detector.follow(picture(head, []), found.box, found.patch, 0.25)
    assert elsewhere < 0.7


def test_the_cascade_looks_at_a_certain_face_in_every_second_frame(detector, head, monkeypatch):
    searches, search = [], detector.search
    monkeypatch.setattr(detector, 'search', lambda *a, **k: searches.append(1) or search(*a, **k))
    finder = FaceFinder(detector)
    for i in range(30):
        faces = finder.update(picture(head, [(200 + 3 * i, 200, 90)]), i * FRAME_NS)
    assert len(searches) <= 20
    assert [t.undetected for t in faces] == [0]


@pytest.mark.parametrize('x, y', [(2, 200), (558, 200), (280, 2), (280, 398), (2, 2)])
def test_faces_at_the_edge_are_found(detector, head, x, y):
    (roi,) = detector.detect(picture(head, [(x, y, 80)]))
    assert overlap(roi, (x, y, 80, 80)) > 0.7


@pytest.mark.parametrize('shape', [(1, 1), (20, 300), (24, 24), (49, 60), (300, 50)])
def test_small_and_narrow_images_work(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    finder = FaceFinder(FaceDetector(min_face_size=24))
    for index in range(6):
        finder.update(image, index * FRAME_NS)


def dimmed(image, share):
    return (image * share).astype(np.uint8)


@pytest.mark.parametrize('share', [0.25, 0.15, 0.08])
def test_dim_faces_are_found_where_they_are(detector, head, share):
    image = picture(head, [(200, 150, 80), (420, 260, 120)])
    bright, dim = detector.detect(image), detector.detect(dimmed(image, share))
    assert len(bright) == len(dim) == 2
    for a, b in zip(bright, dim):
        assert overlap(a, b) > 0.85 and 0.9 < b.width / a.width < 1.1


def test_faces_before_a_bright_window_are_found(detector, head):
    image = dimmed(picture(head, [(300, 200, 100)]), 0.2)
    y, x = np.mgrid[:480, :640]
    image[((x - 350) / 65) ** 2 + ((y - 250) / 75) ** 2 > 1] = 240
    (roi,) = detector.detect(image)
    assert overlap(roi, (300, 200, 100, 100)) > 0.7


@pytest.mark.parametrize('moved', [(0, 0), (-70, 10), (0, 70)])  # [pixels]
def test_a_lost_face_is_found_where_it_was_lost_as_soon_as_it_is_seen(detector, head, moved):
    """Dark before a bright window, too, and while somebody else is in view."""

    def frame(x, y):
        image = dimmed(picture(head, [(x, y, 100)]), 0.2)
        v, u = np.mgrid[:480, :640]
        image[((u - x - 50) / 65) ** 2 + ((v - y - 50) / 75) ** 2 > 1] = 240
        image[:, :180] = picture(head, [(40, 60, 80)])[:, :180]
        return image

    there, away = frame(300, 200), frame(300, -500)
    again = frame(300 + moved[0], 200 + moved[1])
    frames = watch(FaceFinder(detector), [there] * 12 + [away] * 30 + [again] * 2)
    assert [len(frame) for frame in frames[10:12] + frames[40:42]] == [2, 2, 1, 1]
    assert frames[-1][1][:2] == (3, TrackState.CONFIRMED)


def test_faces_of_low_contrast_are_found(detector, head):
    image = (130 + 0.15 * picture(head, [(300, 200, 100)])).astype(np.uint8)
    assert overlap(detector.detect(image)[0], (300, 200, 100, 100)) > 0.7


def test_a_dim_face_that_enters_is_found_within_a_second(detector, head):
    lit = picture(head, [(60, 60, 90)])
    both = lit.copy()
    both[:, 320:] = dimmed(picture(head, [(430, 200, 80)]), 0.15)[:, 320:]
    both[:, 320:400] = 90
    frames = watch(FaceFinder(detector), [lit] * 5 + [both] * 40)
    assert len(frames[4]) == 1
    assert any(overlap(box, (430, 200, 80, 80)) > 0.6 for _, _, box in frames[34])


def test_a_face_of_a_size_in_between_is_found(detector, data_dir):
    """At .3 of its light the usual sizes miss it."""
    photo = cv2.imread(str(data_dir / 'london' / '105_happiness.jpg'), 0)
    [bright], [dim] = (detector.detect(dimmed(photo, share)) for share in (1.0, 0.3))
    assert overlap(bright, dim) > 0.8
    [track] = FaceFinder(detector).update(dimmed(photo, 0.3), 0)
    assert overlap(bright, track.box) > 0.8


def test_noise_and_even_walls_hold_no_face(detector):
    random = np.random.default_rng(0)
    for level in (5, 20, 120):
        noise = random.normal(level, 3, (480, 640)).clip(0, 255).astype(np.uint8)
        assert not any(watch(FaceFinder(detector), [noise] * 30))


@pytest.mark.parametrize('share', [0.9, 0.95, 0.99])
@pytest.mark.parametrize('x', [245, 290, 320, 395])
def test_faces_nearly_as_high_as_the_image_are_found(detector, photograph, share, x):
    scale = share * 480 / FACE.width
    left, top = x - scale * FACE.center[0], 240 - scale * FACE.center[1]
    image = cv2.warpAffine(
        photograph,
        np.float64([[scale, 0, left], [0, scale, top]]),
        (640, 480),
        borderMode=cv2.BORDER_REPLICATE,
    )
    side = share * 480
    roi = detector.detect(image)[0]
    assert roi.width > 0.8 * side
    assert overlap(roi, (x - side / 2, 240 - side / 2, side, side)) > 0.8


def test_a_cut_to_another_person_is_another_track(detector, photograph, data_dir):
    """In the same place, at the same size."""
    for person in ('KA', 'KL', 'KR'):
        other = cv2.imread(str(next((data_dir / 'jaffe').glob(f'{person}.NE*'))), 0)
        box = detector.detect(other)[0]
        scale = FACE.width / box.width
        other = cv2.warpAffine(
            other,
            np.float64(
                [
                    [scale, 0, FACE.x - scale * box.x_offset],
                    [0, scale, FACE.y - scale * box.y_offset],
                ]
            ),
            photograph.shape[::-1],
            borderMode=cv2.BORDER_REPLICATE,
        )
        frames = watch(FaceFinder(detector), [photograph] * 10 + [other] * 4)
        assert [i for i, _, _ in frames[9]] == [1]
        assert [(i, state) for i, state, _ in frames[-1]] == [(2, TrackState.CONFIRMED)]


@pytest.mark.parametrize(
    'one, other', [('KA', 'KL'), ('KL', 'KR'), ('MK', 'NM'), ('NM', 'UY'), ('UY', 'MK')]
)
def test_a_cut_before_the_same_wall_is_another_track(detector, data_dir, one, other):
    """People before one grey wall, in like places: only their heads differ."""
    one, other = (
        cv2.imread(str(next((data_dir / 'jaffe').glob(f'{name}.NE*'))), 0) for name in (one, other)
    )
    frames = watch(FaceFinder(detector), [one] * 10 + [other] * 3)
    assert [i for i, _, _ in frames[9]] == [1]
    assert [(i, state) for i, state, _ in frames[-1]] == [(2, TrackState.CONFIRMED)]


def hand(center, gray):
    def change(image):
        return cv2.ellipse(image.copy(), center, (45, 70), 20, 0, 360, gray, -1)

    return change


@pytest.mark.parametrize(
    'change',
    [
        lambda image: np.roll(image, (12, 20), (0, 1)),  # a jolt of the camera
        lambda image: (image * np.linspace(1.6, 0.4, 512)).clip(0, 255).astype(np.uint8),  # a lamp
        hand((180, 170), 240),
    ],
)
def test_what_changes_at_once_in_one_scene_is_no_cut(detector, photograph, change):
    frames = watch(FaceFinder(detector), [photograph] * 10 + [change(photograph)] * 6)
    frames += watch(FaceFinder(detector), [change(photograph)] * 10 + [photograph] * 6)
    assert all(track_id == 1 for frame in frames for track_id, _, _ in frame)
    assert len(frames[15]) == len(frames[31]) == 1


def test_the_same_person_after_dark_images_has_the_same_id(detector, data_dir):
    """Much has changed in the meantime: it is no cut."""
    video = cv2.VideoCapture(str(data_dir / 'clips' / 'test.mp4'))
    images = [cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2GRAY) for _ in range(95)]
    for start in (15, 39, 63):
        dark = [np.full_like(images[0], 16)] * 8
        shown = images[start - 12 : start] + dark + images[start + 8 : start + 28]
        frames = watch(FaceFinder(detector), shown)
        assert {track_id for frame in frames for track_id, _, _ in frame} == {1}


def test_a_face_is_gone_with_its_scene(detector, photograph):
    """Where the picture is cut, a face that is not found again will not come back there."""
    frames = watch(FaceFinder(detector), [photograph] * 10 + [photograph[::-1]] * 2)
    assert [i for i, _, _ in frames[9]] == [1]
    assert not frames[10] and not frames[11]


def tilted(image, degrees):
    return cv2.warpAffine(
        image,
        cv2.getRotationMatrix2D(FACE.center, -degrees, 1),
        image.shape[::-1],
        borderMode=cv2.BORDER_REPLICATE,
    )


def test_a_known_face_may_tilt(detector, photograph, monkeypatch):
    """To one side, to the other and back; a face that is not known is not looked for like that."""
    looks, search = [], detector.search
    monkeypatch.setattr(
        detector, 'search', lambda *a, **k: looks.append(k.get('tilt', 0)) or search(*a, **k)
    )
    degrees = 38 * np.sin(np.linspace(0, 2 * np.pi, 90))
    finder, seen = FaceFinder(detector), []
    for i, angle in enumerate([0] * 6 + list(degrees)):
        begun = len(looks)
        (track,) = finder.update(tilted(photograph, angle), i * FRAME_NS)
        assert track.track_id == 1
        assert overlap(track.box, FACE) > 0.75
        assert abs(track.tilt - angle) < 30
        assert sum(map(bool, looks[begun:])) <= 3
        seen.append(track.undetected == 0)
    assert np.mean(seen) > 0.9
    assert not any(looks[:6])
    assert {-20, 20} <= set(looks)


def test_a_known_face_that_tilts_and_talks_is_found(detector, data_dir):
    """By the second cascade where the first one fails."""
    video = cv2.VideoCapture(str(data_dir / 'clips' / 'test.mp4'))
    finder, seen = FaceFinder(detector), []
    while (read := video.read())[0]:
        gray = cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY)
        height, width = gray.shape
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 30 * np.sin(len(seen) / 15), 1)
        tracks = finder.update(
            cv2.warpAffine(gray, turn, (width, height), borderMode=cv2.BORDER_REPLICATE),
            len(seen) * FRAME_NS,
        )
        seen.append([track.track_id for track in tracks if track.undetected == 0])
    assert len(seen) > 100
    assert np.mean([ids == [1] for ids in seen]) > 0.95


@pytest.mark.parametrize('noise, wanders', [(0, 1e-6), (2, 2)])  # [grey levels], [pixels]
def test_the_box_of_a_picture_that_does_not_change_stays(detector, photograph, noise, wanders):
    random = np.random.default_rng(0)
    frames = [
        np.rint(photograph + random.normal(0, noise, photograph.shape)).clip(0, 255)
        for _ in range(50)
    ]
    seen = watch(FaceFinder(detector), np.array(frames, np.uint8))
    boxes = [box for [(_, _, box)] in seen[10:]]
    assert np.ptp(boxes, axis=0).max() < wanders


def test_a_blink_of_the_camera_is_no_cut(detector, photograph):
    dark, bright = (photograph // 20), cv2.convertScaleAbs(photograph, alpha=0.6, beta=90)
    frames = watch(
        FaceFinder(detector),
        [photograph] * 6 + [np.zeros_like(dark)] + [photograph, dark, bright] * 3,
    )
    assert {track_id for frame in frames for track_id, _, _ in frame} == {1}


@pytest.mark.parametrize(
    'name',
    ['eye', 'smile', 'fullbody', 'russian_plate_number', 'profileface', 'frontalcatface',
     'frontalcatface_extended'],
)  # fmt: skip
def test_a_cascade_for_something_else_is_refused(tmp_path, name):
    """By what it does, whatever its file is called."""
    path = tmp_path / 'frontalface.xml'
    path.write_bytes(Path(find_cascade(name=f'haarcascade_{name}.xml')).read_bytes())
    with pytest.raises(ValueError, match='frontalface.xml .*drawn face.*frontal faces of people'):
        FaceDetector(cascade=str(path))


@pytest.mark.parametrize('name', ['default', 'alt', 'alt2', 'alt_tree'])
def test_cascades_for_frontal_faces_are_taken(name):
    FaceDetector(cascade=find_cascade(name=f'haarcascade_frontalface_{name}.xml'))


def test_a_cascade_with_another_window_is_used_at_its_size(photograph):
    """This one has 20 pixels."""
    detector = FaceDetector(cascade=find_cascade(name='haarcascade_frontalface_alt2.xml'))
    (roi,) = detector.detect(photograph)
    assert overlap(roi, FACE) > 0.8


def test_a_window_larger_than_the_smallest_face_is_refused(tmp_path):
    """A cascade that accepts every window of 60 pixels."""
    path = tmp_path / 'any.xml'
    path.write_text(CASCADE_60)
    with pytest.raises(ValueError, match='min_face_size >= 60 .the window of the cascade.'):
        FaceDetector(cascade=str(path), min_face_size=48)
    detector = FaceDetector(cascade=str(path), min_face_size=80)
    assert detector.propose(np.random.default_rng(0).integers(0, 255, (240, 320), np.uint8))


CASCADE_60 = """<?xml version="1.0"?>
<opencv_storage><cascade type_id="opencv-cascade-classifier"><stageType>BOOST</stageType>
<featureType>HAAR</featureType><height>60</height><width>60</width>
<stageParams><maxWeakCount>1</maxWeakCount></stageParams>
<featureParams><maxCatCount>0</maxCatCount></featureParams><stageNum>1</stageNum>
<stages><_><maxWeakCount>1</maxWeakCount><stageThreshold>-10.</stageThreshold>
<weakClassifiers><_><internalNodes>0 -1 0 0.</internalNodes><leafValues>1. 1.</leafValues></_>
</weakClassifiers></_></stages>
<features><_><rects><_>2 2 8 8 -1.</_><_>2 2 4 8 2.</_></rects><tilted>0</tilted></_></features>
</cascade></opencv_storage>
"""


NUMBERS = strategies.floats(-3000, 3000)


@given(
    strategies.integers(1, 700),
    strategies.integers(1, 700),
    NUMBERS,
    NUMBERS,
    strategies.one_of(strategies.floats(1e-9, 3000), strategies.just(1e300)),
)
@settings(deadline=None, max_examples=300)
def test_any_box_in_any_image_may_be_looked_at(detector, photograph, width, height, x, y, size):
    image = cv2.resize(photograph, (width, height))
    box = Box(x, y, size, size)
    found = detector.search(image, box, 2, growth=1.3, reach=0.45)
    assert found is None or min(found.box[2:]) > 0
    patch = np.tile(np.arange(24, dtype=np.uint8), (24, 1))
    place, likeness = detector.follow(image, box, patch, 0.45)
    assert place is None or -1.01 <= likeness <= 1.01
    detector.verify(image, [box])
    detector.confirm(image, box)
    assert all(isinstance(hit, Box) for hit in detector.propose(image, 1, 4, known=[box]))


def test_a_face_may_walk_out_at_any_side(detector):
    image = np.random.default_rng(0).integers(0, 256, (240, 320), np.uint8)
    for x in range(-120, 330, 15):
        for y in (-60, -30, 50, 200, 235):
            for size in (60, 100, 150):
                detector.confirm(image, Box(float(x), float(y), size, size))


def test_a_known_face_above_the_image_hides_nothing(detector, head):
    image = picture(head, [(300, 200, 80)])
    above = Box(300.0, -200.0, 80.0, 80.0)
    assert detector.propose(image, known=[above]) == detector.propose(image)


@pytest.mark.parametrize('shape, scale', [((1, 500), 0.01), ((6, 300), 0.1), ((480, 3), 0.2)])
def test_strips_shrink_to_a_pixel_at_least(shape, scale):
    small = shrink(np.full(shape, 7, np.uint8), scale)
    assert (small == 7).all()
    assert small.shape == tuple(max(round(length * scale), 1) for length in shape)


def test_the_shares_together_see_what_one_search_sees(detector, head):
    image = picture(head, [(40, 60, 60), (300, 200, 150)])
    shares = [box for share in range(4) for box in detector.propose(image, share, 4)]
    for face in [(40, 60, 60, 60), (300, 200, 150, 150)]:
        assert any(overlap(box, face) > 0.6 for box in shares)


def test_moving_faces_keep_their_ids(detector, head):
    images = [picture(head, [(40 + 4 * i, 60 + i, 60), (400 - 3 * i, 280, 110)]) for i in range(60)]
    frames = watch(FaceFinder(detector), images)
    for index, frame in enumerate(frames[5:], 5):
        truth = [(40 + 4 * index, 60 + index, 60, 60), (400 - 3 * index, 280, 110, 110)]
        assert sorted(track_id for track_id, _, _ in frame) == [1, 2]
        assert all(max(overlap(box, face) for face in truth) > 0.75 for _, _, box in frame)


def test_a_face_is_confirmed_within_five_frames_whenever_it_enters(detector, head):
    empty, seen = picture(head, []), picture(head, [(300, 200, 70)])
    for before in range(8):
        frames = watch(FaceFinder(detector), [empty] * before + [seen] * 5)
        assert not any(frames[:before])
        assert [state for _, state, _ in frames[-1]] == [TrackState.CONFIRMED]


def test_a_face_that_leaves_ends(detector, head):
    images = [picture(head, [(300, 200, 80)])] * 10 + [picture(head, [])] * 30
    assert watch(FaceFinder(detector), images)[-1] == []


def test_the_nearest_face_alone(detector, head):
    image = picture(head, [(40, 60, 60), (300, 200, 110)])
    frames = watch(FaceFinder(detector, track_mode='nearest'), [image] * 10)
    for frame in frames:
        ((_, _, box),) = frame
        assert overlap(box, (300, 200, 110, 110)) > 0.7
    with pytest.raises(ValueError, match='track_mode'):
        FaceFinder(detector, track_mode='largest')


def test_the_work_of_a_frame_is_bounded(detector, head, monkeypatch):
    """A crowd is looked for in turns, and all of it is found."""
    faces = [(20 + 90 * column, 20 + 90 * row, 52) for column in range(7) for row in range(5)]
    image = picture(head, faces)
    searches = []
    search = detector.search
    monkeypatch.setattr(detector, 'search', lambda *a, **k: searches.append(1) or search(*a, **k))
    finder = FaceFinder(detector, max_faces=50)
    finder.update(image, 0)
    counts = []
    for index in range(1, 40):
        searches.clear()
        tracks = finder.update(image, index * FRAME_NS)
        counts.append(len(searches))
    assert max(counts) <= 15
    assert len([track for track in tracks if track.state]) == len(faces)
    assert max(track.track_id for track in tracks) <= len(faces) + 2


def test_the_same_frames_give_the_same_tracks(head):
    images = [picture(head, [(40 + 4 * i, 60 + i, 60), (400 - 8 * i, 200, 110)]) for i in range(40)]
    assert watch(FaceFinder(FaceDetector()), images) == watch(FaceFinder(FaceDetector()), images)


def clip(data_dir, name):
    capture = cv2.VideoCapture(str(data_dir / 'clips' / name))
    while True:
        grabbed, image = capture.read()
        if not grabbed:
            return
        yield cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def test_three_people_are_three_tracks(detector, data_dir):
    frames = watch(FaceFinder(detector), clip(data_dir, 'diwakar_happy_3persons.mp4'))
    assert all(sorted(i for i, _, _ in frame) == [1, 2, 3] for frame in frames[5:])


@pytest.mark.slow
def test_a_track_ends_and_begins_with_its_face(detector, data_dir):
    leaving = watch(FaceFinder(detector), clip(data_dir, 'face_noface.mov'))
    assert [i for i, _, _ in leaving[30]] == [1]
    assert leaving[-1] == []
    entering = watch(FaceFinder(detector), clip(data_dir, 'noface_face.mov'))
    assert entering[30] == []
    assert len(entering[-1]) == 1
