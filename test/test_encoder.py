"""What encoders learn from, their networks, and their training on stills, which can go on."""

import csv

import cv2
import numpy as np
import pytest

pytest.importorskip('tensorflow')

from emotion_perception.datasets import Samples  # noqa: E402
from emotion_perception.emotions import EMOTIONS  # noqa: E402
from emotion_perception.learning import recipe  # noqa: E402
from emotion_perception.learning.encoder import networks, trainer, web_faces  # noqa: E402
from emotion_perception.learning.encoder.augmentation import augment, resize  # noqa: E402
from emotion_perception.learning.encoder.face_or_not import face_readout  # noqa: E402
from emotion_perception.learning.encoder.labelled_stills import (  # noqa: E402
    EIGHT,
    FER2013_VOTES,
    SEVEN,
    SMOOTHING,
    stills_from,
)
from emotion_perception.learning.export import read_weights, write_weights  # noqa: E402
from emotion_perception.learning.head.episodes import grey_variants  # noqa: E402
from emotion_perception.temporal import CHANGE, EIGHT as EIGHT_LOGITS, FACE, KEPT, LIVE  # noqa: E402
from samples import sample, votes  # noqa: E402

# --- targets --------------------------------------------------------------------------------


def test_targets_of_votes():
    made = stills_from([sample(None, votes=votes(neutral=4, happiness=3, surprise=1, NF=2))])
    np.testing.assert_allclose(made.targets['eight'][0], [0, 0, 0, 3 / 8, 0, 1 / 8, 4 / 8, 0])
    np.testing.assert_allclose(made.targets['six'][0], [0, 0, 0, 3 / 4, 0, 1 / 4])
    assert made.weights['six'][0] == 1
    assert (made.weights['eight'][0], made.weights['seven'][0]) == (1, 0)


def test_targets_of_votes_and_a_fer2013_label():
    made = stills_from(
        [
            sample(None, votes=votes(neutral=5, happiness=5), fer2013_label='surprise'),
            sample(None, votes=votes(neutral=10), fer2013_label='neutral'),
            sample(None, votes=votes(NF=10), fer2013_label='anger'),
        ]
    )
    both = 5 + FER2013_VOTES
    np.testing.assert_allclose(
        made.targets['six'][0], [0, 0, 0, 5 / both, 0, FER2013_VOTES / both], rtol=1e-5
    )
    np.testing.assert_array_equal(made.targets['seven'], np.eye(7)[[5, 6, 0]])
    np.testing.assert_allclose(made.weights['six'], [1, 0, 1], rtol=1e-5)
    np.testing.assert_array_equal(made.weights['eight'], [1, 1, 0])
    np.testing.assert_array_equal(made.weights['seven'], [1, 1, 1])


def test_an_expression_that_hardly_anybody_saw_counts_less():
    made = stills_from([sample(None, votes=votes(neutral=9, fear=1), fer2013_label='neutral')])
    assert made.weights['six'][0] == pytest.approx(1 / FER2013_VOTES)


def test_targets_of_single_labels():
    made = stills_from([sample('fear'), sample('neutral'), sample('contempt'), sample(None)])
    assert made.targets['six'][0, 2] == pytest.approx(1 - SMOOTHING + SMOOTHING / 6)
    assert made.targets['eight'][1, 6] == pytest.approx(1 - SMOOTHING + SMOOTHING / 8)
    assert made.targets['eight'][2].argmax() == EIGHT.index('contempt') == 7
    np.testing.assert_array_equal(made.weights['six'], [1, 0, 0, 0])
    np.testing.assert_array_equal(made.weights['eight'], [1, 1, 1, 0])
    np.testing.assert_array_equal(made.weights['seven'], [0, 0, 0, 0])
    for head, count in (('six', 6), ('eight', 8), ('seven', 7)):
        assert made.targets[head].shape == (4, count)
        known = made.weights[head] > 0
        np.testing.assert_allclose(made.targets[head][known].sum(1), 1, rtol=1e-5)
    assert SEVEN == EMOTIONS + ('neutral',)


def test_stills_can_be_taken():
    made = stills_from(
        [sample(label, np.full((1, 64, 64, 3), i, np.uint8)) for i, label in enumerate(EMOTIONS)]
    )
    taken = made.take([1, 4, 0])
    assert len(taken) == 3
    np.testing.assert_array_equal(taken.images[:, 0, 0], [1, 4, 0])
    np.testing.assert_array_equal(taken.targets['six'].argmax(1), [1, 4, 0])
    assert taken.weights['six'].shape == (3,)


# --- augmentation ---------------------------------------------------------------------------


