"""A tiny tree of each layout, with a real face, is read as its makers lay it out."""

import csv
from fractions import Fraction
import os
import re
import subprocess
import sys
import zlib

import av
import cv2
import numpy as np
from PIL import ExifTags, Image
import pytest
from skimage import data

from emotion_perception.crops import fit_crop
from emotion_perception.datasets import (
    ckplus,
    clips,
    DatasetError,
    load,
    oulu_casia,
    packed_ckplus,
    VOTE_NAMES,
)

VOTES = {'happiness': 9, 'neutral': 1}


@pytest.fixture(scope='module')
def photo():
    """Return a photograph with one face, uint8 [240,240,3] BGR."""
    return cv2.cvtColor(data.astronaut()[:240, 100:340], cv2.COLOR_RGB2BGR)


@pytest.fixture
def tree(tmp_path, photo):
    """Return a function that writes images (by suffix), videos, arrays and texts."""

    def write(name, content=photo, frames=6):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        elif path.suffix in ('.mp4', '.avi'):
            codec = cv2.VideoWriter.fourcc(*('mp4v' if path.suffix == '.mp4' else 'MJPG'))
            video = cv2.VideoWriter(str(path), codec, 24, content.shape[1::-1])
            for _ in range(frames):
                video.write(content)
            video.release()
        elif isinstance(content, dict):
            np.savez(path, **content)
        elif isinstance(content, list):
            with path.open('w', newline='') as file:
                csv.writer(file).writerows(content)
        else:
            assert cv2.imwrite(str(path), content)
        return tmp_path

    return write


def tight(value):
    return np.full((48, 48), value, np.uint8)


def fer_row(emotion, value, usage):
    return [emotion, ' '.join([str(value)] * 48 * 48), usage]


def votes_row(usage, name, votes):
    return [usage, name] + [votes.get(column, 0) for column in VOTE_NAMES]


FER2013 = [
    ['emotion', 'pixels', 'Usage'],
    fer_row(0, 7, 'Training'),
    fer_row(6, 8, 'PublicTest'),
    fer_row(3, 9, 'PrivateTest'),
]
FERPLUS = [
    ['Usage', 'Image name', *VOTE_NAMES],
    votes_row('Training', 'fer0000000.png', VOTES),
    votes_row('PublicTest', '', {'NF': 10}),
    votes_row('PrivateTest', 'fer0000002.png', {'fear': 5, 'anger': 5}),
]


def shows_the_face(sample, photo):
    """Tell whether every crop is the photograph's face, upright and in its place."""
    face = cv2.resize(photo[66:166, 74:174], (64, 64), interpolation=cv2.INTER_AREA)
    return all(np.corrcoef(frame.ravel(), face.ravel())[0, 1] > 0.7 for frame in sample.frames)


def test_fer2013(tree):
    samples = load(tree('fer2013.csv', FER2013))
    assert [(s.name, s.label, s.fer2013_label, s.part) for s in samples] == [
        ('fer0000000.png', 'anger', 'anger', 'train'),
        ('fer0000001.png', 'neutral', 'neutral', 'valid'),
        ('fer0000002.png', 'happiness', 'happiness', 'test'),
    ]
    assert samples.set_name == 'fer2013'
    np.testing.assert_array_equal(samples[0].frames, np.full((1, 64, 64, 3), 7))
    assert samples[1].intensity.tolist() == [0]
    assert samples[0].intensity is None and samples[0].votes is None


def test_ferplus_beside_fer2013(tree):
    tree('fer2013.csv', FER2013)
    samples = load(tree('fer2013new.csv', FERPLUS))
    assert [(s.name, s.label, s.fer2013_label) for s in samples] == [
        ('fer0000000.png', 'happiness', 'anger'),
        ('fer0000002.png', None, 'happiness'),
    ]
    assert samples[0].votes.tolist() == [1, 9, 0, 0, 0, 0, 0, 0, 0, 0]
    assert samples[1].frames[0, 0, 0, 0] == 9


def test_ferplus_beside_its_images(tree):
    tree('FER2013Train/fer0000000.png', tight(7))
    tree('FER2013Test/fer0000002.png', tight(9))
    samples = load(tree('fer2013new.csv', FERPLUS))
    assert [(s.label, s.fer2013_label, s.part, s.frames[0, 0, 0, 0]) for s in samples] == [
        ('happiness', None, 'train', 7),
        (None, None, 'test', 9),
    ]


