"""Evaluation with a model whose every answer is known: a crop's pixels say what it gives."""

from dataclasses import replace
import json

import cv2
import numpy as np
import pytest

from emotion_perception import evaluate
from emotion_perception.datasets import Sample, Samples
from emotion_perception.evaluation.sequences import evaluate_sequences, resampled
from emotion_perception.evaluation.stills import evaluate_stills
from emotion_perception.labels import STRONGEST, WEAKEST
from emotion_perception.options import DEFAULTS


@pytest.fixture(autouse=True)
def labels_of_single_frames(monkeypatch):
    """Let each frame have its own label, so that the figures of a few frames are known."""
    for name, value in (
        ('label_window', 0.0),
        ('neutral_hysteresis', 0.0),
        ('neutral_threshold', 0.4),
    ):
        monkeypatch.setitem(DEFAULTS, name, value)


class PixelModel:
    """Answers with what stands in a crop: class of six, strength [%], class of eight."""

    trained_on = {'ckplus': ['S052'], 'jaffe': 'all', 'fer2013': ['train']}

    def encode(self, crops):
        return crops[:, 0, 0, :].astype(np.float32)

    def features(self, crops):
        # The angle to the apex falls with the intensity, so that s_t is known.
        angle = np.arccos(crops[:, 0, 0, 1] / 100)
        return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)

    def classify_all(self, kept, stamps_ns=None):
        scores = np.where(np.arange(6) == kept[:, :1], 0.75, 0.05).astype(np.float32)
        return scores, np.where(np.arange(6) == kept[:, :1], kept[:, 1:2] / 100, 0)

    def classify(self, sequences):
        outputs = [self.classify_all(kept) for kept in sequences]
        return tuple(np.stack([part[-1] for part in parts]) for parts in zip(*outputs))

    def stills_scores(self, kept):
        return {
            'seven': np.eye(7)[np.minimum(kept[:, 2].astype(int), 6)],
            'eight': np.eye(8)[kept[:, 2].astype(int)],
        }


def crop(six, intensity=100, eight=0):
    return np.broadcast_to(np.uint8([six, intensity, eight]), (64, 64, 3))


def still(name, label, six, intensity=100, eight=0, **fields):
    return Sample(name, None, label, crop(six, intensity, eight)[np.newaxis], **fields)


def sequence(name, label, frames, subject='S1', neutral_to_apex=True, rate=30.0):
    return Sample(
        name,
        subject,
        label,
        np.stack([crop(*frame) for frame in frames]),
        stamps_ns=rate and stamps(len(frames), rate),
        neutral_to_apex=neutral_to_apex,
    )


def stamps(count, rate):
    return np.array([round(number * 1e9 / rate) for number in range(count)])


STILLS = [
    still('a', 'anger', 0, eight=0, fer2013_label='sadness'),
    still('b', 'anger', 1, eight=0, fer2013_label='anger'),
    still('c', 'fear', 2, eight=6, fer2013_label='fear'),
    still('d', 'neutral', 3, intensity=10, eight=6, fer2013_label='neutral'),
    still('e', 'contempt', 3, eight=7, fer2013_label='neutral'),
    still('f', None, 4, eight=4, fer2013_label='sadness'),
]


def test_stills_count_what_is_labelled_with_each_set_of_classes():
    result = evaluate_stills(PixelModel(), STILLS)
    assert (result['n'], result['n_7'], result['n_8']) == (3, 4, 5)
    assert result['accuracy_6'] == pytest.approx(2 / 3)
    assert result['macro_recall_6'] == pytest.approx((1 / 2 + 1) / 2)
    assert result['recalls_6'] == [0.5, None, 1, None, None, None]
    assert result['accuracy_7'] == pytest.approx(3 / 4)
    assert result['accuracy_8'] == pytest.approx(4 / 5)
    assert result['confusion_8'][2][6] == 1 and np.sum(result['confusion_8']) == 5
    assert result['ece'] == pytest.approx(0.75 - 2 / 3)
    assert (result['below_threshold_neutral'], result['below_threshold_six']) == (1, 0)


