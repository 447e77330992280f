"""The training command, and adapting a model to clips of one's own."""
import json

import cv2
import numpy as np
import pytest

pytest.importorskip('tensorflow')

import keras  # noqa: E402
from keras import layers  # noqa: E402

from emotion_perception import train  # noqa: E402
from emotion_perception.datasets import load  # noqa: E402
from emotion_perception.emotions import EMOTIONS  # noqa: E402
from emotion_perception.learning import networks, own_clips  # noqa: E402
from emotion_perception.learning.export import read_weights, write_all  # noqa: E402
from emotion_perception.learning.own_clips import adapt_to_clips  # noqa: E402
from emotion_perception.learning.temporal import HeadNetwork  # noqa: E402
from emotion_perception.recognition import load_model  # noqa: E402
from emotion_perception.temporal import Windows  # noqa: E402


@pytest.fixture(scope='module')
def portrait():
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    return cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Add a backbone that is made in no time."""
    def network(x, dropout):
        x = layers.Conv2D(8, 3, strides=2, activation='relu')(x)
        x = layers.GlobalAveragePooling2D()(x)
        return layers.Dense(networks.FEATURES)(layers.Dropout(dropout)(x))
    monkeypatch.setitem(networks.BACKBONES, 'tiny', (network, 48))


@pytest.fixture
def start(tmp_path):
    """Return the path of a model with random weights."""
    keras.utils.set_random_seed(0)
    head = HeadNetwork()
    path = tmp_path / 'start' / 'start.json'
    write_all(path, networks.build_stills_model(networks.build_encoder('tiny')),
              head.weights_for_numpy(),
              {'name': 'start', 'trained_on': {'fer2013': ['train'], 'clips': ['eva']}})
    return path


@pytest.fixture
def clips(tmp_path, portrait):
    """Return a folder of clips: a face upright is 'happy', one in the dark is 'sad'."""
    folder = tmp_path / 'clips'
    for label, light in (('happy', 1.0), ('sad', 0.5)):
        for person in ('ann_1', 'bob_1'):
            (folder / label).mkdir(parents=True, exist_ok=True)
            write_clip(folder / label / f'{person}.mp4', portrait, light)
    return folder


def write_clip(path, portrait, light):
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), 30, (320, 240))
    for i in range(8):
        frame = cv2.warpAffine(portrait, np.float64([[0.7, 0, 10 + i], [0, 0.7, 5]]), (320, 240))
        video.write((frame * light).astype(np.uint8))
    video.release()


def error_of(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        train.main([str(argument) for argument in arguments])
    assert stop.value.code == 2
    return ' '.join(capsys.readouterr().err.split())


def test_adapting_to_clips(start, clips, tmp_path, capsys):
    output = tmp_path / 'new folder' / 'mine.json'
    before, after = adapt_to_clips(start, clips, output)
    assert 0 <= before <= 1 and 0 <= after <= 1
    assert f'{before:.3f} of their frames right before, {after:.3f} after' in \
        capsys.readouterr().out
    assert sorted(path.name for path in output.parent.iterdir()) == [
        'mine.json', 'mine.tflite', 'mine.weights.npz', 'mine_float32.json',
        'mine_float32.tflite']
    adapted, old = load_model(output), load_model(start)
    assert adapted.description['encoder']['weights'] == 'int8'
    assert load_model(output.with_name('mine_float32')).description['encoder']['weights'] == \
        'float32'
    assert adapted.description['name'] == 'mine'
    # Bob's clips are those kept aside; who was known before is not forgotten.
    assert adapted.trained_on == {'fer2013': ['train'], 'clips': ['ann', 'eva']}
    assert adapted.description['head'] == old.description['head']
    # The heads are trained, the encoder stays.
    pairs = list(zip(read_weights(start.with_suffix('.weights.npz')).layers,
                     read_weights(output.with_suffix('.weights.npz')).layers))
    changed = {a.name for a, b in pairs
               if not all(map(np.array_equal, a.get_weights(), b.get_weights()))}
    assert changed == {'six', 'eight'}


def published(model, frames):
    """Return the labels that a node gives frame after frame, each with what it has seen so far."""
    windows, labels = Windows(100), []
    for frame in frames:
        scores, intensities = model.advance([windows], model.encode(frame[None]))
        top = scores[0].argmax()
        labels.append(EMOTIONS[top] if intensities[0, top] >= .4 else 'neutral')
    return labels


def test_clips_are_judged_by_what_would_be_published(
        start, clips, tmp_path, portrait, monkeypatch):
    monkeypatch.setattr(own_clips, 'EPOCHS', 3)
    for name, light in (('neutral/ann_1', .3), ('neutral/bob_1', .3), ('contempt/cleo_1', .8)):
        (clips / name).parent.mkdir(exist_ok=True)
        write_clip((clips / name).with_suffix('.mp4'), portrait, light)
    figures = adapt_to_clips(start, clips, tmp_path / 'mine')
    for path, figure in zip((start, tmp_path / 'mine'), figures):
        model = load_model(path)
        shares = [np.mean([label == sample.label for label in published(model, sample.frames)])
                  for sample in load(clips) if sample.subject == 'bob']
        assert len(shares) == 3 and figure == pytest.approx(np.mean(shares))
    assert 'cleo' in load_model(tmp_path / 'mine').trained_on['clips']


def test_the_command_adapts(start, clips, tmp_path, capsys):
    train.main(['--from', str(start), '--clips', str(clips), '--output', str(tmp_path / 'mine')])
    assert '2 clips trained on, 2 kept aside' in capsys.readouterr().out
    assert json.loads((tmp_path / 'mine.json').read_text())['name'] == 'mine'


def test_a_label_with_one_clip_is_refused(start, clips, tmp_path, capsys):
    (clips / 'sad' / 'bob_1.mp4').unlink()
    with pytest.raises(ValueError, match='needs two clips or more.*too few for sadness$'):
        adapt_to_clips(start, clips, tmp_path / 'mine')
    assert 'too few for sadness' in error_of(
        capsys, '--from', start, '--clips', clips, '--output', tmp_path / 'mine')
    assert not (tmp_path / 'mine.json').exists()


@pytest.mark.parametrize('arguments, message', [
    ([], 'either a CONFIG.yaml or --clips FOLDER is needed'),
    (['c.yaml', '--clips', 'x', '--from', 'y', '--output', 'z'], 'either a CONFIG.yaml or --clips'),
    (['c.yaml', '--from', 'y'], '--from MODEL goes with --clips FOLDER'),
    (['--clips', 'x'], '--clips needs --from MODEL and --output MODEL'),
    (['--clips', 'x', '--from', 'y'], '--clips needs --from MODEL and --output MODEL'),
    (['none.yaml'], 'none.yaml: '),
    (['--clips', 'none', '--from', 'y', '--output', 'z'], 'none does not exist'),
    (['--epochs', '3'], 'unrecognized arguments'),
])
def test_wrong_arguments(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in error_of(capsys, *arguments)


def test_a_missing_model_is_named(clips, tmp_path, capsys):
    assert 'none.json is missing' in error_of(
        capsys, '--clips', clips, '--from', tmp_path / 'none', '--output', tmp_path / 'mine')


@pytest.mark.parametrize('text, message', [
    ('run_dir: $NOWHERE/x\nsets: {}', '$NOWHERE is not set in the environment'),
    ('run_dir: [', 'while parsing'),
    ('a text', 'config.yaml: not a configuration'),
    ('{name: x, run_dir: x, sets: {}, folds: 7, stills: {}, adapter: {}}',
     'config.yaml: head missing; see config/training/default.yaml'),
    ('{name: x, run_dir: x, sets: {web: {train: none.npz, valid: none.npz}, lab: []}, '
     'folds: 7, stills: {}, adapter: {}, head: {}}',
     'none.npz does not exist'),
])
def test_wrong_configurations(tmp_path, monkeypatch, capsys, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'config.yaml').write_text(text)
    assert message in error_of(capsys, 'config.yaml')
    assert [path.name for path in tmp_path.iterdir()] == ['config.yaml']


def test_the_shipped_configuration_reads(root, monkeypatch):
    monkeypatch.setenv('DATA', '/data')
    monkeypatch.setenv('RUNS', '/runs')
    config = train.read_config(root / 'config' / 'training' / 'default.yaml')
    assert config['run_dir'] == '/runs/default'
    assert config['sets']['web']['train'] == '/data/ferplus/train.npz'
    assert config['stills']['backbone'] in networks.BACKBONES