@pytest.mark.parametrize('size', [32, 48])
def test_augmented_crops(faces, size):
    rng, again = np.random.default_rng(1), np.random.default_rng(1)
    made = [augment(faces[0], size, rng) for _ in range(50)]
    for image in made:
        assert image.shape == (size, size) and image.dtype == np.float32
        assert image.min() >= 0 and image.max() <= 255
        np.testing.assert_array_equal(image, augment(faces[0], size, again))
    assert len({image.tobytes() for image in made}) == 50
    # They are still of the face: on average they look like it and like its mirror image.
    plain = cv2.GaussianBlur(resize(faces[0], size), (0, 0), size / 16)
    both_ways = np.ravel(plain + plain[:, ::-1])
    assert np.corrcoef(np.mean(made, 0).ravel(), both_ways)[0, 1] > 0.8


def test_resizing_changes_nothing_else(faces):
    same = resize(faces[0], 48)
    assert same.dtype == np.float32
    np.testing.assert_array_equal(same, faces[0])
    ramp = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (48, 1))
    small = resize(ramp, 24)
    np.testing.assert_allclose(
        small[:, 1:-1], np.tile(np.arange(2.5, 240, 10), (24, 1))[:, 1:-1], atol=0.51
    )


# --- networks -------------------------------------------------------------------------------


@pytest.mark.parametrize('backbone', networks.BACKBONES)
def test_a_backbones_weights_do_not_depend_on_how_it_is_fed(backbone):
    size = networks.BACKBONES[backbone][1]
    shapes = [
        [weight.shape for weight in networks.build_encoder(backbone, grey).weights]
        for grey in (0, size)
    ]
    assert shapes[0] == shapes[1]
    encoder = networks.build_encoder(backbone)
    assert encoder.input_shape == (None, 64, 64, 3) and encoder.output_shape == (None, 512)
    assert encoder.output.dtype == 'float32'


def test_the_default_backbone_takes_any_size():
    encoder = networks.build_encoder('residual', None)
    assert encoder.count_params() == networks.build_encoder('residual').count_params()
    assert [encoder(np.zeros((1, size, size, 1), np.float32)).shape for size in (32, 48)] == [
        (1, 512),
        (1, 512),
    ]


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="no backbone 'resnet'; there are residual"):
        networks.build_encoder('resnet')


def test_standardise():
    rng = np.random.default_rng(0)
    grey = rng.integers(50, 200, (2, 64, 64, 1))
    layer = networks.Standardise(64)
    out = np.array(layer(np.repeat(grey, 3, 3).astype(np.uint8)))[..., 0]
    plain = grey[..., 0]
    for i in range(2):
        np.testing.assert_allclose(
            out[i], (plain[i] - plain[i].mean()) / (plain[i].std() + 1), atol=1e-3
        )
    np.testing.assert_array_equal(layer(np.full((1, 64, 64, 3), 7, np.uint8)), 0)
    # Blue, green, red count as in OpenCV's grey.
    bgr = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    as_grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)[None, ..., None]
    np.testing.assert_allclose(layer(bgr[None]), layer(as_grey), atol=0.03)


