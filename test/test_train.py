"""The training command, and adapting a model to clips of one's own."""

import json
from pathlib import Path
import re
import shutil

import cv2
import numpy as np
import pytest

pytest.importorskip('tensorflow')

import keras  # noqa: E402
from keras import layers  # noqa: E402
import yaml  # noqa: E402

from emotion_perception import train  # noqa: E402
from emotion_perception.datasets import load  # noqa: E402
from emotion_perception.emotions import LABELS  # noqa: E402
from emotion_perception.labels import StableLabel  # noqa: E402
from emotion_perception.learning import own_clips  # noqa: E402
from emotion_perception.learning.configuration import read_config, TRAINING  # noqa: E402
from emotion_perception.learning.encoder import networks  # noqa: E402
from emotion_perception.learning.export import read_weights, write_all  # noqa: E402
from emotion_perception.learning.head.network import HeadNetwork  # noqa: E402
from emotion_perception.learning.own_clips import adapt_to_clips  # noqa: E402
from emotion_perception.learning.recipe import Recipe  # noqa: E402
from emotion_perception.recognition import load_model  # noqa: E402
from emotion_perception.temporal import Windows  # noqa: E402


@pytest.fixture(scope='module')
def portrait():
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    return cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)


@pytest.fixture(scope='module', autouse=True)
def tiny():
    """Add a backbone that is made in no time."""

    def network(x, dropout):
        x = layers.Conv2D(8, 3, strides=2, activation='relu')(x)
        x = layers.GlobalAveragePooling2D()(x)
        return layers.Dense(networks.FEATURES)(layers.Dropout(dropout)(x))

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.BACKBONES, 'tiny', (network, 48))
        yield


@pytest.fixture(scope='module')
def start(tmp_path_factory):
    """Return the path of a model with random weights, which no test changes."""
    keras.utils.set_random_seed(0)
    head = HeadNetwork()
    path = tmp_path_factory.mktemp('start') / 'start.json'
    write_all(
        path,
        networks.build_stills_model(networks.build_encoder('tiny')),
        head.weights_for_numpy(),
        {'name': 'start', 'trained_on': {'fer2013': ['train'], 'clips': ['eva']}},
    )
    return path


@pytest.fixture(scope='module')
def original_clips(tmp_path_factory, portrait):
    """Return a folder of clips: a face upright is 'happy', one in the dark is 'sad'."""
    folder = tmp_path_factory.mktemp('original') / 'clips'
    for label, light in (('happy', 1.0), ('sad', 0.5)):
        for person in ('ann_1', 'bob_1'):
            (folder / label).mkdir(parents=True, exist_ok=True)
            write_clip(folder / label / f'{person}.mp4', portrait, light)
    return folder


@pytest.fixture
def clips(original_clips, tmp_path):
    """Return a copy of the clips, which a test may change."""
    return Path(shutil.copytree(original_clips, tmp_path / 'clips'))


@pytest.fixture(scope='module')
def adapted(start, original_clips, tmp_path_factory):
    """Return the path of a model that was adapted to the clips, which no test changes."""
    output = tmp_path_factory.mktemp('adapted') / 'new folder' / 'mine.json'
    before, after = adapt_to_clips(start, original_clips, output)
    assert 0 <= before <= 1 and 0 <= after <= 1
    return output


def write_clip(path, portrait, light):
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), 30, (320, 240))
    for i in range(8):
        frame = cv2.warpAffine(portrait, np.float64([[0.7, 0, 10 + i], [0, 0.7, 5]]), (320, 240))
        video.write((frame * light).astype(np.uint8))
    video.release()