def test_packed_ferplus(tree):
    image = np.arange(48 * 48).reshape(1, 48, 48).astype(np.uint8)
    folder = tree(
        'valid.npz',
        {
            'images': image,
            'votes': np.uint8([[1, 9] + [0] * 8]),
            'vote_names': VOTE_NAMES,
            'fer2013_label': np.array(['sadness']),
            'name': np.array(['fer0028638.png']),
        },
    )
    (sample,) = load(folder / 'valid.npz')
    assert (sample.label, sample.fer2013_label, sample.part) == ('happiness', 'sadness', 'valid')
    np.testing.assert_array_equal(sample.frames[0], fit_crop(image[0]))


def test_packed_webfaces(tree):
    folder = tree(
        'faces64.npz',
        {
            'images': np.zeros((2, 64, 64), np.uint8),
            'label': np.array(['fear', 'neutral']),
            'name': np.array(['a.jpg', 'b.jpg']),
        },
    )
    samples = load(folder / 'faces64.npz')
    assert [(s.name, s.label, s.subject) for s in samples] == [
        ('a.jpg', 'fear', None),
        ('b.jpg', 'neutral', None),
    ]


def test_ckplus(tree, photo):
    for number in range(1, 4):
        tree(f'cohn-kanade-images/S005/001/S005_001_{number:08}.png')
        tree(f'cohn-kanade-images/S005/002/S005_002_{number:08}.png')
    folder = tree('Emotion/S005/001/S005_001_00000003_emotion.txt', '   3.0000000e+00\n')
    (folder / 'Emotion/S005/002').mkdir()  # a sequence without an emotion
    (sample,) = load(folder)
    assert (sample.name, sample.subject, sample.label) == ('S005_001', 'S005', 'disgust')
    assert sample.frames.shape == (3, 64, 64, 3) and sample.neutral_to_apex
    assert sample.rate == pytest.approx(30) and shows_the_face(sample, photo)


def test_the_stills_of_a_set_of_sequences_are_the_apexes(tree):
    for number in range(1, 4):
        tree(f'cohn-kanade-images/S005/001/S005_001_{number:08}.png')
    folder = tree('Emotion/S005/001/S005_001_00000003_emotion.txt', '3')
    (still,) = load(folder, 'stills')
    assert still.frames.shape == (1, 64, 64, 3) and still.intensity.tolist() == [1]


def write_packed_ckplus(tree):
    for number in (1, 2, 3):
        tree(f'sequences/S052_001/{number:03}.jpg')
    tree('apex/S052_001_00000003.jpg')
    tree(
        'sequences.csv',
        [
            ['sequence', 'subject', 'label', 'n_frames', 'apex_frame', 'complete_neutral_to_apex'],
            ['S052_001', 'S052', 'surprise', 3, 3, 1],
        ],
    )
    tree(
        'apex.csv',
        [
            ['file', 'subject', 'sequence', 'label'],
            ['S052_001_00000003.jpg', 'S052', 'S052_001', 'surprise'],
        ],
    )
    return tree(
        'ck48.npz',
        {
            'images': np.zeros((1, 48, 48), np.uint8),
            'label': np.array(['contempt']),
            'subject': np.array(['S010']),
            'sequence': np.array(['S010_004']),
            'frame': [17],
        },
    )


def test_packed_ckplus_by_kind(tree, photo):
    folder = write_packed_ckplus(tree)
    (still,) = load(folder, 'stills')
    (sequence,) = load(folder, 'sequences')
    assert len(load(folder)) == 2
    assert (still.name, still.subject, still.label) == ('S052_001_00000003.jpg', 'S052', 'surprise')
    assert (sequence.name, len(sequence.frames)) == ('S052_001', 3)
    assert sequence.neutral_to_apex and shows_the_face(sequence, photo)


def test_packed_ckplus_by_file(tree):
    folder = write_packed_ckplus(tree)
    assert load(folder / 'apex.csv')[0].intensity.tolist() == [1]
    assert load(folder / 'sequences.csv')[0].intensity is None
    (crop,) = load(folder / 'ck48.npz')
    assert (crop.label, crop.subject, crop.name) == ('contempt', 'S010', 'S010_004_00000017')


def test_jaffe(tree, photo):
    tree('KA.NE1.26.tiff', cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY))
    folder = tree('KA.AN1.39.tiff', cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY))
    (folder / 'README').write_text('')
    angry, neutral = load(folder)
    assert (angry.subject, angry.label, angry.frames.shape) == ('KA', 'anger', (1, 64, 64, 3))
    assert neutral.intensity.tolist() == [0]


def test_packed_jaffe(tree):
    tree('KA.AN1.39.png')
    (sample,) = load(
        tree('labels.csv', [['file', 'subject', 'label'], ['KA.AN1.39.png', 'KA', 'anger']])
    )
    assert (sample.name, sample.subject, sample.label) == ('KA.AN1.39.png', 'KA', 'anger')