def test_the_grey_encoder_reads_weights_of_the_one_for_crops(tiny):
    model = networks.build_stills_model(networks.build_encoder(tiny))
    rng = np.random.default_rng(0)
    crops = np.repeat(
        cv2.resize(
            rng.integers(0, 255, (6, 6)).astype(np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC
        )[None, ..., None],
        3,
        3,
    )
    kept, features, _ = networks.GreyEncoder(model)(grey_variants(crops, 48, 1, 0))
    assert kept.shape == (1, 1, KEPT) and features.shape == (1, 1, 512)
    assert not kept[..., CHANGE].any() and not kept[..., FACE].any()  # until they are fitted
    eight = np.exp(kept[0, 0, EIGHT_LOGITS])
    np.testing.assert_allclose(np.exp(kept[0, 0, LIVE]), [*eight[:6], eight[6:].sum()], rtol=1e-4)
    logits = model.predict(crops.astype(np.float32), verbose=0)
    np.testing.assert_allclose(
        kept[0, 0], np.concatenate([logits[name][0] for name in networks.KEPT_HEADS]), atol=0.02
    )


def test_the_face_readout_tells_faces_from_others():
    rng = np.random.default_rng(0)
    faces, others = rng.normal(0.5, 1, (400, 20)), rng.normal(-0.5, 1, (50, 20))
    kernel, offset = face_readout(faces.astype(np.float32), others.astype(np.float32))
    assert kernel.shape == (20, 1) and offset.shape == (1,)
    assert ((faces @ kernel + offset) > 0).mean() > 0.98
    assert ((others @ kernel + offset) > 0).mean() < 0.3  # it leans toward faces


# --- training on stills ---------------------------------------------------------------------


@pytest.fixture
def config(tiny):
    return {
        'backbone': tiny,
        'phases': [{'size': 32, 'epochs': 2}],
        'batch_size': 32,
        'learning_rate': 0.05,
        'weight_decay': 0.001,
        'dropout': 0.0,
        'prior': 0.5,
        'gamma': 0.25,
        'seed': 1,
        'precision': 'float32',
    }


@pytest.fixture
def some_stills(faces):
    crops = np.repeat(np.stack([cv2.resize(face, (64, 64)) for face in faces])[..., None], 3, 3)
    return stills_from([sample(EMOTIONS[i % 6], crop[None]) for i, crop in enumerate(crops)])


def test_a_training_that_was_killed_goes_on_as_if_it_had_not_been(
    config, some_stills, tmp_path, monkeypatch
):
    config = {**config, 'dropout': 0.5, 'phases': [{'size': 32, 'epochs': 4}]}
    whole = trainer.train_stills(config, some_stills, some_stills, tmp_path / 'whole')

    images = iter(range(2 * 128 + 40))  # two epochs, and a part of the third one

    def killed(*arguments):
        if next(images, None) is None:
            raise KeyboardInterrupt
        return augment(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, 'augment', killed)
        with pytest.raises(KeyboardInterrupt):
            trainer.train_stills(config, some_stills, some_stills, tmp_path / 'killed')
    assert epochs(tmp_path / 'killed') == ['1', '2']
    resumed = trainer.train_stills(config, some_stills, some_stills, tmp_path / 'killed')

    for a, b in zip(whole.get_weights(), resumed.get_weights()):
        np.testing.assert_array_equal(a, b)
    for name in ('whole', 'killed'):
        assert epochs(tmp_path / name) == ['1', '2', '3', '4']
        assert list((tmp_path / name / 'tensorboard').iterdir())
    assert whole.input_shape == (None, 64, 64, 3)

    # Once more: nothing is left to do.
    monkeypatch.setattr(trainer, 'augment', None)
    done = trainer.train_stills(config, some_stills, some_stills, tmp_path / 'whole')
    for a, b in zip(whole.get_weights(), done.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert epochs(tmp_path / 'whole') == ['1', '2', '3', '4']


def test_the_state_of_another_training_is_refused(config, some_stills, tmp_path):
    config = {**config, 'phases': [{'size': 32, 'epochs': 1}]}
    trainer.train_stills(config, some_stills, some_stills, tmp_path)
    with pytest.raises(ValueError, match='state.npz is no state of this network'):
        trainer.train_stills({**config, 'backbone': 'low_high'}, some_stills, some_stills, tmp_path)


def epochs(run_dir):
    with open(run_dir / 'curve.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert row['size'] == '32' and float(row['loss']) > 0
        assert 0 <= float(row['six']) <= 1 and 0 <= float(row['eight']) <= 1
        assert row['seven'] == 'nan', 'nobody gave FER2013 labels'
    return [row['epoch'] for row in rows]


def test_stills_that_do_not_fill_a_batch_are_refused(config, some_stills, tmp_path):
    few = some_stills.take(np.arange(31))
    with pytest.raises(ValueError, match='31 stills .* do not fill one batch.* below 32$'):
        trainer.train_stills(config, few, some_stills, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_a_class_that_no_still_shows_is_named(config, tmp_path):
    seen = [name for name in EMOTIONS if name not in ('disgust', 'fear')]
    made = stills_from([sample(None, votes=votes(**{seen[i % 4]: 10})) for i in range(32)])
    with pytest.raises(ValueError, match='no still to train on shows disgust, fear: each of '):
        trainer.train_stills(config, made, made, tmp_path)
    nobody = stills_from([sample('neutral')] * 32)
    with pytest.raises(ValueError, match='shows anger, disgust, fear, happiness, sadness, surp'):
        trainer.train_stills(config, nobody, made, tmp_path)


def test_stills_are_learned(config, tmp_path):
    """Bars in six directions take the place of six expressions."""
    rows, columns = np.mgrid[:48, :48] - 24
    rng = np.random.default_rng(0)

    def bars(count):
        made = []
        for i in range(count):
            angle = np.pi * (i % 6) / 6
            wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) / 3)
            image = 128 + 60 * wave + rng.normal(0, 10, wave.shape)
            image = cv2.resize(image.clip(0, 255).astype(np.uint8), (64, 64))
            made.append(sample(EMOTIONS[i % 6], np.repeat(image[None, ..., None], 3, 3)))
        return stills_from(made)

    train, valid = bars(192), bars(48)
    config = {
        **config,
        'phases': [{'size': 24, 'epochs': 6}, {'size': 48, 'epochs': 6}],
        'learning_rate': 0.1,
    }
    with pytest.MonkeyPatch.context() as patch:  # a flip or a turn is another direction
        patch.setattr(trainer, 'augment', lambda image, size, rng, gamma: resize(image, size))
        model = trainer.train_stills(config, train, valid, tmp_path)
    found = trainer.stills_accuracy(model_for_grey(model), valid, 48)
    assert found['six'] > 0.6 and np.isnan(found['seven'])


def model_for_grey(model):
    grey = networks.build_stills_model(networks.build_encoder('tiny', 48))
    grey.set_weights(model.get_weights())
    return grey


def test_weights_are_kept_in_half_precision(tiny, tmp_path):
    model = networks.build_stills_model(networks.build_encoder(tiny))
    path = tmp_path / 'not yet there' / 'model.weights.npz'
    write_weights(path, model)
    again = read_weights(path)
    assert again.name == model.name
    for a, b in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_damaged_weights_are_refused(tiny, tmp_path):
    path = tmp_path / 'model.weights.npz'
    write_weights(path, networks.build_stills_model(networks.build_encoder(tiny)))
    whole = path.read_bytes()
    for damaged in (b'', whole[: len(whole) // 2], b'no archive'):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match='model.weights.npz holds no weights of a model: '):
            read_weights(path)
    np.savez(path, backbone=tiny, weight_000=np.zeros(3))
    with pytest.raises(ValueError, match='holds weights of another network than tiny_stills is'):
        read_weights(path)


# --- the recipe -----------------------------------------------------------------------------


def test_averaged_weights_lie_between_and_know_their_own_statistics(
    tiny, config, some_stills, monkeypatch
):
    monkeypatch.setattr(trainer, 'STATISTICS', 10)
    models = [networks.build_stills_model(networks.build_encoder(tiny)) for _ in range(2)]
    mean = trainer.average_weights(models, some_stills, some_stills, config)
    assert mean.input_shape == (None, 64, 64, 3)
    for one, two, both in zip(*(model.weights for model in (*models, mean))):
        if 'moving' not in both.path:
            np.testing.assert_allclose(both, (one.numpy() + two.numpy()) / 2, atol=1e-6)
    # The mean of the two models' statistics would be those of a network that saw nothing.
    normalised = [layer for layer in mean.layers if 'batch_normalization' in layer.name][0]
    assert np.abs(normalised.moving_mean.numpy()).max() > 0
    again = trainer.average_weights(models, some_stills, some_stills, config)
    for a, b in zip(mean.get_weights(), again.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_the_encoder_is_the_mean_of_the_ends_of_its_cycles(
    config, some_stills, tmp_path, monkeypatch
):
    begun = []
    monkeypatch.setattr(trainer, 'STATISTICS', 2)

    def train(config, web, valid, run_dir, start=None):
        begun.append((config['seed'], run_dir.name, start and start.get_weights()[0].max()))
        model = networks.build_stills_model(networks.build_encoder('tiny'))
        model.set_weights([np.full(w.shape, config['seed'] / 64) for w in model.get_weights()])
        return model

    monkeypatch.setattr(recipe, 'train_stills', train)
    monkeypatch.setattr(recipe, 'stills_from', lambda samples: some_stills)
    made = recipe.Recipe.__new__(recipe.Recipe)
    made._web = made._valid = None
    made._config = {'stills': {**config, 'cycles': [{'seed': 1}, {'seed': 3}]}}
    made.run_dir = tmp_path
    kernels = [made._encoder().get_weights()[0] for _ in range(2)]
    np.testing.assert_array_equal(kernels, 2 / 64)
    assert begun == [(1, 'stills_1', None), (3, 'stills_2', 1 / 64)], 'once, one from the other'

    (tmp_path / 'stills.npz').unlink()
    made._config['stills']['cycles'] = [{'seed': 1}]
    np.testing.assert_array_equal(made._encoder().get_weights()[0], 1 / 64)


# --- folds ----------------------------------------------------------------------------------


def test_web_faces_are_those_of_one_part(monkeypatch):
    parts = [sample('fear', part=part) for part in ('train', 'valid', 'test', 'train')]
    monkeypatch.setattr(web_faces, 'load', lambda path, kind: Samples('fer2013', parts, []))
    assert [s.part for s in web_faces.load_web_faces('a', 'train')] == ['train'] * 2
    parts[:] = parts[2:3]
    with pytest.raises(ValueError, match="a has no part 'train', but test"):
        web_faces.load_web_faces('a', 'train')
    parts[:] = [sample('fear')]
    assert len(web_faces.load_web_faces('a', 'valid')) == 1, 'not divided'