CYCLE = {
    'learning_rate': 0.05,
    'weight_decay': 0.004,
    'dropout': 0.2,
    'gamma': 0.25,
    'seed': 1,
    'phases': [{'size': 32, 'epochs': 1}],
}
CONFIG = {
    'name': 'x',
    'run_dir': 'run',
    'folds': 2,
    'sets': {
        'web': {'train': 'none.npz', 'valid': 'none.npz'},
        'lab': ['none'],
        'live': ['none'],
        'one_face': ['none'],
    },
    'stills': {
        'backbone': 'residual',
        'batch_size': 4,
        'prior': 0.5,
        'precision': 'float32',
        'cycles': [CYCLE, CYCLE],
    },
    'adapter': {
        'web_images': 8,
        'lab': [1.0],
        'live': [1.0],
        'strength': 0.6,
        'epochs': 1,
        'batch_size': 4,
        'learning_rate': 0.001,
        'weight_decay': 0.05,
        'dropout': 0.5,
        'seed': 1,
    },
    'head': {
        'epochs': 1,
        'steps': 1,
        'stills': 4,
        'sequences': 4,
        'neutral_clips': 4,
        'emotional_clips': 4,
        'lab_repeats': 1,
        'noise': 0.1,
        'prior': 0.5,
        'learning_rate': 0.01,
        'e2': 1.0,
        'e3': 0,
        'seed': 1,
    },
}