def session(tree, number, emotion, view='0', content=None):
    tree(
        f'Sessions/{number}/session.xml',
        f'<session><track view="{view}" filename="S001-{number}.avi"/></session>',
    )
    tree(f'Sessions/{number}/S001-{number}-oao_aucs.xml', '<ActionUnits/>')
    folder = tree(
        f'Sessions/{number}/S001-{number}.xml',
        '<MMI><Metatag Name="Subject" Value="1"/>'
        f'<Metatag Name="Emotion" Value="{emotion}"/></MMI>',
    )
    if content is None:
        return tree(f'Sessions/{number}/S001-{number}.avi')
    tree(f'Sessions/{number}/S001-{number}.avi', content)
    return folder


def test_mmi(tree, photo):
    session(tree, 100, 4)
    session(tree, 101, 7)  # scream, none of the six
    folder = session(tree, 102, 1, view='1')  # from the side
    (sample,) = load(folder)
    assert (sample.name, sample.subject, sample.label) == ('S001-100', 'S001', 'happiness')
    assert sample.rate == pytest.approx(24) and not sample.neutral_to_apex
    assert len(sample.frames) == 6 and shows_the_face(sample, photo)


def test_mmi_frames_that_lie_on_their_side_are_turned(tree, photo):
    upright = np.full((720, 576, 3), 128, np.uint8)
    upright[200:440, 150:390] = photo
    folder = session(tree, 1767, 6, content=np.ascontiguousarray(np.rot90(upright)))
    (sample,) = load(folder)
    assert shows_the_face(sample, photo)


def test_oulu_casia(tree, photo):
    for number in range(3):
        folder = tree(f'VL/Strong/P001/Happiness/{number:03}.jpeg')
    (sample,) = load(folder)
    assert (sample.subject, sample.label, sample.rate) == ('P001', 'happiness', 25)
    assert sample.neutral_to_apex and shows_the_face(sample, photo)


def test_ravdess(tree, photo):
    tree('Actor_01/01-01-03-02-01-01-01.mp4')
    tree('Actor_01/02-01-03-02-01-01-01.mp4')  # the same without sound
    folder = tree('Actor_02/02-01-02-01-01-01-02.mp4')
    (folder / 'Actor_02/02-01-02-01-01-01-02.mp4').write_text('calm, not even read')
    (happy,) = load(folder)
    assert (happy.subject, happy.label) == ('Actor_01', 'happiness')
    assert len(happy.frames) == 6 and shows_the_face(happy, photo)


def test_clips_of_ones_own(tree, photo):
    tree('angry/anna_kitchen.mp4')
    for number in range(4):
        folder = tree(f'Happy/bert_1/{number}.jpg')
    bert, anna = load(folder)
    assert (anna.subject, anna.label, anna.rate) == ('anna', 'anger', pytest.approx(24))
    assert (bert.subject, bert.label, len(bert.frames)) == ('bert', 'happiness', 4)
    assert shows_the_face(anna, photo) and shows_the_face(bert, photo)


def test_the_times_of_a_clip_are_those_of_its_file(tree, tmp_path, photo):
    times = [0, 40, 45, 700, 1000]
    (tmp_path / 'happy').mkdir()
    with av.open(str(tmp_path / 'happy/anna_1.webm'), 'w') as container:
        stream = container.add_stream('libvpx', rate=25)
        stream.width, stream.height = photo.shape[1::-1]
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(photo, format='bgr24')
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (sample,) = load(tmp_path)
    assert (sample.stamps_ns / 1e6).round().tolist() == times
    assert sample.rate == pytest.approx(4)


def test_frames_are_in_the_order_of_their_numbers(tree):
    for number in (1, 2, 9, 10, 11, 100):
        tree(f'clips/happy/anna_1/{number}.jpg')
        tree(f'ck/cohn-kanade-images/S005/001/S005_001_{number}.png')
        tree(f'oulu/VL/Strong/P001/Happiness/frame{number}.jpeg')
        folder = tree(f'packed/sequences/S052_001/{number}.jpg')
    tree('ck/Emotion/S005/001/S005_001_100_emotion.txt', '3')
    tree(
        'packed/sequences.csv',
        [
            ['sequence', 'subject', 'label', 'n_frames', 'complete_neutral_to_apex'],
            ['S052_001', 'S052', 'surprise', 6, 1],
        ],
    )
    for layout, name in (
        (clips, 'clips'),
        (ckplus, 'ck'),
        (oulu_casia, 'oulu'),
        (packed_ckplus, 'packed'),
    ):
        (recording,) = layout.recordings(folder / name)
        numbers = [int(re.findall(r'\d+', path.stem)[-1]) for path in recording.source]
        assert numbers == [1, 2, 9, 10, 11, 100]


