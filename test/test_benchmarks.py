"""The benchmarks' own arithmetic: what counts as found, and where the faces of a scene are."""

import sys

import numpy as np
import pytest


@pytest.fixture(scope='module', autouse=True)
def benchmarks(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / 'benchmarks')
        yield
    for name in ('matching', 'scenes', 'report', 'environments', 'readers', 'live_video'):
        sys.modules.pop(name, None)


BOX, OTHER = (10, 10, 40, 40), (100, 10, 40, 40)


@pytest.mark.parametrize(
    'box, expected',
    [
        (BOX, 1.0),
        (OTHER, 0.0),
        ((30, 10, 40, 40), 1 / 3),
        ((50, 10, 40, 40), 0.0),
        ((20, 20, 20, 20), 0.25),
    ],
)
def test_intersection_over_union(box, expected):
    from matching import intersection_over_union

    assert intersection_over_union(BOX, box) == pytest.approx(expected)


def test_the_better_box_of_two_is_the_match():
    from matching import match

    assert match([(14, 10, 40, 40), (11, 10, 40, 40), OTHER], [OTHER, BOX]) == {0: 2, 1: 1}


def test_recall_false_boxes_and_switches_are_counted():
    from matching import agreement

    truth = [[BOX, OTHER]] * 4
    found = [
        [(1, *BOX), (2, *OTHER)],
        [(1, *BOX)],  # one missed
        [(1, *BOX), (3, *OTHER), (4, 0, 200, 9, 9)],  # another id after the gap, a false box
        [(3, *BOX), (1, *OTHER)],
    ]  # both exchanged
    result = agreement(found, truth)
    assert (result.recall, result.false_boxes, result.id_switches) == (7 / 8, 1, 3)


def test_a_second_box_of_a_face_is_false():
    from matching import agreement

    assert agreement([[(1, *BOX), (2, *BOX)]], [[BOX]]).false_boxes == 1


def test_a_system_without_ids_has_no_switches():
    from matching import agreement

    assert agreement([[(None, *BOX)]] * 2, [[BOX]] * 2).id_switches is None


def test_frames_without_a_box_count_in_the_mean_overlap():
    from matching import mean_overlap

    assert mean_overlap([[], [(1, *BOX)]], [[BOX], [BOX]]) == 0.5


def actors(*colors):
    from scenes import Actors, SOURCE

    faces = [np.full((3, SOURCE, SOURCE, 3), color, np.uint8) for color in colors]
    return Actors(faces, np.full((90, 120, 3), 128, np.uint8), 'plain colours')


@pytest.mark.parametrize('faces', [1, 3, 8])
@pytest.mark.parametrize('width, height', [(640, 480), (1280, 720)])
def test_faces_stand_inside_the_image_and_apart(faces, width, height):
    from scenes import compose

    scene = compose(actors(0), faces, width, height, 40)
    assert scene.images.shape == (40, height, width, 3)
    x, y, w, h = np.moveaxis(scene.truth, -1, 0)
    assert (x >= 0).all() and (y >= 0).all()
    assert (x + w <= width).all() and (y + h <= height).all()
    for i in range(faces):
        for j in range(i):
            apart_x = abs(x[:, i] + w[:, i] / 2 - x[:, j] - w[:, j] / 2) >= (w[:, i] + w[:, j]) / 2
            apart_y = abs(y[:, i] + h[:, i] / 2 - y[:, j] - h[:, j] / 2) >= (h[:, i] + h[:, j]) / 2
            assert (apart_x | apart_y).all()


def test_the_truth_is_where_the_face_was_drawn():
    from scenes import compose

    scene = compose(actors((0, 0, 255), (255, 0, 0)), 2, 640, 480, 30)
    for image, boxes in zip(scene.images, scene.truth):
        for (x, y, w, h), channel in zip(boxes, (2, 0)):
            inside = image[int(y + 0.2 * h) : int(y + 0.8 * h), int(x + 0.2 * w) : int(x + 0.8 * w)]
            assert (inside[..., channel] > 240).all() and (inside[..., 1] < 15).all()
            # The picture reaches .585 face sizes to the side of the middle, blurred.
            assert image[int(y + h / 2), max(int(x - 0.3 * w), 0), 1] > 100


def test_faces_move_and_the_scene_is_the_same_every_time():
    from scenes import compose

    first, second = (compose(actors(0, 255), 2, 320, 240, 40) for _ in range(2))
    assert (first.images == second.images).all() and (first.truth == second.truth).all()
    assert (np.ptp(first.truth[:, :, :2], axis=0) > 5).all()


