"""Clips through the whole running system, and what is said of them."""

import json

import cv2
import numpy as np
import pytest

from emotion_perception import evaluate
from emotion_perception.emotions import LABELS
from emotion_perception.evaluation import held
from emotion_perception.evaluation.live_video import at_rate, evaluate_video, report
from emotion_perception.evaluation.watched import clips_figures, NO_FACE, Watched
from emotion_perception.pipeline import EmotionPipeline


def watched(label, given, person='ann', rate=10, ids=None):
    """Return a clip in which each frame has a label of LABELS, or None for no face."""
    label_ids = np.array([NO_FACE if name is None else LABELS.index(name) for name in given])
    return Watched(
        f'{label}/{person}',
        person,
        label,
        np.arange(len(given)) * 10**9 // rate,
        label_ids,
        np.zeros((len(given), 6)),
        np.zeros(len(given)),
        np.where(label_ids == NO_FACE, NO_FACE, 1) if ids is None else np.array(ids),
    )


def test_neutral_clips_count_shares_false_starts_and_changes():
    result = clips_figures(
        [
            watched('neutral', [None] + ['neutral'] * 6 + ['fear'] * 2 + ['neutral'] * 2),
            watched('neutral', ['neutral'] * 10, 'ann'),
            watched('neutral', ['anger'] * 5, 'bob'),
        ]
    )
    row = result['neutral']
    assert (row['n'], row['people']) == (3, 2)
    assert row['share_neutral'] == pytest.approx((0.9 + 0) / 2), 'each person counts alike'
    assert row['share_neutral_of_clips'] == pytest.approx((0.8 + 1 + 0) / 3)
    # Two changes and one start in 1.1 s; the other one begins with a start.
    assert row['changes'] == pytest.approx(60 * (2 / 1.1 + 0) / 2 / 2)
    assert row['false_starts_of_clips'] == pytest.approx(60 * (1 / 1.1 + 0 + 1 / 0.5) / 3)
    assert result['without_face'] == pytest.approx(1 / 26) and 'emotional' not in result
    low, high = row['intervals']['share_neutral']
    assert low == 0 and high == pytest.approx(0.9)


def test_a_face_that_is_lost_for_a_moment_is_no_false_start():
    clip = watched('neutral', ['neutral', 'fear', None, 'fear', None, None, 'fear', 'neutral'])
    assert clip.starts == 1
    assert watched('neutral', [None, None]).starts == 0


def test_a_clip_without_any_face_shows_nothing_wrong():
    row = clips_figures([watched('fear', [None] * 5)])['emotional']
    assert (row['right'], row['neutral'], row['wrong']) == (0, 0, 0)


def test_emotional_clips_count_right_neutral_wrong_and_how_soon():
    result = clips_figures(
        [
            watched('fear', ['neutral'] * 2 + ['fear'] * 2 + ['surprise'] + ['fear'] * 5),
            watched('happiness', ['anger'] * 10, 'bob'),
            watched('neutral', ['neutral'] * 10),
        ]
    )
    row = result['emotional']
    assert row['right'] == pytest.approx(0.35) and row['neutral'] == pytest.approx(0.1)
    assert row['wrong'] == pytest.approx((0.1 + 1) / 2)
    assert row['by_emotion'] == {'fear': pytest.approx(0.7), 'happiness': 0}
    assert row['mean_of_emotions'] == pytest.approx(0.35)
    assert (row['first_right'], row['first_right_never']) == (pytest.approx(0.2), 1)
    assert (row['stays_right'], row['stays_right_never']) == (pytest.approx(0.5), 1)
    assert result['both'] == pytest.approx((1 + 0.35) / 2)


def test_another_face_is_a_change_of_id():
    clip = watched('neutral', ['neutral'] * 5, ids=[1, 1, 2, 2, 3])
    assert clips_figures([clip])['id_changes'] == 2