def test_what_is_no_picture_is_left_out_and_named_once(tree, recwarn):
    for number in range(3):
        tree(f'clips/happy/anna_1/{number}.jpg')
        tree(f'ck/cohn-kanade-images/S005/001/S005_001_{number}.png')
        tree(f'oulu/VL/Strong/P001/Happiness/{number}.jpeg')
        folder = tree(f'packed/sequences/S052_001/{number}.jpg')
    tree('ck/Emotion/S005/001/S005_001_2_emotion.txt', '3')
    tree(
        'packed/sequences.csv',
        [
            ['sequence', 'subject', 'label', 'n_frames', 'complete_neutral_to_apex'],
            ['S052_001', 'S052', 'surprise', 3, 1],
        ],
    )
    tree('jaffe/KA.AN1.39.tiff')
    tree('ravdess/Actor_01/01-01-03-02-01-01-01.mp4')
    tree('pictures/happy/a.png')
    for place in (
        'clips/happy/anna_1',
        'clips/happy',
        'clips',
        'jaffe',
        'ravdess/Actor_01',
        'ck/cohn-kanade-images/S005/001',
        'oulu/VL/Strong/P001/Happiness',
        'packed/sequences/S052_001',
        'pictures/happy',
        'pictures',
    ):
        # What macOS and Windows leave behind, and what people do.
        for name in ('._0.jpg', '._1.mp4', '._0.png', '.DS_Store', 'Thumbs.db', 'notes.txt'):
            tree(f'{place}/{name}', 'x')
    tree('ck/Emotion/S005/001/._S005_001_2_emotion.txt', 'x')
    (folder / 'clips/__MACOSX').mkdir()
    for name in ('clips', 'ck', 'oulu', 'packed', 'jaffe', 'ravdess', 'pictures'):
        recwarn.clear()
        assert len(load(folder / name)) == 1
        (warning,) = recwarn
        assert str(warning.message) == (
            f'{folder / name}: neither picture nor clip of this layout, left out: Thumbs.db, '
            + '__MACOSX, ' * (name == 'clips')
            + 'notes.txt'
        )


def test_many_files_left_out_are_not_all_named(tree):
    for number in range(30):
        folder = tree(f'happy/{number}.txt', 'x')
    tree('happy/a.png')
    with pytest.warns(UserWarning, match='0.txt, .* and 20 more$'):
        load(folder)


@pytest.mark.parametrize('suffix', ['.png', '.jpeg', '.JPG', '.bmp', '.tif', '.webp', '.ppm'])
def test_every_picture_that_opencv_reads(tree, photo, suffix):
    for number in range(3):
        tree(f'packed/sequences/S052_001/{number:03}{suffix}')
        tree(f'oulu/VL/Strong/P001/Happiness/{number:03}{suffix}')
        tree(f'ck/cohn-kanade-images/S005/001/S005_001_{number}{suffix}')
        tree(f'clips/happy/anna_1/{number}{suffix}')
    tree('ck/Emotion/S005/001/S005_001_2_emotion.txt', '3')
    tree(
        'packed/sequences.csv',
        [
            ['sequence', 'subject', 'label', 'n_frames', 'complete_neutral_to_apex'],
            ['S052_001', 'S052', 'surprise', 3, 1],
        ],
    )
    tree(f'packed/apex/a{suffix}')
    tree('packed/apex.csv', [['file', 'subject', 'label'], [f'a{suffix}', 'S1', 'fear']])
    tree(f'pictures/happy/a{suffix}')
    folder = tree(f'jaffe/KA.AN1.39{suffix}')
    for name, count in (
        ('packed', 2),
        ('oulu', 1),
        ('ck', 1),
        ('clips', 1),
        ('pictures', 1),
        ('jaffe', 1),
    ):
        samples = load(folder / name)
        assert len(samples) == count
        assert all(shows_the_face(sample, photo) for sample in samples)


def test_fer2013_as_folders_of_pictures(tree):
    tree('train/angry/Training_10118481.jpg', tight(7))
    tree('train/happy/im1.png', tight(8))
    tree('test/neutral/PublicTest_2.jpg', tight(9))
    folder = tree('test/surprise/PrivateTest_3.jpg', tight(11))
    samples = load(folder)
    assert samples.set_name == 'fer2013'
    assert [(s.label, s.fer2013_label, s.part) for s in samples] == [
        ('neutral', 'neutral', 'valid'),
        ('surprise', 'surprise', 'test'),
        ('anger', 'anger', 'train'),
        ('happiness', 'happiness', 'train'),
    ]
    np.testing.assert_array_equal(samples[0].frames, np.full((1, 64, 64, 3), 9))
    assert load(folder / 'test').set_name == load(folder / 'train').set_name == 'fer2013'
    assert [s.part for s in load(folder / 'train')] == ['train', 'train']