def test_stills_are_held_for_a_second_of_video_too():
    class AddsUp(PixelModel):
        """Its intensity grows with every frame."""

        def classify_all(self, kept, stamps_ns=None):
            scores, intensities = super().classify_all(kept)
            return scores, intensities.cumsum(0)

    result = evaluate_stills(AddsUp(), STILLS)
    assert (result['below_threshold_neutral'], result['below_threshold_neutral_held']) == (1, 0)
    result = evaluate_stills(PixelModel(), STILLS)
    assert (result['below_threshold_neutral_held'], result['below_threshold_six_held']) == (1, 0)


def test_stills_by_their_fer2013_labels():
    result = evaluate_stills(PixelModel(), STILLS, 'fer2013')
    assert (result['n'], result['n_7']) == (4, 6)
    assert result['accuracy_6'] == pytest.approx(2 / 4)
    assert result['accuracy_7'] == pytest.approx(4 / 6)
    assert 'accuracy_8' not in result


def test_figures_lie_in_their_intervals():
    result = evaluate_stills(PixelModel(), STILLS * 5)
    for name, (low, high) in result['intervals'].items():
        assert 0 <= low <= result[name] <= high <= 1


def test_stills_without_a_label_of_the_six_are_refused():
    with pytest.raises(ValueError, match='no image has a label of anger, '):
        evaluate_stills(PixelModel(), STILLS[3:])
    with pytest.raises(ValueError, match='no image has a FER2013 label of anger, '):
        evaluate_stills(PixelModel(), [still('a', 'fear', 2)], 'fer2013')


RISING = [(0, 0), (0, 20), (0, 40), (5, 60), (5, 80), (5, 90), (5, 100)]  # surprise from frame 4


def test_accuracy_is_taken_at_frame_ceil_p_n():
    # Of seven frames: 2, 3, 5, 6 and 7.
    result = evaluate_sequences(PixelModel(), [sequence('a', 'surprise', RISING)])
    assert result['accuracy_at'] == {'20': 0, '40': 0, '60': 1, '80': 1, '100': 1}
    # Of five: 1 to 5, with no rounding of p n upward.
    result = evaluate_sequences(PixelModel(), [sequence('a', 'surprise', RISING[2:])])
    assert result['accuracy_at'] == {'20': 0, '40': 1, '60': 1, '80': 1, '100': 1}
    assert result['accuracy_6'] == 1 and result['n'] == 1


def test_intensity_of_the_true_class_against_the_target():
    middle = round(50 * (WEAKEST + STRONGEST))
    frames = [(5, 0), (5, middle), (5, 100)]
    result = evaluate_sequences(PixelModel(), [sequence('a', 'surprise', frames)])
    # Intensities 0, .5 and 1, targets 0, middle / 100 and 1.
    assert result['intensity_correlation'] == pytest.approx(
        np.corrcoef([0, 50, 100], [0, middle, 100])[0, 1]
    )
    assert result['intensity_mae'] == pytest.approx((50 - middle) / 300)
    # The model says another class: its intensity for the true one is 0.
    result = evaluate_sequences(PixelModel(), [sequence('a', 'fear', frames)] * 2)
    assert result['intensity_mae'] == pytest.approx((100 + middle) / 300)
    assert result['intensity_correlation'] is None
    assert result['intervals']['intensity_correlation'] is None


def test_lag_of_joined_sequences_of_one_person():
    happy, surprise = [(3, 50)] * 4, [(5, 20)] + RISING
    result = evaluate_sequences(
        PixelModel(),
        [
            sequence('a', 'happiness', happy),
            sequence('b', 'surprise', surprise),
            sequence('c', 'fear', happy),
            sequence('d', 'happiness', happy),
            sequence('e', 'anger', [(0, 90)] * 3, subject='S2'),
        ],
    )
    # a-b settles after 4 frames, of which the first is published as neutral; b-c never, c-d at
    # once; e is another person's.
    assert result['lag'] == {
        'changes': 3,
        'missed': 1,
        'frames': 2,
        'seconds': pytest.approx(2 / 30),
    }