@pytest.mark.parametrize(
    'own, rate, left',
    [(30, 30, 30), (29.97, 30, 30), (30, 15, 15), (24, 15, 15), (5, 30, 5), (60, 5, 5)],
)
def test_a_video_is_watched_no_faster_than_it_is(own, rate, left):
    images = [(round(i * 1e9 / own), np.empty((1, 1, 3), np.uint8)) for i in range(round(own))]
    stamps = [stamp for stamp, _ in at_rate(images, rate)]
    assert len(stamps) == left and stamps[0] == 0


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Return a folder of clips and pictures of one face that moves a little."""
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    face = cv2.cvtColor(data.astronaut()[:300, 80:400], cv2.COLOR_RGB2BGR)
    folder = tmp_path_factory.mktemp('folder')
    for name in ('clips/happiness/ann_1', 'clips/neutral/ann_2'):
        path = (folder / name).with_suffix('.avi')
        path.parent.mkdir(parents=True)
        video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 30, (320, 300))
        for i in range(24):
            video.write(cv2.warpAffine(face, np.float64([[1, 0, i / 4], [0, 1, 0]]), (320, 300)))
        video.release()
    for name in ('pictures/happiness/ann_1', 'pictures/neutral/ann_2'):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / '0.png'), face)
    return folder


@pytest.mark.slow
def test_the_command_watches_clips_and_draws_their_timelines(folder, tmp_path, capsys):
    pytest.importorskip('matplotlib', reason='draws the timelines')
    evaluate.main(
        [
            'video',
            str(folder / 'clips'),
            '--json',
            str(tmp_path / 'figures.json'),
            '--plots',
            str(tmp_path / 'plots'),
        ]
    )
    result = json.loads((tmp_path / 'figures.json').read_text())
    assert list(result) == ['30', '15', '5'] and result['30']['n'] == 2
    # She smiles in both.
    assert result['30']['emotional']['right'] > 0.9 > 0.1 > result['30']['neutral']['share_neutral']
    assert result['30']['without_face'] <= 2 / 24
    said = capsys.readouterr().out
    assert 'at 15 frames a second: 2 clips, 1 people' in said and 'happiness 100' in said
    plots = sorted(path.name for path in (tmp_path / 'plots').iterdir())
    assert plots == ['happiness_ann_1_avi.png', 'neutral_ann_2_avi.png']
    assert all(cv2.imread(str(path)).std() > 20 for path in (tmp_path / 'plots').iterdir())


def test_one_video_needs_no_label(folder):
    result = evaluate_video(folder / 'clips/happiness/ann_1.avi', EmotionPipeline())
    assert result['30']['labels']['happiness'] > 0.9 and 'happiness' in report(result)


def test_a_folder_without_clips_is_refused(tmp_path, capsys):
    (tmp_path / 'neutral').mkdir()
    with pytest.raises(SystemExit):
        evaluate.main(['video', str(tmp_path)])
    assert 'holds no clip' in capsys.readouterr().err
    (tmp_path / 'notes.txt').write_text('words')
    with pytest.raises(SystemExit):
        evaluate.main(['video', str(tmp_path / 'notes.txt')])
    assert 'notes.txt cannot be read as a video' in capsys.readouterr().err


def test_the_command_holds_pictures(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(held, 'HELD', 20)
    monkeypatch.setattr(held, 'LOOKED_AT', (10, 20))
    monkeypatch.setattr(held, 'SHOWN', 12)
    evaluate.main(['held', str(folder / 'pictures'), '--json', str(tmp_path / 'figures.json')])
    result = json.loads((tmp_path / 'figures.json').read_text())
    assert (result['n'], result['n_six'], result['n_after_neutral']) == (2, 1, 1)
    assert result['one_label'] == result['right'] == 1
    assert result['right_at'] == {'10': 1, '20': 1}
    assert 'keep one label for 12 frames' in capsys.readouterr().out