def test_ck48_as_folders_of_pictures(tree):
    tree('anger/S010_004_00000017.png', tight(7))
    folder = tree('happy/S011_006_00000012.png', tight(8))
    samples = load(folder)
    assert samples.set_name == 'ckplus'
    assert [(s.label, s.subject, s.part) for s in samples] == [
        ('anger', 'S010', None),
        ('happiness', 'S011', None),
    ]


def test_pictures_of_ones_own(tree, photo):
    tree('Happy/a.jpg')
    tree('Happy/small.png', tight(9))
    tree('neutral/2.jpg')
    folder = tree('neutral/10.jpg')
    samples = load(folder, 'stills')
    assert samples.set_name == 'pictures'
    assert [(s.name, s.label) for s in samples] == [
        ('Happy/a.jpg', 'happiness'),
        ('Happy/small.png', 'happiness'),
        ('neutral/2.jpg', 'neutral'),
        ('neutral/10.jpg', 'neutral'),
    ]
    assert shows_the_face(samples[0], photo) and (samples[1].frames == 9).all()
    tree('valid/Happy/a.jpg')
    assert [s.part for s in load(folder / 'valid')] == ['valid']


def test_a_clip_beside_pictures_makes_it_a_set_of_clips(tree):
    tree('happy/anna_1.mp4')
    with pytest.warns(UserWarning, match='left out: preview.jpg'):
        samples = load(tree('happy/preview.jpg'))
    assert samples.set_name == 'clips' and len(samples) == 1


def test_a_picture_is_turned_upright_as_its_file_says(tmp_path, photo):
    (tmp_path / 'happy').mkdir()
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(photo)[:, :, ::-1]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned clockwise
    lying.save(tmp_path / 'happy/phone.jpg', exif=exif, quality=95)
    (sample,) = load(tmp_path)
    assert shows_the_face(sample, photo)


def test_the_home_folder(tree, monkeypatch):
    folder = tree('set/happy/a.png')
    monkeypatch.setenv('HOME', str(folder))
    assert len(load('~/set')) == 1


@pytest.mark.slow
def test_a_face_that_comes_late_costs_no_memory(tmp_path, photo):
    """80 frames of 2 MB, the face in the last 45; they are not held until it comes."""
    (tmp_path / 'happy').mkdir()
    writer = cv2.VideoWriter(
        str(tmp_path / 'happy/anna_1.avi'), cv2.VideoWriter.fourcc(*'MJPG'), 25, (960, 720)
    )
    blank = np.full((720, 960, 3), 90, np.uint8)
    shown = blank.copy()
    shown[200:440, 300:540] = photo
    for number in range(80):
        writer.write(blank if number < 35 else shown)
    writer.release()
    code = (
        'import resource, sys; from emotion_perception.datasets import load; '
        'most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = most(); '
        'sample, = load(sys.argv[1]); '
        'print(len(sample.frames), sample.frames[34].std() < 1, most() - before)'
    )
    ended = subprocess.run(
        [sys.executable, '-c', code, tmp_path], capture_output=True, text=True, check=True
    )
    count, blank_before, kilobytes = ended.stdout.split()
    assert (count, blank_before) == ('80', 'True') and int(kilobytes) < 60_000


def test_a_table_may_begin_with_a_byte_order_mark(tree):
    tree('KA.AN1.39.png')
    (sample,) = load(tree('labels.csv', '\ufefffile,subject,label\nKA.AN1.39.png,KA,anger\n'))
    assert sample.label == 'anger'


def test_recordings_without_a_face_are_named(tree):
    tree('KA.AN1.39.png')
    folder = tree('KA.AN2.40.png', np.full((200, 200, 3), 90, np.uint8))
    with pytest.warns(UserWarning, match='no face found in 1 of 2.*: KA.AN2.40.png'):
        samples = load(folder)
    assert samples.without_face == ['KA.AN2.40.png']
    assert [sample.name for sample in samples] == ['KA.AN1.39.png']


def test_frames_without_a_face_keep_their_place(tree, photo):
    blank = np.full_like(photo, 90)
    for number in range(8):
        folder = tree(f'happy/anna_1/{number}.png', blank if number in (0, 5) else photo)
    (sample,) = load(folder)
    assert len(sample.frames) == 8
    assert sample.frames[0].std() < 1 and sample.frames[5].std() < 1 < sample.frames[6].std()


def test_unknown_folder_lists_the_layouts(tmp_path):
    with pytest.raises(DatasetError, match='none of the known layouts(.|\n)*Oulu-CASIA'):
        load(tmp_path)


