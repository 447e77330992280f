"""The comparison of networks: nobody is trained on and measured, budgets, going on, the tables."""

import json

import numpy as np
import pytest

pytest.importorskip('tensorflow')

import keras  # noqa: E402
from keras import layers  # noqa: E402
import tensorflow as tf  # noqa: E402
import yaml  # noqa: E402

from emotion_perception import compare  # noqa: E402
from emotion_perception.datasets import Sample, Samples  # noqa: E402
from emotion_perception.datasets.sample import VOTE_NAMES  # noqa: E402
from emotion_perception.emotions import EMOTIONS, LABELS  # noqa: E402
from emotion_perception.evaluation.metrics import apex_similarity  # noqa: E402
from emotion_perception.learning.comparison import comparison  # noqa: E402
from emotion_perception.learning.comparison.answers import Answers, figures  # noqa: E402
from emotion_perception.learning.comparison.budget import Budget, estimate_statistics  # noqa: E402
from emotion_perception.learning.comparison.comparison import Comparison  # noqa: E402
from emotion_perception.learning.comparison.faces import Clip, Crops, Faces  # noqa: E402
from emotion_perception.learning.comparison.networks import (  # noqa: E402
    multiply_adds,
    NETWORKS,
    one_frame,
    REACH,
    SHAPES,
    WITH_INTENSITY,
)
from emotion_perception.learning.configuration import COMPARISON, read_config  # noqa: E402
from emotion_perception.learning.encoder import networks, web_faces  # noqa: E402
from emotion_perception.learning.head.episodes import Episode, onset_episode  # noqa: E402
from emotion_perception.learning.head.network import FRAME, frames_of  # noqa: E402
from emotion_perception.learning.head.trainer import SequenceTrainer  # noqa: E402
from emotion_perception.learning.lab import faces as lab_faces  # noqa: E402
from emotion_perception.learning.lab.faces import LabFaces  # noqa: E402
from emotion_perception.temporal import KEPT, LIVE  # noqa: E402

TEMPORAL = {
    'steps': 5,
    'stills': 3,
    'sequences': 3,
    'neutral_clips': 2,
    'emotional_clips': 2,
    'frames': 12,
    'web_images': 8,
    'lab_repeats': 1,
    'noise': 0.05,
    'learning_rate': 0.01,
    'e2': 0.0,
    'e3': 0.0,
    'seed': 1,
}


def crops(rng, count=1):
    return rng.integers(0, 255, (count, 64, 64, 3)).astype(np.uint8)


@pytest.fixture
def sets(monkeypatch):
    """Put small sets in place of those of the disk: web faces, and four people, who also talk."""
    rng = np.random.default_rng(0)
    web = [
        Sample(
            f'w{i}',
            None,
            None,
            crops(rng),
            votes=np.eye(len(VOTE_NAMES), dtype=np.uint8)[VOTE_NAMES.index(EMOTIONS[i % 6])],
        )
        for i in range(24)
    ]
    lab = []
    for i in range(4):
        lab += [Sample(f'{i}{label}', f'S{i}', label, crops(rng)) for label in ('fear', 'neutral')]
        lab += [Sample(f'{i}onset', f'S{i}', 'anger', crops(rng, 5), neutral_to_apex=True)]
    live = [
        Sample(f'{i}{label}', f'S{i}', label, crops(rng, 6), stamps_ns=np.arange(6) * 200_000_000)
        for i in range(4)
        for label in ('neutral', 'anger')
    ]
    found = {
        'web': Samples('fer2013', web, []),
        'lab': Samples('ckplus', lab, []),
        'live': Samples('clips', live, []),
    }
    for module in (web_faces, lab_faces):
        monkeypatch.setattr(module, 'load', lambda path, kind=None: found[path])
    return found