def test_only_complete_sequences_of_the_six_make_the_headline():
    result = evaluate_sequences(
        PixelModel(),
        [
            sequence('a', 'surprise', RISING),
            sequence('b', 'contempt', RISING),
            sequence('c', 'surprise', RISING[:4], neutral_to_apex=False, rate=None),
        ],
    )
    assert (result['n'], result['other']['n']) == (1, 1)
    assert result['other']['accuracy_frames'] == 1 / 4
    assert result['other']['accuracy_6'] == 1
    assert result['other']['rates'] == {} and 'intensity_mae' not in result['other']


def clips():
    return [
        sequence(name, label, frames, neutral_to_apex=False)
        for name, label, frames in (
            ('a', 'happiness', [(3, 50)] * 6),
            ('b', 'neutral', [(3, 50)] * 2 + [(3, 30)] * 4),
            ('c', 'surprise', [(3, 30)] * 3 + [(5, 60)] * 3),
        )
    ]


def test_clips_are_the_headline_where_no_sequence_is_complete():
    result = evaluate_sequences(PixelModel(), clips())
    assert result['n'] == 2 and 'other' not in result
    assert result['accuracy_at'] == {'20': 0.5, '40': 0.5, '60': 1, '80': 1, '100': 1}
    assert result['accuracy_6'] == 1 and result['macro_recall_6'] == 1
    # Neutral, as the node says where the expression is weak, is right in b and wrong in c.
    assert result['accuracy_frames'] == pytest.approx((1 + 4 / 6 + 3 / 6) / 3)
    assert result['lag'] == {
        'changes': 2,
        'missed': 0,
        'frames': 2.5,
        'seconds': pytest.approx(2.5 / 30),
    }
    assert 'intensity_correlation' not in result


def test_clips_at_other_frame_rates():
    rates = evaluate_sequences(PixelModel(), clips())['rates']
    assert rates['30']['lag']['frames'] == 2.5
    # Every second frame backwards from the last: of six the 2nd, 4th, 6th.
    assert rates['15']['lag'] == {
        'changes': 2,
        'missed': 0,
        'frames': 1,
        'seconds': pytest.approx(1 / 15),
    }
    assert rates['5']['accuracy_at']['20'] == 1, 'of six frames at 30 a second the last is left'


def test_sequences_without_a_label_of_the_six_are_refused():
    with pytest.raises(ValueError, match='no sequence is labelled anger, '):
        evaluate_sequences(PixelModel(), [sequence('b', 'contempt', RISING)])


@pytest.mark.parametrize(
    'rate, indices',
    [
        (30, [0, 1, 2, 3, 4, 5, 6]),
        (15, [0, 2, 4, 6]),
        (5, [0, 6]),
        (10, [0, 3, 6]),
        (60, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]),
    ],
)
def test_other_frame_rates_end_on_the_apex(rate, indices):
    assert resampled(stamps(7, 30.0), rate).tolist() == indices


def test_other_frame_rates_of_irregular_frames():
    irregular = np.array([0, 10, 20, 500, 980, 1000]) * 1_000_000
    assert resampled(irregular, 10).tolist() == [0, 2, 2, 2, 2, 3, 3, 3, 3, 3, 5]
    assert resampled(irregular, 1).tolist() == [0, 5]


def test_lag_of_irregular_frames_is_taken_from_their_times():
    happy = sequence('a', 'happiness', [(3, 50)] * 2)
    surprise = sequence('b', 'surprise', [(3, 50), (3, 50), (5, 50)])
    surprise = replace(surprise, stamps_ns=np.array([0, 10, 800]) * 1_000_000)
    assert evaluate_sequences(PixelModel(), [happy, surprise])['lag'] == {
        'changes': 1,
        'missed': 0,
        'frames': 2,
        'seconds': pytest.approx(0.8),
    }