@pytest.mark.parametrize(
    'file, path, message',
    [
        ('d10.mp4', '', 'd10.mp4 lies in no folder that is named by a label'),
        ('d10.MOV', 'd10.MOV', 'd10.MOV lies in no folder that is named by a label'),
        ('merry/anna_1.avi', '', 'the folder merry is named by no label'),
    ],
)
def test_unlabelled_clips_are_named(tmp_path, file, path, message):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text('')
    with pytest.raises(
        DatasetError,
        match=f'labels are missing: {message}; expected '
        'FOLDER/<label>/<person>_<any>.mp4, <label> being one of anger, ',
    ):
        load(tmp_path / path)


def test_missing_folder(tmp_path):
    with pytest.raises(DatasetError, match='nowhere does not exist'):
        load(tmp_path / 'nowhere')


@pytest.mark.parametrize(
    'files, message',
    [
        (
            {'cohn-kanade-images/S005/001/S005_001_00000001.png': None},
            'Emotion is missing; expected',
        ),
        (
            {'cohn-kanade-images/README': '', 'Emotion/S1/001/S1_001_00000003_emotion.txt': '3'},
            'S1/001 holds no image',
        ),
        (
            {'cohn-kanade-images/S1/001/a.png': None, 'Emotion/S1/001/S1_001_3_emotion.txt': '9'},
            'S1_001_3_emotion.txt does not hold a code from 0 to 7',
        ),
        ({'FER2013Train/fer0000000.png': None}, 'fer2013new.csv is missing; expected FER'),
        ({'fer2013.csv': [['emotion', 'pixels']]}, 'fer2013.csv has no column Usage'),
        (
            {'fer2013.csv': [['emotion', 'pixels', 'Usage'], [7, '1 2', 'Training']]},
            'fer2013.csv, line 2',
        ),
        ({'fer2013.csv': [['emotion', 'pixels', 'Usage']]}, 'holds no labelled face'),
        ({'apex/a.jpg': None}, 'apex.csv is missing; expected packed CK'),
        (
            {'apex.csv': [['file', 'subject', 'label'], ['a.jpg', 'S1', 'fear']]},
            'a.jpg is missing; expected packed CK',
        ),
        (
            {'apex.csv': [['file', 'subject', 'label'], ['a.jpg', 'S1']]},
            'apex.csv, line 2: fewer cells than columns; expected packed CK',
        ),
        (
            {'apex.csv': b'file,subject,label\n\xff\xfe'},
            'apex.csv cannot be read as a table: .*; expected packed CK',
        ),
        (
            {
                'sequences.csv': [
                    ['sequence', 'subject', 'label', 'n_frames', 'complete_neutral_to_apex'],
                    ['S1_001', 'S1', 'fear', 'many', 1],
                ]
            },
            'S1_001 holds 0 images, .*sequences.csv says many; expected packed CK',
        ),
        (
            {'fer2013new.csv': [FERPLUS[0], votes_row('Training', 'a.png', {'fear': 'x'})]},
            'fer2013new.csv, line 2: not one of Training, .*; expected FER',
        ),
        (
            {'fer2013new.csv': [FERPLUS[0], votes_row('Learning', 'a.png', {})]},
            'fer2013new.csv, line 2: not one of Training, .*; expected FER',
        ),
        ({'fer2013new.csv': FERPLUS}, 'FER2013Train/fer0000000.png is missing; expected FER'),
        (
            {'labels.csv': [['file', 'subject', 'label'], ['a.jpg', 'S1', 'joyful']]},
            "labels.csv: 'joyful' is none of",
        ),
        (
            {'labels.csv': [['file', 'subject', 'label'], ['a.jpg', 'S1', 'fear']], 'a.jpg': 'x'},
            'a.jpg cannot be read as an image; expected packed JAFFE',
        ),
        (
            {'KA.AN1.39.tiff': 'no image'},
            'KA.AN1.39.tiff cannot be read as an image; expected JAFFE',
        ),
        (
            {'cohn-kanade-images/S1/001/a.png': 'x', 'Emotion/S1/001/S1_001_3_emotion.txt': '3'},
            'a.png cannot be read as an image; expected CK',
        ),
        ({'Sessions/1/S001-001.avi': None}, 'session.xml is missing; expected MMI'),
        ({'VL/Weak/P001/Anger/000.jpeg': None}, 'Strong is missing; expected Oulu'),
        ({'VL/Strong/P001/Angst/000.jpeg': None}, "Angst: 'Angst' is none of"),
        ({'Actor_01/clip.mp4': 'x'}, 'clip.mp4 is not named with seven codes'),
        (
            {'Actor_01/01-01-03-02-01-01-01.mp4': 'x'},
            'cannot be read as a video: it is damaged.*; expected RAVDESS',
        ),
        ({'Actor_01/README': 'x'}, 'holds no labelled face; expected RAVDESS'),
        (
            {'Sessions/1/session.xml': '<session/>', 'Sessions/1/S001-1.xml': '<MMI'},
            'S001-1.xml is not XML: .*; expected MMI',
        ),
        (
            {
                'Sessions/1/session.xml': '<session/>',
                'Sessions/1/S001-1.xml': '<MMI><Metatag Name="Emotion" Value="4"/></MMI>',
                'Sessions/1/S001-1.avi': 'x',
            },
            'S001-1.avi cannot be read as a video: it is damaged.*; expected MMI',
        ),
        (
            {'VL/Strong/P001/Anger/000.jpeg': 'x'},
            '000.jpeg cannot be read as an image; expected Oulu',
        ),
        (
            {'happy/anna.mp4': 'x'},
            'anna.mp4 cannot be read as a video: it is damaged.*; expected clips',
        ),
        ({'happy/anna/1.jpg': 'x'}, '1.jpg cannot be read as an image; expected clips'),
        ({'happy/anna/1.txt': 'x'}, 'happy holds no clip; expected clips'),
        ({'happy/.hidden': 'x'}, 'happy holds no clip; expected clips'),
        ({'happy/anna.mp4': 'x', 'merry/a.mp4': 'x'}, "merry: 'merry' is none of"),
        ({'happy/anna.txt': 'x'}, 'happy holds no clip; expected clips'),
        ({'happy/anna.jpg': 'x'}, 'anna.jpg cannot be read as an image; expected pictures'),
        ({'happy/a.jpg': None, 'merry/a.jpg': None}, "merry: 'merry' is none of"),
    ],
)
def test_errors_name_the_file_and_the_layout(tmp_path, photo, tree, files, message):
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content)
        else:
            tree(name, photo if content is None else content)
    with pytest.raises(DatasetError, match=message):
        load(tmp_path)