@pytest.fixture
def config(sets, monkeypatch, tmp_path):
    def network(x, dropout):
        x = layers.Conv2D(8, 3, strides=4, activation='relu')(x)
        return layers.Dense(networks.FEATURES)(layers.GlobalAveragePooling2D()(x))

    monkeypatch.setitem(networks.BACKBONES, 'tiny', (network, 48))
    changed = COMPARISON['stills']['changed?']
    monkeypatch.setitem(changed, 'tiny?', changed['seed?'])
    return {
        'run_dir': str(tmp_path / 'run'),
        'sets': {'web': 'web', 'lab': ['lab'], 'live': ['live']},
        'folds': 2,
        'seeds': [1, 2],
        'stills_seconds': 1e6,
        'fold_seconds': 1e6,
        'stills': {
            'size': 32,
            'epochs': 1,
            'batch_size': 4,
            'learning_rate': 0.05,
            'weight_decay': 0.001,
            'dropout': 0.0,
            'gamma': 0.25,
            'prior': 0.5,
            'seed': 1,
            'precision': 'float32',
            'changed': {'tiny': {'size': 16}},
        },
        'temporal': TEMPORAL,
        'rows': {
            'default': {'backbone': 'tiny', 'network': 'head', 'e2': 1.0, 'e3': 0.2},
            'CNN alone': {
                'backbone': 'tiny',
                'network': 'each_frame',
                'steps': 0,
                'mean_so_far': True,
            },
            '3D-CNN': {'network': 'cnn_3d', 'frames': 4},
        },
    }


def run(config, tmp_path, *arguments):
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    compare.main([str(path), '--output', str(tmp_path / 'docs' / 'comparison.md'), *arguments])
    return (tmp_path / 'docs' / 'comparison.md').read_text()


def test_the_command_measures_and_goes_on(config, tmp_path, monkeypatch):
    text = run(config, tmp_path, '--rows')
    assert '## Not run\n\n- default\n- CNN alone\n- 3D-CNN\n' in text and '| row |' not in text

    text = run(config, tmp_path, '--rows', 'CNN alone')
    assert '## Not run\n\n- default\n- 3D-CNN\n' in text and text.count('| CNN alone |') == 3

    # The encoder is there, and so is one row.
    monkeypatch.setattr(comparison, 'train_encoder', None)
    text = run(config, tmp_path)
    assert 'Not run' not in text and (tmp_path / 'docs/images/comparison.png').stat().st_size > 1e4
    rows = {name: Comparison(config).result(name) for name in config['rows']}
    for name, row in rows.items():
        assert row['n'] == 4 and row['stills']['ckplus']['n'] == 4 and row['clips'] == 8
        assert len(row['mean_of_seeds']) == len(row['both_of_seeds']) == 2 and row['ms'] > 0
        assert row['both'] == pytest.approx((row['share_neutral'] + row['right']) / 2)
        assert list(row['accuracy_at']) == ['20', '40', '60', '80', '100']
        low, high = row['mean_interval']
        assert low <= row['mean'] <= high
    assert 0 <= rows['default']['intensity_mae'] <= 1
    assert 'intensity_mae' not in rows['3D-CNN'] and 'intensity_mae' not in rows['CNN alone']
    assert rows['default']['steps'] == 5 and rows['CNN alone']['steps'] == 0
    assert rows['default']['stills_epochs'] >= 1 and rows['3D-CNN']['stills_epochs'] is None
    assert rows['CNN alone']['mean_of_seeds'][0] == rows['CNN alone']['mean_of_seeds'][1]
    # 3x3 over 4x4 places (of 16x16 pixels), 512 of 8, the heads, the adapter with its 3 times
    # 128 units over features and 3x3 places (there is no earlier map than the grey image);
    # then the linear layer over what is kept.
    # KEPT holds, beside those of linear layers, the seven live logits.
    encoder = 9 * 8 * 16 + 8 * 512 + 512 * (KEPT - 7) + (512 + 9) * 384 + 384 * 7
    assert rows['CNN alone']['multiply_adds'] == encoder + FRAME * 7

    # All is there: nothing is loaded, nothing is trained.
    monkeypatch.setattr(comparison, 'load_web_faces', None)
    monkeypatch.setattr(comparison, 'SequenceTrainer', None)
    assert run(config, tmp_path) == text