def test_to_and_fro_has_no_jump():
    from scenes import to_and_fro

    assert [to_and_fro(i, 4) for i in range(8)] == [0, 1, 2, 3, 2, 1, 0, 1]
    assert [to_and_fro(i, 1) for i in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(
    'light, face, beside', [('darkened', 30, 19), ('backlit', 40, 235), ('noisy', 200, 128)]
)
def test_the_light_of_a_scene(light, face, beside):
    import scenes

    scene = scenes.compose(actors(200), 1, 320, 240, 3)
    lit = getattr(scenes, light)(scene)
    assert lit.images.shape == scene.images.shape and (lit.truth == scene.truth).all()
    x, y, width, height = lit.truth[0, 0].astype(int)
    inside = lit.images[
        0, y + height // 3 : y + 2 * height // 3, x + width // 3 : x + 2 * width // 3
    ]
    assert inside.mean() == pytest.approx(face, abs=4)
    assert lit.images[0, :20].mean() == pytest.approx(beside, abs=4)


def test_tables_go_where_the_document_wants_them(tmp_path, root):
    pytest.importorskip('matplotlib', reason='needs requirements/bench.txt')
    from report import COLUMNS, tables, write_tables

    pipeline = {
        'system': 'emotion_perception',
        'version': 'abc',
        'faces': 3,
        'width': 640,
        'height': 480,
        'threads': 2,
        'ms_median': 1.25,
        'ms_p95': 2,
        'cpu_s': 0.1,
        'recall': 1,
        'false_boxes': 0,
        'id_switches': None,
        'frames': 7,
    }
    results = {
        'date': '2000-01-01',
        'minutes': 1,
        'scenes': 'nothing',
        'not_measured': {'fer': 'why'},
        'machine': dict.fromkeys(
            ('processor', 'cores', 'memory_gb', 'system', 'python', 'opencv'), 'x'
        ),
        'pipeline': [pipeline],
        'light': [],
        'tracking': [],
        'node': [],
        'start': dict.fromkeys(COLUMNS['start'], 0.5),
        'offline': [dict.fromkeys(COLUMNS['offline'], 0.25)],
        'growth': {
            'faces': [],
            'sequence_length': [],
            'memory': dict.fromkeys(
                ('minutes', 'mb_an_hour', 'rss_mb_after_first_minute', 'rss_mb_at_end'), 0
            ),
        },
    }
    document = tmp_path / 'benchmarks.md'
    document.write_text((root / 'docs' / 'benchmarks.md').read_text())
    for _ in range(2):  # also where a table stands already
        write_tables(document, tables(results))
    text = document.read_text()
    assert '| emotion_perception | 3 | 640 | 480 | 2 | 1.25 | 2 | 0.1 | 1 | 0 | – | 7 |' in text
    assert all(table in text for table in tables(results).values())


ANGRY, NEUTRAL, MISSING = [1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0.6], [np.nan] * 7


@pytest.mark.parametrize(
    'seconds, labels', [(0, [6, 6, -1, 0, 6]), (1, [6, 6, -1, 6, 6]), (0.25, [6, 6, -1, 0, 0])]
)
def test_single_images_are_averaged_over_frames_with_a_face(seconds, labels):
    pytest.importorskip('matplotlib', reason='needs requirements/bench.txt')
    from live_video import labels_of

    shares = np.array([NEUTRAL, NEUTRAL, MISSING, ANGRY, NEUTRAL])
    assert labels_of(np.arange(5) * 10**8, shares, seconds).tolist() == labels
    assert labels_of(np.arange(2), np.full((2, 7), np.nan), 1).tolist() == [-1, -1]


#: Says of each image that all of it is one face, as angry as its first pixel is blue.
RIVAL = """
import json, sys
print(json.dumps('1.2.3'), flush=True)
while line := sys.stdin.buffer.readline():
    width, height = map(int, line.split())
    blue = sys.stdin.buffer.read(width * height * 3)[0]
    if blue == 255:
        sys.exit(3)
    print(json.dumps([{'box': [0, 0, width, height], 'scores': {'angry': blue}}]), flush=True)
"""


def test_a_rival_is_asked_once_about_each_recording(tmp_path, monkeypatch):
    monkeypatch.setenv('EMOTION_PERCEPTION_BENCH_CACHE', str(tmp_path / 'cache'))
    from environments import Rival
    import readers

    script, recording = tmp_path / 'rival.py', tmp_path / 'recording'
    script.write_text(RIVAL)
    monkeypatch.setattr(readers, 'SYSTEMS', tmp_path)
    monkeypatch.setattr(
        readers, 'command', lambda rival, name: ([sys.executable, str(tmp_path / name)], [])
    )
    frames = [(n * 10**9, np.full((2, 3 + n, 3), n, np.uint8)) for n in range(3)]
    expected = [
        '1.2.3',
        [[n * 10**9, [{'box': [0, 0, 3 + n, 2], 'scores': {'angry': n}}]] for n in range(3)],
    ]
    rival = Rival('rival', '', 'rival', (['rival==1.2.3'],), reader='rival.py')
    recording.write_bytes(b'one')
    with readers.Reader(rival) as reader:
        assert reader.answers(recording, 10, frames) == expected
        assert reader.answers(recording, 10, []) == expected, 'from the cache'
        assert reader.answers(recording, 5, []) == ['1.2.3', []], 'another rate'
        recording.write_bytes(b'another')
        assert reader.answers(recording, 10, frames[:1]) == ['1.2.3', expected[1][:1]]
        with pytest.raises(RuntimeError, match='rival.py ended with 3'):
            reader.answers(recording, 1, [(0, np.full((1, 1, 3), 255, np.uint8))])
    with readers.Reader(rival) as reader:
        assert reader.answers(recording, 10, []) == ['1.2.3', expected[1][:1]], 'of an earlier run'
    rival = Rival('rival', '', 'rival', (['rival==1.2.4'],), reader='rival.py')
    with readers.Reader(rival) as reader:
        assert reader.answers(recording, 10, []) == ['1.2.3', []], 'another version is asked anew'