def test_rates_are_those_of_the_resampled_sequence():
    result = evaluate_sequences(PixelModel(), [sequence('a', 'surprise', RISING)])
    assert result['rates']['30']['accuracy_at'] == result['accuracy_at']
    assert result['rates']['5']['accuracy_at'] == {  # two frames: the first, the apex
        '20': 0,
        '40': 0,
        '60': 1,
        '80': 1,
        '100': 1,
    }


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Return a function that runs the command on samples: its figures, its output."""
    monkeypatch.setattr(evaluate, 'load_model', lambda path: PixelModel())

    def command(kind, samples, *arguments, set_name='webfaces', without_face=()):
        monkeypatch.setattr(
            evaluate, 'load', lambda path, kind: Samples(set_name, samples, list(without_face))
        )
        evaluate.main([kind, str(tmp_path), '--json', str(tmp_path / 'out.json'), *arguments])
        return json.loads((tmp_path / 'out.json').read_text()), capsys.readouterr().out

    return command


def test_command_writes_and_prints_stills(run):
    figures, out = run('stills', STILLS, without_face=['x.jpg'])
    assert figures['accuracy_6'] == pytest.approx(2 / 3)
    assert figures['without_face'] == ['x.jpg'] and figures['trained_on'] is False
    assert '6 classes, n = 3' in out and '66.7 %' in out and 'no face found: 1' in out


def test_command_writes_and_prints_sequences(run):
    figures, out = run(
        'sequences',
        [
            sequence('a', 'surprise', RISING),
            sequence('b', 'surprise', RISING, neutral_to_apex=False),
        ],
    )
    assert figures['accuracy_at']['100'] == 1
    assert out.count('15 frames/s') == 2 and 'do not run from neutral to apex' in out
    assert 'as the node publishes it, neutral included: 57.1 %' in out


def test_command_measures_a_folder_of_clips(run):
    figures, out = run('sequences', clips(), set_name='clips')
    assert figures['n'] == 2 and figures['rates']['5']['lag']['changes'] == 2
    assert '6 classes, n = 2' in out and '30 frames/s' in out and 'intensity' not in out


@pytest.mark.parametrize(
    'set_name, sample, said',
    [
        ('ckplus', sequence('a', 'fear', RISING, subject='S052'), 'trained on S052 of ckplus'),
        ('ckplus', sequence('a', 'fear', RISING, subject='S999'), None),
        ('jaffe', sequence('a', 'fear', RISING, subject='KA'), 'trained on all of jaffe'),
        ('fer2013', still('a', 'fear', 2, part='train'), 'trained on train of fer2013'),
        ('fer2013', still('a', 'fear', 2, part='valid'), None),
    ],
)
def test_command_warns_of_faces_that_were_trained_on(run, recwarn, set_name, sample, said):
    figures, _ = run('stills', [sample], set_name=set_name)
    warned = [str(w.message) for w in recwarn]
    assert figures['trained_on'] is bool(said)
    assert any(said in w for w in warned) if said else not warned


@pytest.mark.parametrize(
    'arguments, votes, warned',
    [
        ([], None, True),
        (['--labels', 'ferplus'], None, True),
        (['--labels', 'fer2013'], None, False),
        ([], np.eye(10, dtype=np.uint8)[6], False),
    ],
)
def test_command_warns_where_there_are_no_ferplus_votes(run, recwarn, arguments, votes, warned):
    run(
        'stills',
        [still('a', 'fear', 2, fer2013_label='fear', votes=votes)],
        *arguments,
        set_name='fer2013',
    )
    assert [
        str(w.message).startswith('no FER+ votes were found (fer2013new.csv') for w in recwarn
    ] == [True] * warned


@pytest.mark.parametrize('labels', ['ferplus', 'fer2013'])
def test_labels_of_sequences_are_refused(run, capsys, labels):
    with pytest.raises(SystemExit):
        run('sequences', clips(), '--labels', labels)
    assert '--labels goes with stills' in capsys.readouterr().err


def test_command_selects_a_part(run):
    figures, _ = run(
        'stills',
        [still('a', 'fear', 2, part='train'), still('b', 'fear', 2, part='valid')],
        '--part',
        'valid',
    )
    assert figures['n'] == 1


def test_command_names_what_is_wrong(run, monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run('stills', STILLS[3:])
    assert 'no image has a label of anger' in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr(evaluate, 'load_model', lambda path: PixelModel())
    with pytest.raises(SystemExit):
        evaluate.main(['stills', str(tmp_path)])
    assert 'none of the known layouts' in capsys.readouterr().err


def test_command_names_the_parts_that_there_are(run, capsys):
    for samples, there in (([still('a', 'fear', 2, part='train')], 'train'), (STILLS, 'no parts')):
        with pytest.raises(SystemExit):
            run('stills', samples, '--part', 'valid')
        assert f'has no part valid; it has {there}' in capsys.readouterr().err


def test_command_refuses_a_file_in_no_folder_before_it_measures(tmp_path, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(['stills', str(tmp_path), '--json', str(tmp_path / 'none' / 'out.json')])
    assert 'there is no folder' in capsys.readouterr().err


@pytest.mark.parametrize(
    'name, message',
    [
        ('', 'is a folder, not a file'),
        ('out.json', 'cannot be written by this user'),
        ('new.json', 'cannot be written by this user'),
    ],
)
def test_command_refuses_what_it_cannot_write_before_it_measures(
    tmp_path, monkeypatch, capsys, name, message
):
    (tmp_path / 'out.json').write_text('')
    monkeypatch.setattr('os.access', lambda path, mode: False)
    with pytest.raises(SystemExit):
        evaluate.main(['stills', 'nowhere', '--json', str(tmp_path / name)])
    assert message in capsys.readouterr().err


def test_command_names_a_missing_model(tmp_path, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(['stills', str(tmp_path), '--model', str(tmp_path / 'none.json')])
    assert 'none.json is missing' in capsys.readouterr().err


def test_faces_in_the_dark(tmp_path, capsys):
    data = pytest.importorskip('skimage.data')
    image = data.astronaut()[:300, 60:400, ::-1]
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    cv2.imwrite(str(tmp_path / 'b.png'), np.full_like(image, 90))
    (tmp_path / 'people.csv').write_text(
        'file,label,ethnicity\na.png,happiness,white\nb.png,neutral,none\n'
    )
    evaluate.main(['faces', str(tmp_path), '--json', str(tmp_path / 'faces.json')])
    figures = json.loads((tmp_path / 'faces.json').read_text())
    assert figures['unknown'] == ['b.png'] and figures['n'] == 1
    assert set(figures['lights']) == {'1.0', '0.3', '0.15', '0.08'}
    for row in figures['lights'].values():
        assert (row['found'], row['lost'], row['false']) == (1.0, [], 0)
        assert row['by'] == {'label': {'happiness': [1, 1]}, 'ethnicity': {'white': [1, 1]}}
    assert figures['lights']['0.08']['plain'] == 0.0
    assert '1 of 1' in capsys.readouterr().out


@pytest.mark.parametrize(
    'table, reason',
    [(None, 'people.csv'), ('name\nx\n', 'names no files'), ('file\nx.jpg\n', 'x.jpg is missing')],
)
def test_faces_without_their_table_or_pictures(tmp_path, capsys, table, reason):
    if table:
        (tmp_path / 'people.csv').write_text(table)
    with pytest.raises(SystemExit):
        evaluate.main(['faces', str(tmp_path)])
    assert reason in capsys.readouterr().err