def test_a_broken_picture_is_said_in_our_words_alone(tree, photo, capfd):
    folder = tree('happy/a.png')
    content = (folder / 'happy/a.png').read_bytes()
    (folder / 'happy/a.png').write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match='a.png cannot be read as an image'):
        load(folder)
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('side', [20_000, 1 << 19])
def test_a_picture_that_claims_to_be_huge_is_not_decoded(tree, side):
    folder = tree('happy/a.png')
    png = bytearray((folder / 'happy/a.png').read_bytes())
    png[16:24] = side.to_bytes(4, 'big') * 2  # its width and height
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, 'big')
    (folder / 'happy/a.png').write_bytes(png)
    with pytest.raises(DatasetError, match=r'a.png: Image size \(\d+ pixels\) exceeds limit'):
        load(folder)


def test_archives_that_are_none_are_refused(tmp_path):
    (tmp_path / 'valid.npz').write_bytes(b'PK no archive')
    with pytest.raises(DatasetError, match='valid.npz cannot be read as a NumPy archive'):
        load(tmp_path / 'valid.npz')


FACES = {
    'images': np.zeros((2, 48, 48), np.uint8),
    'label': np.array(['fear', 'anger']),
    'name': np.array(['a', 'b']),
}


VOTES = {**FACES, 'votes': np.ones((2, 10), int), 'fer2013_label': FACES['label']}


@pytest.mark.parametrize(
    'content, message',
    [
        (
            {**FACES, 'images': np.zeros((2, 48, 48))},
            r'images are float64 \[2, 48, 48\], not uint8',
        ),
        ({**FACES, 'images': np.zeros((2, 9), np.uint8)}, r'images are uint8 \[2, 9\], not uint8'),
        ({**FACES, 'label': np.array(['fear'])}, r'label is \[1\], but there are 2 images'),
        ({**FACES, 'label': np.array([0, 3])}, "label is int64, not text, such as 'happiness'"),
        ({**FACES, 'label': np.array([b'fear', b'anger'])}, r'label is \|S5, not text'),
        (
            {**FACES, 'votes': np.array([['1'] * 10] * 2), 'fer2013_label': FACES['label']},
            'votes is <U1, not whole numbers',
        ),
        ({**VOTES, 'votes': np.full((2, 10), np.nan)}, 'votes is float64, not whole numbers'),
        ({**VOTES, 'votes': np.full((2, 10), -1)}, r'votes are \[2, 10\] from -1 on'),
        (
            {**VOTES, 'fer2013_label': np.array(['x', 'y'])},
            "'x' is none of anger",
        ),
        ({**FACES, 'label': FACES['label'][:, np.newaxis]}, r'label is \[2, 1\], but there are 2'),
        ({**FACES, 'images': np.zeros((2, 0, 9), np.uint8)}, r'images are uint8 \[2, 0, 9\], not'),
        ({'images': FACES['images'], 'label': FACES['label']}, 'has no array name'),
        ({**FACES, 'label': np.array(['fear', None])}, 'cannot be read: it holds Python objects'),
        ({'label': FACES['label'], 'name': FACES['name']}, 'has no array images'),
        (
            {**FACES, 'votes': np.zeros((2, 8), int), 'fer2013_label': FACES['label']},
            r'votes are \[2, 8\]',
        ),
    ],
)
def test_archives_with_wrong_arrays_are_refused(tree, content, message):
    with pytest.raises(DatasetError, match=f'faces.npz:? {message}.*; expected packed'):
        load(tree('faces.npz', content) / 'faces.npz')


