"""Events measured on whole videos."""

import json
import re

import cv2
import numpy as np
import pytest

from emotion_perception import evaluate
from emotion_perception.datasets import DatasetError
from emotion_perception.evaluation.events import clips_in, evaluate_events, fade
from emotion_perception.pipeline import EmotionPipeline


@pytest.fixture(scope='module')
def pipeline():
    return EmotionPipeline()


def test_a_pair_fades_from_one_to_the_other():
    frames = list(fade(np.zeros((4, 6, 3), np.uint8), np.full((8, 12, 3), 200, np.uint8)))
    stamps = [stamp for stamp, _ in frames]
    grey = [int(image[0, 0, 0]) for _, image in frames]
    assert len(frames) == 105 and stamps[30] == 10**9
    assert {image.shape for _, image in frames} == {(4, 6, 3)}
    assert grey[30] == 0 < grey[31] and grey[37] < 100 < grey[38] and set(grey[45:]) == {200}


def test_people_whom_the_model_knows_are_named(data_dir, tmp_path, capsys):
    for label in ('neutral', 'happiness'):
        (tmp_path / f'001_{label}.jpg').symlink_to(data_dir / 'london' / f'001_{label}.jpg')
    with pytest.warns(UserWarning, match='trained on 001: these figures say nothing'):
        evaluate.main(['events', str(tmp_path)])


def test_a_smile_of_a_pair_is_seen(pipeline, data_dir, tmp_path):
    for label in ('neutral', 'happiness'):
        (tmp_path / f'a_{label}.jpg').symlink_to(data_dir / 'london' / f'001_{label}.jpg')
    result = evaluate_events(pipeline, clips_in(tmp_path)[1])
    assert list(result) == ['happiness']
    figures = result['happiness']
    assert figures['clips'] == figures['seen'] == 1 and figures['share'] == 1.0
    assert figures['minutes'] == pytest.approx(104 / 30 / 60)
    assert 0.25 <= figures['delay'] <= 2.25 and not figures['missed']


def test_clips_are_counted_by_label(pipeline, tmp_path, root):
    """A clip without a face: nothing is seen in it, and nothing is false."""
    for label in ('neutral', 'sadness'):
        folder = tmp_path / label / 'somebody_1'
        folder.mkdir(parents=True)
        for frame in range(31):
            cv2.imwrite(str(folder / f'{frame:02}.png'), np.full((120, 160, 3), 90, np.uint8))
    result = evaluate_events(pipeline, clips_in(tmp_path)[1])
    assert list(result) == ['neutral', 'sadness']
    for figures in result.values():
        assert figures['clips'] == 1 and figures['minutes'] == pytest.approx(1 / 60)
        assert figures['false_starts'] == figures['false_labels_per_minute'] == 0
    assert result['sadness']['missed'] == ['sadness/somebody_1']
    assert result['sadness']['delay'] is None and 'seen' not in result['neutral']
    assert '-' in evaluate.events_report(result).splitlines()[-1]


def test_the_command(capsys, tmp_path):
    folder = tmp_path / 'clips' / 'happiness' / 'somebody_1'
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / '0.png'), np.full((120, 160, 3), 90, np.uint8))
    cv2.imwrite(str(folder / '1.png'), np.full((120, 160, 3), 90, np.uint8))
    evaluate.main(['events', str(tmp_path / 'clips'), '--json', str(tmp_path / 'events.json')])
    shown = capsys.readouterr().out
    assert 'false starts a minute' in shown and 'happiness' in shown
    assert json.loads((tmp_path / 'events.json').read_text())['happiness']['missed']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['/nowhere'], 'holds no such clips; expected pairs of photographs'),
        (['/nowhere', '--part', 'test'], '--labels and --part go with data sets of faces'),
        (['/nowhere', '--model', '/no.json'], 'model: .*/no.json'),
    ],
)
def test_the_command_says_what_is_wrong(arguments, message, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(['events', *arguments])
    assert re.search(message, capsys.readouterr().err)


def test_a_file_that_is_none_is_named(pipeline, tmp_path):
    (tmp_path / 'neutral').mkdir()
    (tmp_path / 'neutral' / 'a_1.mp4').write_bytes(b'none')
    with pytest.raises(DatasetError, match='a_1.mp4'):
        evaluate_events(pipeline, clips_in(tmp_path)[1])