def test_results_of_other_settings_are_refused(config, tmp_path, capsys):
    path = tmp_path / 'run' / 'rows' / '3D_CNN.json'
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({'settings': {}}))
    with pytest.raises(SystemExit):
        run(config, tmp_path, '--rows', 'default')
    assert '3D_CNN.json is the result of other settings: take' in capsys.readouterr().err


@pytest.mark.parametrize(
    'row, message',
    [
        ({'network': 'gru'}, "row 'x': there is no network 'gru', but head, "),
        (
            {'network': 'head', 'backbone': 'resnet'},
            "needs a backbone, one of residual, .* 'resnet'",
        ),
        ({'network': 'head'}, 'head needs a backbone, one of residual, .* not None'),
        ({'network': 'cnn_3d', 'backbone': 'vgg'}, 'cnn_3d reads the crops themselves; leave out'),
        (
            {'network': 'lstm_6', 'backbone': 'vgg', 'e2': 1.0},
            'only head, seed_head can be trained',
        ),
    ],
)
def test_wrong_rows(row, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Comparison({'run_dir': tmp_path, 'rows': {'x': row}})


@pytest.mark.parametrize(
    'change, message',
    [
        ({'rows': {}}, 'rows should be a table of names, not {}'),
        (
            {'rows': {'x': {'backbone': 'tiny'}}},
            'rows.x: network is missing; its keys are network, ',
        ),
        ({'rows': {'x': {'network': 'head', 'epochs': 3}}}, 'rows.x: epochs is unknown; its keys'),
        ({'rows': {'x': {'network': 'head', 'e2': 2}}}, 'rows.x.e2 should be a number from 0 to 1'),
        ({'rows': {1: {'network': 'head'}}}, 'rows: 1 is unknown; its keys are names'),
        ({'seeds': 3}, 'seeds should be a list, not 3'),
        (
            {'sets': {'web': 'web', 'lab': 'lab', 'live': ['live']}},
            "sets.lab should be a list, not 'lab'",
        ),
        ({'sets': {'web': 'web', 'lab': ['lab']}}, 'sets: live is missing; its keys are web, lab'),
        ({'fold_seconds': 0}, 'fold_seconds should be a number above 0, not 0'),
        ({'temporal': {**TEMPORAL, 'lab_repeats': 0.5}}, 'temporal.lab_repeats should be a whole'),
        ({'stills': {}}, 'stills: size is missing, epochs is missing, gamma is missing, '),
    ],
)
def test_wrong_configurations(config, tmp_path, capsys, change, message):
    with pytest.raises(SystemExit):
        run({**config, **change}, tmp_path)
    assert f'config.yaml: {message}' in ' '.join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ['config.yaml']


def test_changed_settings_of_an_unknown_backbone_are_refused(config, tmp_path, capsys):
    config['stills']['changed'] = {'resnet': {'size': 16}}
    with pytest.raises(SystemExit):
        run(config, tmp_path)
    assert 'stills.changed: resnet is unknown; its keys are residual, ' in ' '.join(
        capsys.readouterr().err.split()
    )


def test_an_output_that_cannot_be_written_is_refused_at_once(config, tmp_path, capsys):
    (tmp_path / 'docs' / 'comparison.md').mkdir(parents=True)
    with pytest.raises(SystemExit):
        run(config, tmp_path)
    assert "Is a directory: '" in capsys.readouterr().err and not (tmp_path / 'run').exists()


def test_an_unknown_row_is_named(config, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(config, tmp_path, '--rows', 'transformer')
    assert 'there is no row transformer; there are: default; CNN alone; 3D-CNN' in ' '.join(
        capsys.readouterr().err.split()
    )


def test_too_few_web_faces_are_refused(config, sets, tmp_path, capsys):
    del sets['web'][12:]
    with pytest.raises(SystemExit):
        run(config, tmp_path)
    assert '12 web faces are too few: training takes 16 at a time' in ' '.join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize(
    'missing',
    [
        lambda sample: len(sample.frames) == 1 and sample.label == 'fear',
        lambda sample: sample.neutral_to_apex,
    ],
)
def test_sets_without_stills_or_sequences_to_measure_are_refused(
    config, sets, tmp_path, capsys, missing
):
    sets['lab'][:] = [sample for sample in sets['lab'] if not missing(sample)]
    with pytest.raises(SystemExit):
        run(config, tmp_path, '--rows', '3D-CNN')  # the others train an encoder first
    assert 'the lab sets need both, stills and sequences from neutral to apex' in ' '.join(
        capsys.readouterr().err.split()
    )


def test_nobody_of_the_fold_is_drawn(sets):
    lab = LabFaces(['lab'], 2, ['live'])
    every = Crops(sets['web'], lab, TEMPORAL, 16)
    # In place of a crop: the fold of its person.
    parts = every.divided(np.zeros((len(every.grey), 1), np.float32))
    known = [fold for fold, _, _ in every.onsets]
    for fold, part in zip(known, parts):
        part[:] = fold
    parts[len(known)][:, 0] = every.folds
    for (fold, _), part in zip(every.clips, parts[len(known) + 2 :], strict=True):
        part[:] = fold
    read = np.concatenate([part.reshape(-1, 1) for part in parts])
    features = np.random.default_rng(0).normal(size=(len(read), 8))
    faces = Faces(every, read, features)
    rng = np.random.default_rng(1)
    for fold in (0, 1):
        seen = {
            float(value)
            for _ in range(20)
            for episode in faces.draw(rng, fold, {**TEMPORAL, 'noise': 0.0})
            for value in episode.kept[:, 0]
        }
        assert seen == {-1.0, 1.0 - fold}
    assert sorted(fold for fold, *_ in faces.sequences) == [0, 0, 1, 1]
    assert all(len(frames) == 5 and label == 0 for _, label, frames, _ in faces.sequences)
    assert [label for _, _, label, _ in faces.stills] == [EMOTIONS.index('fear')] * 4
    assert sorted(clip.fold for clip in faces.clips) == [0] * 4 + [1] * 4
    assert {len(episode.kept) for episode in faces.draw(rng, 0, {**TEMPORAL, 'frames': 1})} == {1}


def test_what_is_measured_is_not_augmented(sets):
    lab = LabFaces(['lab'], 2, ['live'])
    every = Crops([], lab, TEMPORAL, 64)
    faces = Faces(every, every.grey, every.grey.reshape(len(every.grey), -1))
    onsets = [s for s in sets['lab'] if s.neutral_to_apex]
    for sample, (_, _, frames, target) in zip(onsets, faces.sequences, strict=True):
        plain = sample.frames @ np.array(networks.GREY)
        np.testing.assert_allclose(frames, plain, atol=1)
        np.testing.assert_allclose(target, apex_similarity(frames.reshape(5, -1)), atol=1e-3)
    for sample, clip in zip(sets['live'], faces.clips, strict=True):
        assert clip.sample is sample
        np.testing.assert_allclose(clip.frames[0], sample.frames @ np.array(networks.GREY), atol=1)
    # Five frames a second, six steps of the head's time each; all else is a frame apart.
    assert every.steps[-6:].tolist() == [1, 6, 6, 6, 6, 6] and every.steps[0] == 1


def test_answers_are_those_at_the_points_of_a_sequence():
    # Ten frames: class 5 for the first six, then class 0, which is right.
    frames = np.zeros((10, 6), np.float32)
    frames[:6, 5], frames[6:, 0] = 4, 0.5

    class Faces:
        sequences = [(0, 0, frames, np.linspace(0, 1, 10)), (1, 5, frames, None)]
        stills = [('a', 0, 0, frames[9]), ('a', 0, 5, frames[9]), ('b', 1, 0, frames[9])]
        clips = [
            Clip(fold, Sample(str(fold), 'S', label, crops(np.random.default_rng(0), 10)), read)
            for fold, label, read in (
                (0, 'neutral', np.zeros((1, 10, 6), np.float32)),
                (0, 'anger', np.tile(np.eye(6, dtype=np.float32)[0], (1, 10, 1))),
                (1, 'fear', frames[np.newaxis]),
            )
        ]

    plain, mean = Answers(), Answers(mean_so_far=True)
    for answers in (plain, mean):
        answers.add(Faces, 0, lambda frames: frames, 1.0)
    assert plain.right == [[False, False, False, True, True]]
    assert mean.right == [[False] * 5]
    assert plain.stills == {'a': [True, False]}
    np.testing.assert_array_equal(plain.intensities[0], frames[:, 0])
    # What is near 0 is published as neutral, what is near 1 as its class.
    assert [(w.label_ids == LABELS.index(w.label)).mean() for w in plain.clips] == [1, 1]
    found = figures([plain, mean], with_intensity=True)
    assert found['n'] == 1 and found['mean'] == pytest.approx(0.2)
    assert found['clips'] == 2 and found['both'] == found['right'] == 1 and found['wrong'] == 0
    assert found['mean_of_seeds'] == pytest.approx([0.4, 0])
    assert found['accuracy_at'] == {'20': 0, '40': 0, '60': 0, '80': 0.5, '100': 0.5}
    assert found['stills']['a']['accuracy_6'] == 0.5
    means = frames[:, 0].cumsum() / np.arange(1, 11)
    assert found['intensity_correlation'] == pytest.approx(
        np.mean(
            [np.corrcoef(given, np.linspace(0, 1, 10))[0, 1] for given in (frames[:, 0], means)]
        )
    )


def test_a_budget_counts_whichever_is_nearer_to_its_end(monkeypatch):
    now = [10.0]
    monkeypatch.setattr(
        'emotion_perception.learning.comparison.budget.perf_counter', lambda: now[0]
    )
    budget = Budget(20, 8.0)
    assert budget.share(0) == 0 and budget.share(5) == 0.25
    now[0] += 4
    assert budget.share(5) == 0.5 and budget.share(15) == 0.75
    assert budget.share(20) == 1
    now[0] += 40
    assert budget.share(5) == 1 and Budget(0, 8.0).share(0) == 1


@pytest.mark.parametrize('name', NETWORKS)
def test_networks_look_at_no_later_frame(name):
    make, reads = NETWORKS[name]
    keras.utils.set_random_seed(1)
    network = make()
    frames = np.random.default_rng(0).uniform(0, 200, (2, 4, *SHAPES[reads])).astype(np.float32)
    values = np.array(network(frames))
    assert values.shape == (2, 4, 6 if name in WITH_INTENSITY else 7)
    np.testing.assert_allclose(np.array(network(frames[:, :2])), values[:, :2], atol=1e-4)


@pytest.mark.parametrize('name', NETWORKS)
def test_a_network_takes_batches_of_any_shape_once_it_is_traced(name):
    make, reads = NETWORKS[name]
    shape = SHAPES[reads]
    traced = tf.function(make(), input_signature=[tf.TensorSpec((None, None, *shape))])
    for count, length in ((3, 7), (5, 2)):
        frames = np.zeros((count, length, *shape), np.float32)
        assert traced(frames).shape == (count, length, 6 if name in WITH_INTENSITY else 7)


def test_the_cnn_alone_begins_as_its_logits():
    network = NETWORKS['each_frame'][0]()
    frames = np.random.default_rng(0).normal(size=(1, 3, FRAME)).astype(np.float32)
    np.testing.assert_allclose(np.array(network(frames)), frames[..., LIVE], atol=1e-6)


def test_neutral_is_a_class_of_networks_that_have_it():
    # A network with one answer for all: after training on one part shown, three parts neutral, it
    # gives each its share.
    class Constant(keras.Model):
        sharpness = 1.0

        def __init__(self):
            super().__init__()
            self.values = self.add_weight(shape=(7,), initializer='zeros')

        def call(self, frames):
            return tf.zeros_like(frames[..., :1]) + self.values

    shown = Episode(np.zeros((4, 3), np.float32), np.eye(6)[[2] * 4], np.ones(4), np.zeros((4, 6)))
    talk = Episode(np.zeros((2, 3), np.float32), np.full((2, 6), 1 / 6), *np.zeros((2, 2, 6)))
    talk.label_weight = np.zeros(2)
    config = {'stills': 4, 'learning_rate': 0.1, 'e2': 0, 'e3': 0}
    trainer = SequenceTrainer(Constant, (4, 3), config, 5)
    trainer.train(lambda rng: [shown, talk, talk, talk], 1, Budget(400, 1e6).share)
    powers = np.exp(trainer.network.values.numpy())
    np.testing.assert_allclose(powers / powers.sum(), [0, 0, 0.25, 0, 0, 0, 0.75], atol=0.02)


@pytest.mark.parametrize(
    'name, expected',
    [
        ('each_frame', FRAME * 7),
        ('head', (5 + 1) * 24),
        ('seed_head', (6 + 6) * 24),
        ('lstm_32', (512 + 32) * 128 + 32 * 7),
        # Five frames of 3x3, on 15, 7 and 3 frames fewer of half the side each.
        (
            'cnn_3d',
            45 * (16 * (REACH - 4) * 16**2 + 16 * 32 * (REACH - 8) * 8**2 + 32 * 48 * 4**2)
            + 48 * 7,
        ),
        ('conv_lstm', 9 * 16 * 16**2 + 9 * (16 + 24) * 96 * 8**2 + 24 * 7),
    ],
)
def test_multiply_adds(name, expected):
    assert multiply_adds(one_frame(name)) == expected


def test_each_training_begins_afresh(monkeypatch):
    # Without XLA, which compiles for longer than these few steps take.
    function = tf.function
    monkeypatch.setattr(
        tf, 'function', lambda python=None, jit_compile=None, **options: function(python, **options)
    )

    def draw(rng):
        frames = frames_of(rng.normal(0, 1, (4, 6, KEPT)))
        return [
            onset_episode(f, rng.normal(size=(6, 8)), EMOTIONS[i]) for i, f in enumerate(frames)
        ]

    trainer = SequenceTrainer(
        NETWORKS['head'][0],
        (6, FRAME),
        {'stills': 0, 'sequences': 4, 'learning_rate': 0.01, 'e2': 1.0, 'e3': 0.2},
        5,
    )
    found = []
    for seed in (1, 2, 1):
        assert trainer.train(draw, seed, Budget(10, 1e6).share) == 10
        found.append(trainer.network.get_weights())
    assert not all(map(np.array_equal, found[0], found[1]))
    for a, b in zip(found[0], found[2]):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_statistics_are_those_of_the_batches():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.BatchNormalization(momentum=0.99)(inputs))
    batches = np.random.default_rng(0).normal(7, 2, (5, 200, 3)).astype(np.float32)
    estimate_statistics(model, batches)
    norm = model.layers[-1]
    np.testing.assert_allclose(norm.moving_mean, batches.mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, batches.var(1).mean(0), rtol=1e-3)


def test_the_shipped_configuration_reads(root, monkeypatch):
    monkeypatch.setenv('DATA', '/data')
    monkeypatch.setenv('RUNS', '/runs')
    config = read_config(root / 'config' / 'training' / 'comparison.yaml', COMPARISON)
    rows = Comparison(config).rows
    assert {row.get('backbone') for row in rows.values()} - {None} == set(networks.BACKBONES)
    assert {row['network'] for row in rows.values()} == set(NETWORKS)
    assert config['folds'] == 7 and len(config['seeds']) >= 3