def error_of(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        train.main([str(argument) for argument in arguments])
    assert stop.value.code == 2
    return ' '.join(capsys.readouterr().err.split())


def test_adapting_to_clips(start, adapted):
    assert sorted(path.name for path in adapted.parent.iterdir()) == [
        'mine.json',
        'mine.tflite',
        'mine.weights.npz',
        'mine_float32.json',
        'mine_float32.tflite',
    ]
    new, old = load_model(adapted), load_model(start)
    assert new.description['encoder']['weights'] == 'int8'
    assert (
        load_model(adapted.with_name('mine_float32')).description['encoder']['weights'] == 'float32'
    )
    assert new.description['name'] == 'mine'
    # Bob's clips are those kept aside; who was known before is not forgotten.
    assert new.trained_on == {'fer2013': ['train'], 'clips': ['ann', 'eva']}
    assert new.description['head'] == old.description['head']
    # One head is trained, the encoder stays.
    pairs = list(
        zip(
            read_weights(start.with_suffix('.weights.npz')).layers,
            read_weights(adapted.with_suffix('.weights.npz')).layers,
        )
    )
    changed = {
        a.name for a, b in pairs if not all(map(np.array_equal, a.get_weights(), b.get_weights()))
    }
    assert changed == {'eight'}


def test_adapting_stays_near_what_the_head_knew(
    start, adapted, original_clips, tmp_path, monkeypatch
):
    def moved(model):
        old, new = (
            read_weights(path.with_suffix('.weights.npz')).get_layer('eight').get_weights()
            for path in (start, model)
        )
        return sum(np.square(a - b).sum() for a, b in zip(old, new))

    monkeypatch.setattr(own_clips, 'FROM_START', 0.0)
    adapt_to_clips(start, original_clips, tmp_path / 'free')
    assert moved(adapted) < moved(tmp_path / 'free') / 2


def published(model, sample):
    """Return the labels that a node gives frame after frame, each with what it has seen so far."""
    windows, face, labels = Windows(100), StableLabel(), []
    for frame, stamp in zip(sample.frames, sample.stamps_ns.tolist()):
        _, strengths = model.advance([windows], model.encode(frame[None]), [stamp])
        labels.append(
            LABELS[
                face.update(
                    stamp,
                    strengths[0],
                    neutral_threshold=0.4,
                    neutral_hysteresis=0.1,
                    label_window=0.8,
                )
            ]
        )
    return labels


def test_clips_are_judged_by_what_would_be_published(
    start, clips, tmp_path, portrait, monkeypatch, capsys
):
    monkeypatch.setattr(own_clips, 'EPOCHS', 3)
    for name, light in (('neutral/ann_1', 0.3), ('neutral/bob_1', 0.3), ('contempt/cleo_1', 0.8)):
        (clips / name).parent.mkdir(exist_ok=True)
        write_clip((clips / name).with_suffix('.mp4'), portrait, light)
    figures = adapt_to_clips(start, clips, tmp_path / 'mine')
    before, after = figures
    assert (
        f'{before:.3f} of their frames right before, {after:.3f} after' in capsys.readouterr().out
    )
    for path, figure in zip((start, tmp_path / 'mine'), figures):
        model = load_model(path)
        shares = [
            np.mean([label == sample.label for label in published(model, sample)])
            for sample in load(clips)
            if sample.subject == 'bob'
        ]
        assert len(shares) == 3 and figure == pytest.approx(np.mean(shares))
    assert 'cleo' in load_model(tmp_path / 'mine').trained_on['clips']


@pytest.mark.parametrize(
    'output, name',
    [('mine.json', 'mine'), ('robot.v2', 'robot.v2'), ('robot.v2.weights.npz', 'robot.v2')],
)
def test_the_command_adapts(start, clips, tmp_path, monkeypatch, capfd, output, name):
    monkeypatch.setattr(own_clips, 'EPOCHS', 1)
    folder = tmp_path / 'new'
    train.main(['--from', str(start), '--clips', str(clips), '--output', str(folder / output)])
    assert sorted(path.name for path in folder.iterdir()) == [
        f'{name}.json',
        f'{name}.tflite',
        f'{name}.weights.npz',
        f'{name}_float32.json',
        f'{name}_float32.tflite',
    ]
    assert load_model(folder / output.removesuffix('.weights.npz')).description['name'] == name
    said = capfd.readouterr()
    assert said.out.startswith('2 clips trained on, 2 kept aside') and said.out.count('\n') == 1
    assert 'SavedModel' not in said.err and 'tfl_flatbuffer' not in said.err


@pytest.mark.parametrize('after, warned', [(0.4, True), (0.5, False)])
def test_a_model_that_became_worse_is_warned_of(
    start, clips, tmp_path, monkeypatch, capsys, after, warned
):
    figures = iter([0.5, after])
    monkeypatch.setattr(own_clips, '_accuracy', lambda *_: next(figures))
    monkeypatch.setattr(own_clips, '_train_head', lambda *_: None)
    adapt_to_clips(start, clips, tmp_path / 'mine')
    assert ('start.json was better on the clips kept aside' in capsys.readouterr().err) is warned


@pytest.mark.parametrize(
    'output, message',
    [
        ('there', 'there is a folder: name a model in it, as in '),
        ('new/', 'new/ is a folder: name a model in it, as in new/emotion'),
        ('file/mine', 'mine.json cannot be written: .*file is no folder that you may write to'),
        (
            'taken',
            'taken.tflite cannot be written: .*taken.tflite is no file that you may write to',
        ),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_at_once(
    tmp_path, monkeypatch, capsys, output, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there').mkdir()
    (tmp_path / 'taken.tflite').mkdir()
    (tmp_path / 'file').write_text('')
    (tmp_path / 'config.yaml').write_text(yaml.safe_dump(CONFIG))
    for arguments in (['config.yaml'], ['--from', 'none', '--clips', 'none']):
        error = error_of(capsys, *arguments, '--output', output)
        assert re.search(message, error), error


def test_a_model_without_weights_is_refused(start, clips, tmp_path, capsys):
    assert 'start_float32.weights.npz is missing: a model is adapted from its weights' in error_of(
        capsys,
        '--from',
        start.with_name('start_float32.json'),
        '--clips',
        clips,
        '--output',
        tmp_path / 'mine',
    )


def test_clips_of_nobody_are_refused_before_training(start, tmp_path, portrait):
    for label in ('happy', 'sad'):
        (tmp_path / 'pictures' / label).mkdir(parents=True)
        for name in ('1.png', '2.png'):
            cv2.imwrite(str(tmp_path / 'pictures' / label / name), portrait)
    with pytest.raises(ValueError, match='happy/1.png: the data set does not say who is seen'):
        adapt_to_clips(start, tmp_path / 'pictures', tmp_path / 'mine')
    assert not (tmp_path / 'mine.json').exists()


def test_a_label_with_one_clip_is_refused(start, clips, tmp_path, capsys):
    (clips / 'sad' / 'bob_1.mp4').unlink()
    with pytest.raises(ValueError, match='needs two clips or more.*too few for sadness$'):
        adapt_to_clips(start, clips, tmp_path / 'mine')
    assert 'too few for sadness' in error_of(
        capsys, '--from', start, '--clips', clips, '--output', tmp_path / 'mine'
    )
    assert not (tmp_path / 'mine.json').exists()


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([], 'either a CONFIG.yaml or --clips FOLDER is needed'),
        (
            ['c.yaml', '--clips', 'x', '--from', 'y', '--output', 'z'],
            'either a CONFIG.yaml or --clips',
        ),
        (['c.yaml', '--from', 'y'], '--from MODEL goes with --clips FOLDER'),
        (['--clips', 'x'], '--clips needs --from MODEL and --output MODEL'),
        (['--clips', 'x', '--from', 'y'], '--clips needs --from MODEL and --output MODEL'),
        (['none.yaml'], 'none.yaml: '),
        (['--clips', 'none', '--from', 'y', '--output', 'z'], 'y.json is missing'),
        (['c.yaml', '--folds', '--output', 'z'], '--folds goes with a CONFIG.yaml alone'),
        (['--clips', 'x', '--folds'], '--folds goes with a CONFIG.yaml alone'),
        (['--epochs', '3'], 'unrecognized arguments'),
    ],
)
def test_wrong_arguments(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in error_of(capsys, *arguments)


def test_a_missing_model_is_named(clips, tmp_path, capsys):
    assert 'none.json is missing' in error_of(
        capsys, '--clips', clips, '--from', tmp_path / 'none', '--output', tmp_path / 'mine'
    )


@pytest.mark.parametrize(
    'text, message',
    [
        ('run_dir: $NOWHERE/x\nsets: {}', '$NOWHERE is not set in the environment'),
        ('run_dir: [', 'while parsing'),
        ('a text', 'config.yaml: the configuration should be a table of name, run_dir, '),
        (
            '{name: x, run_dir: x, folds: 7, sets: {}, stills: {}, adapter: {}, hat: {}}',
            'the configuration: head is missing, hat is unknown; its keys are name, run_dir, folds, ',
        ),
        (yaml.safe_dump(CONFIG), 'config.yaml: none.npz does not exist'),
    ],
)
def test_wrong_configurations(tmp_path, monkeypatch, capsys, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'config.yaml').write_text(text)
    assert message in error_of(capsys, 'config.yaml')
    assert [path.name for path in tmp_path.iterdir()] == ['config.yaml']


MISSING = object()


@pytest.mark.parametrize(
    'where, value, message',
    [
        ('folds', 'seven', "folds should be a whole number from 2 on, not 'seven'"),
        ('folds', 0, 'folds should be a whole number from 2 on, not 0'),
        ('folds', True, 'folds should be a whole number from 2 on, not True'),
        ('sets', ['a'], "sets should be a table of web, lab, live, one_face, not ['a']"),
        ('sets web', 'a.npz', "sets.web should be a table of train, valid, not 'a.npz'"),
        ('sets lab', 'ckplus', "sets.lab should be a list, not 'ckplus'"),
        ('sets lab', [], 'sets.lab should be a list, not []'),
        ('sets lab', [None], 'sets.lab[0] should be a text, not None'),
        ('run_dir', None, 'run_dir should be a text, not None'),
        ('name', '', "name should be a text, not ''"),
        ('stills', 3, 'stills should be a table of backbone, batch_size, '),
        ('stills cycles', MISSING, 'stills: cycles is missing; its keys are backbone, '),
        ('stills cycles', {}, 'stills.cycles should be a list, not {}'),
        ('stills cycles 0 phases 0 size', 0, 'stills.cycles[0].phases[0].size should be a whole'),
        ('stills cycles 1 dropout', 1, 'stills.cycles[1].dropout should be a number from 0 to '),
        ('stills backbone', 'resnet', 'stills.backbone should be one of residual, seed, '),
        (
            'stills batch_size',
            'many',
            "stills.batch_size should be a whole number from 1 on, not 'm",
        ),
        ('stills batch_size', '1e2', "not '1e2', which YAML reads as text: write 100"),
        (
            'stills cycles 0 learning_rate',
            '1e-3',
            "not '1e-3', which YAML reads as text: write 0.001",
        ),
        (
            'stills cycles 0 learning_rate',
            '1e-5',
            "not '1e-5', which YAML reads as text: write 1.0e-05",
        ),
        ('stills cycles 0 learning_rate', float('inf'), 'should be a number above 0, not inf'),
        ('stills precision', 16, 'stills.precision should be one of float32, '),
        ('stills epochs', 3, 'stills: epochs is unknown; its keys are backbone, '),
        ('head prior', 2, 'head.prior should be a number from 0 to 1, not 2'),
        ('head noise', MISSING, 'head: noise is missing; its keys are epochs, prior, '),
        ('head noise', -1, 'head.noise should be a number from 0 on, not -1'),
    ],
)
def test_wrong_values_are_named(tmp_path, monkeypatch, capsys, where, value, message):
    monkeypatch.chdir(tmp_path)
    config = json.loads(json.dumps(CONFIG))
    *path, last = (int(key) if key.isdigit() else key for key in where.split())
    table = config
    for key in path:
        table = table[key]
    if value is MISSING:
        del table[last]
    else:
        table[last] = value
    (tmp_path / 'config.yaml').write_text(yaml.safe_dump(config))
    assert message in error_of(capsys, 'config.yaml')
    assert [path.name for path in tmp_path.iterdir()] == ['config.yaml']


@pytest.mark.parametrize('arguments, step', [([], 'write'), (['--folds'], 'measure_folds')])
def test_what_training_refuses_ends_in_one_line(tmp_path, monkeypatch, capsys, arguments, step):
    def refuse(self, *_):
        raise ValueError('no still to train on shows fear')

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Recipe, '__init__', lambda self, config: None)
    monkeypatch.setattr(Recipe, step, refuse)
    (tmp_path / 'config.yaml').write_text(yaml.safe_dump(CONFIG))
    assert 'config.yaml: no still to train on shows fear' in error_of(
        capsys, 'config.yaml', *arguments
    )


@pytest.mark.parametrize('result', ['stills.npz', 'stills_1.npz', 'stills_1/state.npz'])
def test_a_run_dir_with_results_of_another_configuration_is_refused(tmp_path, result):
    recipe = Recipe.__new__(Recipe)
    recipe.run_dir = tmp_path / 'run'

    def claim(**stills):
        recipe._config = {**CONFIG, 'stills': {**CONFIG['stills'], **stills}}
        recipe._claim_run_dir()

    claim(prior=0.4)
    claim()  # nothing was trained
    (recipe.run_dir / result).parent.mkdir(exist_ok=True)
    (recipe.run_dir / result).write_text('')
    claim(**dict(reversed(CONFIG['stills'].items())))
    with pytest.raises(ValueError, match='run holds results of another configuration, see .*steps'):
        claim(prior=0.4)


def test_the_shipped_configuration_reads(root, monkeypatch):
    monkeypatch.setenv('DATA', '/data')
    monkeypatch.setenv('RUNS', '/runs')
    config = read_config(root / 'config' / 'training' / 'default.yaml', TRAINING)
    assert config['run_dir'] == '/runs/default'
    assert config['sets']['web']['train'] == '/data/ferplus/train.npz'
    assert config['stills']['backbone'] in networks.BACKBONES