def test_a_damaged_archive_is_refused_in_words_wherever_it_is_damaged(tmp_path):
    path = tmp_path / 'faces.NPZ'
    with path.open('wb') as file:
        np.savez(file, **FACES)
    content, random, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(300):
        damaged = bytearray(content)
        for at in random.integers(0, len(content), 8):
            damaged[at] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            load(path)
        except DatasetError as error:
            refused += 'faces.NPZ' in str(error)
    assert refused > 200
    with path.open('wb') as file:
        np.save(file, FACES['images'])
    with pytest.raises(DatasetError, match='it is a single array .*; np.savez writes archives'):
        load(path)


def test_file_names_of_another_encoding(portrait, tmp_path):
    folder = tmp_path / 'happy' / os.fsdecode(b'G\xfcnter_1')
    folder.mkdir(parents=True)
    for number in (1, 2):
        (folder / f'{number}.png').write_bytes(cv2.imencode('.png', portrait)[1])
    (sample,) = load(tmp_path)
    assert sample.subject == os.fsdecode(b'G\xfcnter') and len(sample.frames) == 2


def test_pictures_of_10_bits_are_as_bright_as_those_of_8(portrait, tmp_path):
    (tmp_path / 'happy' / 'anna_1').mkdir(parents=True)
    gray = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    cv2.imwrite(str(tmp_path / 'happy' / 'anna_1' / '1.png'), gray)
    cv2.imwrite(str(tmp_path / 'happy' / 'anna_1' / '2.png'), gray.astype(np.uint16) << 2)
    (sample,) = load(tmp_path)
    np.testing.assert_array_equal(*sample.frames)


def test_damaged_archives_are_refused(tmp_path):
    path = tmp_path / 'faces.npz'
    np.savez_compressed(
        path,
        **FACES
        | {'images': np.random.default_rng(0).integers(0, 255, (2, 48, 48)).astype(np.uint8)},
    )
    damaged = bytearray(path.read_bytes())
    damaged[2000:2100] = bytes(100)
    path.write_bytes(damaged)
    with pytest.raises(DatasetError, match='faces.npz cannot be read: .*; expected packed faces'):
        load(path)


def test_a_set_without_samples_of_a_kind_is_refused(tree):
    folder = tree('KA.AN1.39.png')
    with pytest.raises(DatasetError, match='holds no sequences; it was read as JAFFE'):
        load(folder, 'sequences')
    folder = tree('clips/happy/anna_1.mp4') / 'clips'
    with pytest.raises(DatasetError, match='holds no stills; it was read as clips'):
        load(folder, 'stills')


def test_a_set_without_any_face_is_refused(tree):
    folder = tree('KA.AN1.39.png', np.full((200, 200, 3), 90, np.uint8))
    with (
        pytest.warns(UserWarning, match='no face found in 1 of 1'),
        pytest.raises(DatasetError, match='shows no face that was found; .* JAFFE'),
    ):
        load(folder)


def test_unknown_kind_is_refused(tree):
    with pytest.raises(ValueError, match="'stills' or 'sequences'"):
        load(tree('fer2013.csv', FER2013), 'films')


def test_real_ferplus(data_dir):
    samples = load(data_dir / 'ferplus' / 'valid.npz')
    assert len(samples) == 3533
    six = ('anger', 'disgust', 'fear', 'happiness', 'sadness', 'surprise')
    assert sum(sample.label in six for sample in samples) == 2092


@pytest.mark.slow
def test_real_jaffe_shows_a_face_in_each_image(data_dir):
    samples = load(data_dir / 'jaffe')
    assert len(samples) == 127 and not samples.without_face


@pytest.mark.slow
def test_real_ckplus_sequences(data_dir):
    samples = load(data_dir / 'ckplus' / 'sequences.csv')
    assert not samples.without_face
    headline = [s for s in samples if s.neutral_to_apex and s.label != 'contempt']
    assert len(headline) == 25 and len({s.subject for s in headline}) == 7
