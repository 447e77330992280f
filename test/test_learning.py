"""Training, in small: objectives, targets, augmentation, networks, and that it can go on."""
import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip('tensorflow')

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

from emotion_perception.datasets import Sample, Samples  # noqa: E402
from emotion_perception.datasets.sample import VOTE_NAMES  # noqa: E402
from emotion_perception.emotions import EMOTIONS  # noqa: E402
from emotion_perception.evaluation.metrics import apex_similarity  # noqa: E402
from emotion_perception.learning import (  # noqa: E402
    encoded_faces, lab_faces, networks, recipe, stills, temporal, web_faces)
from emotion_perception.learning.adapter import train_adapter  # noqa: E402
from emotion_perception.learning.augmentation import augment, resize  # noqa: E402
from emotion_perception.learning.change import change_readout, DEVIATION  # noqa: E402
from emotion_perception.learning.episodes import (  # noqa: E402
    clip_episode, grey_variants, held_episode, live_episode, LONGEST,
    onset_episode, onset_frames, vote_intensity)
from emotion_perception.learning.encoded_faces import EncodedFaces  # noqa: E402
from emotion_perception.learning.face_or_not import face_readout  # noqa: E402
from emotion_perception.learning.export import read_weights, write_weights  # noqa: E402
from emotion_perception.learning.lab_faces import lab_stills, LabFaces  # noqa: E402
from emotion_perception.learning.objectives import e1, e2, e3  # noqa: E402
from emotion_perception.learning.sequence_trainer import train_head  # noqa: E402
from emotion_perception.learning.targets import (  # noqa: E402
    EIGHT, FER2013_VOTES, SEVEN, SMOOTHING, stills_from)
from emotion_perception.learning.temporal import FRAME, frames_of, HeadNetwork  # noqa: E402
from emotion_perception.recognition import load_model  # noqa: E402
from emotion_perception.temporal import CHANGE, FACE, KEPT, LIVE  # noqa: E402
from emotion_perception.temporal import EIGHT as EIGHT_LOGITS  # noqa: E402


@pytest.fixture(scope='module')
def faces():
    """Return real crops of a face, uint8 [128,48,48], at changing place, size and light."""
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    face = cv2.cvtColor(data.astronaut()[60:190, 160:290], cv2.COLOR_RGB2GRAY)
    rng = np.random.default_rng(0)
    result = []
    for _ in range(128):
        top, left = rng.integers(0, 40, 2)
        side = rng.integers(60, 90)
        part = cv2.resize(face[top:top + side, left:left + side], (48, 48)).astype(float)
        noisy = part * rng.uniform(0.4, 1) + rng.normal(0, 5, part.shape)
        result.append(noisy.clip(0, 255).astype(np.uint8))
    return np.stack(result)


@pytest.fixture
def tiny(monkeypatch):
    """Add a backbone that trains in no time."""
    def network(x, dropout):
        x = layers.Conv2D(8, 3, strides=2, activation='relu')(x)
        x = layers.BatchNormalization(momentum=0.8)(layers.GlobalAveragePooling2D()(x))
        return layers.Dense(networks.FEATURES)(layers.Dropout(dropout)(x))
    monkeypatch.setitem(networks.BACKBONES, 'tiny', (network, 48))
    return 'tiny'


def sample(label, frames=None, subject='A', **fields):
    frames = np.zeros((1, 64, 64, 3), np.uint8) if frames is None else frames
    return Sample(f'{subject}-{label}', subject, label, frames, **fields)


def votes(**counts):
    return np.array([counts.get(name, 0) for name in VOTE_NAMES], np.uint8)


# --- objectives -----------------------------------------------------------------------------

def outputs():
    rng = np.random.default_rng(0)
    values = rng.uniform(-1, 1, (2, 3, 6)).astype(np.float32)
    labels = np.eye(6, dtype=np.float32)[rng.integers(0, 6, (2, 3))]
    weights = np.float32([[1, 1, 0], [0.5, 0, 1]])
    return values, labels, weights


def test_e1_is_the_weighted_cross_entropy_of_sharpened_values():
    values, labels, weights = outputs()
    expected = 0
    for n in range(2):
        for t in range(3):
            powers = [np.exp(6 * value) for value in values[n, t]]
            expected -= weights[n, t] * np.log(powers[labels[n, t].argmax()] / sum(powers))
    assert float(e1(values, 6.0, labels, weights)) == pytest.approx(expected / 3.5, rel=1e-5)


def test_e2_is_half_the_squared_distance_to_the_intensity_target():
    values, labels, weights = outputs()
    strength = np.float32([[0, .4, 1], [0, .7, 1]])
    expected = 0
    for n in range(2):
        for t in range(3):
            for c in range(6):
                target = strength[n, t] * labels[n, t, c]
                expected += weights[n, t] * 0.5 * (values[n, t, c] - target) ** 2
    assert float(e2(values, strength[..., None] * labels, weights)) == pytest.approx(
        expected / 3.5, rel=1e-5)


def test_e3_pulls_to_the_apex_of_the_labels_class():
    values, labels, weights = outputs()
    apex = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)
    expected = sum(
        weights[n, t] * 0.5 * np.sum((values[n, t] - apex[labels[n, t].argmax()]) ** 2)
        for n in range(2) for t in range(3))
    assert float(e3(values, labels, weights, apex)) == pytest.approx(expected / 3.5, rel=1e-5)


# --- the temporal head ----------------------------------------------------------------------

HEAD = {'stills': 0, 'sequences': 12, 'epochs': 1, 'steps': 4, 'learning_rate': 0.01, 'e2': 0.0,
        'e3': 0.0, 'seed': 1}


def draw(rng):
    """Return onsets whose class stands in the kept logits, and grows."""
    episodes = []
    for _ in range(12):
        label = rng.integers(6)
        length = rng.integers(5, 20)
        kept = rng.normal(0, 0.3, (length, KEPT)).astype(np.float32)
        strength = np.linspace(0, 1, length, dtype=np.float32)
        kept[:, LIVE.start + label] += 4 * strength
        kept[:, LIVE.stop - 1] += 4 * (1 - strength)
        episodes.append(onset_episode(
            frames_of(kept), np.stack([strength, 1 - strength], 1) + 0.01, EMOTIONS[label]))
    return episodes


def e2_of(head):
    losses = []
    for episode in draw(np.random.default_rng(99)):
        losses.append(float(e2(head(episode.kept[None]), episode.intensity[None],
                               np.ones((1, len(episode.kept)), np.float32))))
    return np.mean(losses)


def free_head(config):
    """Train a head that may leave its start at no cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(temporal, 'FROM_START', 0)
        return train_head(draw, config)


@pytest.fixture(scope='module')
def e1_alone():
    return train_head(draw, HEAD)


@pytest.fixture(scope='module')
def e1_alone_free():
    return free_head(HEAD)


def test_e2_moves_the_lstms_weights_and_nothing_else(e1_alone_free):
    both = free_head({**HEAD, 'e2': 1.0})
    lstm = {id(weight) for head in (e1_alone_free, both) for weight in head.lstm.weights}
    assert len(both.trainable_variables) == 4
    for without, with_e2 in zip(e1_alone_free.trainable_variables, both.trainable_variables):
        same = np.array_equal(without.numpy(), with_e2.numpy())
        assert same != (id(without) in lstm), without.path
    assert e2_of(both) < e2_of(e1_alone_free)


def test_e1_trains_every_weight(e1_alone):
    start = HeadNetwork()
    for before, after in zip(start.trainable_variables, e1_alone.trainable_variables):
        assert not np.array_equal(before.numpy(), after.numpy()), before.path


def test_training_makes_no_links_between_classes(e1_alone):
    rng = np.random.default_rng(1)
    frames = frames_of(rng.normal(0, 2, (1, 20, KEPT)))
    changed = frames.copy()
    changed[:, 10:, CHANGE.start + 2] += rng.normal(0, 2, 10)       # fear's alone
    before, after = e1_alone(frames).numpy(), e1_alone(changed).numpy()
    assert (before != after).any(1).nonzero()[1].tolist() == [2]


def test_what_leaves_the_start_costs_its_square_and_training_stays_near(e1_alone, e1_alone_free):
    start = HeadNetwork().lstm.get_weights()
    cost = temporal.FromStart(start[0], temporal.FROM_START)
    assert cost(start[0]) == 0
    assert float(cost(start[0] + 2)) == pytest.approx(temporal.FROM_START * 4 * start[0].size)
    trained = (head.lstm.get_weights() for head in (e1_alone, e1_alone_free))
    for before, near, far in zip(start, *trained):
        assert np.square(near - before).sum() < np.square(far - before).sum()


def shown(strength, label=0, length=30):
    """Return frames [1,t,36] of an expression: log odds of its class against neutral."""
    kept = np.zeros((1, length, KEPT), np.float32)
    kept[..., LIVE.start + label] = strength
    kept[..., LIVE.stop - 1] = 2                # as likely as all others together
    return frames_of(kept)


def test_a_head_begins_with_neutral_below_what_is_shown():
    values = HeadNetwork()(np.concatenate([shown(-3), shown(6)], 1)).numpy()[0]
    assert np.abs(values[:30]).max() < 0.35
    assert values[-1].argmax() == 0 and values[-1, 0] > 0.6


def test_an_expression_that_lasts_is_as_strong_as_in_one_image(e1_alone):
    values = e1_alone(shown(6, length=100)).numpy()[0, :, 0]
    assert 0.3 < values[0] < 1
    np.testing.assert_allclose(values, values[0], atol=0.05)


def test_the_third_term_brings_early_frames_nearer_to_the_apex():
    def early(head):
        kept = [episode.kept for episode in draw(np.random.default_rng(99))]
        return np.mean([np.linalg.norm(values[1] - values[-1]) for values in
                        (head(k[None]).numpy()[0] for k in kept)])
    config = {**HEAD, 'steps': 20, 'learning_rate': 0.03}
    assert early(train_head(draw, {**config, 'e3': 3.0})) < early(train_head(draw, config))


def test_training_a_head_is_repeatable(e1_alone):
    for a, b in zip(e1_alone.get_weights(), train_head(draw, HEAD).get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-6)


# --- episodes -------------------------------------------------------------------------------

def test_an_onsets_intensity_is_the_similarity_to_its_apex():
    features = np.random.default_rng(0).normal(size=(7, 512)) + np.linspace(0, 5, 7)[:, None]
    episode = onset_episode(np.zeros((7, KEPT), np.float32), features, 'fear')
    np.testing.assert_allclose(episode.intensity[:, 2], apex_similarity(features), atol=1e-6)
    assert episode.intensity[-1, 2] == 1 and episode.intensity[:, 2].min() == 0
    assert not np.delete(episode.intensity, 2, axis=1).any()
    np.testing.assert_array_equal(episode.labels, np.tile(np.eye(6)[2], (7, 1)))


def test_live_episodes_are_played_from_their_onsets():
    kept = frames_of(np.arange(12)[:, None] * np.ones(KEPT))
    onsets = [onset_episode(kept + 100 * i * (np.arange(FRAME) < KEPT), np.eye(12), label) for i, label in
              enumerate(('anger', 'surprise'))]
    rng = np.random.default_rng(0)
    lengths, starts = set(), set()
    for _ in range(200):
        episode = live_episode(onsets, 0.0, rng)
        assert 2 <= len(episode.kept) <= LONGEST
        assert len(episode.labels) == len(episode.label_weight) == len(episode.intensity) == \
            len(episode.kept)
        number = (episode.kept[:, 0] >= 100).astype(int)
        np.testing.assert_array_equal(episode.labels.argmax(1), number * 5)
        assert episode.kept[0, 0] % 100 == 0, 'begins neutral'
        lengths.add(len(episode.kept))
        starts.add(number[0])
    assert starts == {0, 1} and len(lengths) > 20


def test_a_held_still_has_its_targets_in_every_frame():
    six, intensity = np.eye(6)[1], 0.7 * np.eye(6)[1]
    frame = frames_of(np.arange(KEPT))
    episode = held_episode(frame, six, 0.4, intensity, 5, 0.1, np.random.default_rng(0))
    assert episode.kept.shape == (5, FRAME) and 0 < np.abs(episode.kept - frame).max() < 1
    np.testing.assert_array_equal(episode.kept[:, -1], 1)   # the step has no jitter
    np.testing.assert_array_equal(episode.intensity, np.tile(intensity, (5, 1)))
    np.testing.assert_allclose(episode.label_weight, 0.4)


def test_a_clip_of_talk_shows_its_label_and_neutral_talk_none():
    rng = np.random.default_rng(0)
    clip, talk = frames_of(np.full((150, KEPT), 1.0)), frames_of(np.zeros((60, KEPT)))
    lengths, joined, slower = set(), 0, 0
    for _ in range(200):
        episode = clip_episode(clip, 'fear', talk, rng)
        of_clip = episode.kept[:, 0] == 1
        assert 1 <= len(episode.kept) <= LONGEST and of_clip.any()
        np.testing.assert_array_equal(episode.label_weight, of_clip)
        np.testing.assert_allclose(episode.intensity[:, 2], of_clip.astype(float))
        assert not np.delete(episode.intensity, 2, 1).any()
        lengths.add(len(episode.kept))
        joined += not of_clip.all()
        slower += (episode.kept[:, -1] > 1).any()
        neutral = clip_episode(talk, 'neutral', talk, rng)
        assert not neutral.label_weight.any() and not neutral.intensity.any()
    assert len(lengths) > 20 and 50 < joined < 150 and 50 < slower < 180


def test_made_onsets_run_from_neutral_to_apex():
    neutral, apex = np.full((64, 64, 3), 40, np.uint8), np.full((64, 64, 3), 240, np.uint8)
    frames = onset_frames(neutral, apex, 9)
    assert frames.dtype == np.uint8 and frames.shape == (9, 64, 64, 3)
    np.testing.assert_array_equal(frames[[0, -1]], [neutral, apex])
    assert (np.diff(frames[:, 0, 0, 0].astype(int)) > 0).all()


def test_variants_change_all_frames_of_a_sequence_alike(faces):
    frames = np.repeat(faces[:1, ..., None], 3, 3)
    frames = np.stack([cv2.resize(frames[0], (64, 64))] * 3)
    variants = grey_variants(frames, 48, 4, seed=7)
    assert variants.shape == (4, 3, 48, 48) and variants.dtype == np.float32
    np.testing.assert_array_equal(variants[:, 0], variants[:, 2])
    assert all(np.abs(variants[0] - variants[i]).mean() > 1 for i in (1, 2, 3))
    np.testing.assert_array_equal(variants[0, 0], resize(frames[0, ..., 0], 48))


def test_intensity_of_stills():
    found = vote_intensity([
        sample('happiness', votes=votes(happiness=6, surprise=2, neutral=1, NF=1)),
        sample('fear'), sample('neutral'), sample('contempt')])
    np.testing.assert_allclose(found, [[0, 0, 0, .6, 0, .2], np.eye(6)[2], [0] * 6, [0] * 6],
                               atol=1e-6)
    with pytest.raises(ValueError, match='A-None has neither votes nor a label'):
        vote_intensity([sample(None)])


# --- targets --------------------------------------------------------------------------------

def test_targets_of_votes():
    made = stills_from([sample(None, votes=votes(neutral=4, happiness=3, surprise=1, NF=2))])
    np.testing.assert_allclose(made.targets['eight'][0], [0, 0, 0, 3 / 8, 0, 1 / 8, 4 / 8, 0])
    np.testing.assert_allclose(made.targets['six'][0], [0, 0, 0, 3 / 4, 0, 1 / 4])
    assert made.weights['six'][0] == 1
    assert (made.weights['eight'][0], made.weights['seven'][0]) == (1, 0)


def test_targets_of_votes_and_a_fer2013_label():
    made = stills_from([
        sample(None, votes=votes(neutral=5, happiness=5), fer2013_label='surprise'),
        sample(None, votes=votes(neutral=10), fer2013_label='neutral'),
        sample(None, votes=votes(NF=10), fer2013_label='anger')])
    both = 5 + FER2013_VOTES
    np.testing.assert_allclose(made.targets['six'][0], [0, 0, 0, 5 / both, 0, FER2013_VOTES / both],
                               rtol=1e-5)
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
    made = stills_from([sample(label, np.full((1, 64, 64, 3), i, np.uint8))
                        for i, label in enumerate(EMOTIONS)])
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
    np.testing.assert_allclose(small[:, 1:-1], np.tile(np.arange(2.5, 240, 10), (24, 1))[:, 1:-1],
                               atol=0.51)


# --- networks -------------------------------------------------------------------------------

@pytest.mark.parametrize('backbone', networks.BACKBONES)
def test_a_backbones_weights_do_not_depend_on_how_it_is_fed(backbone):
    size = networks.BACKBONES[backbone][1]
    shapes = [[weight.shape for weight in networks.build_encoder(backbone, grey).weights]
              for grey in (0, size)]
    assert shapes[0] == shapes[1]
    encoder = networks.build_encoder(backbone)
    assert encoder.input_shape == (None, 64, 64, 3) and encoder.output_shape == (None, 512)
    assert encoder.output.dtype == 'float32'


def test_the_default_backbone_takes_any_size():
    encoder = networks.build_encoder('residual', None)
    assert encoder.count_params() == networks.build_encoder('residual').count_params()
    assert [encoder(np.zeros((1, size, size, 1), np.float32)).shape for size in (32, 48)] == \
        [(1, 512), (1, 512)]


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
            out[i], (plain[i] - plain[i].mean()) / (plain[i].std() + 1), atol=1e-3)
    np.testing.assert_array_equal(layer(np.full((1, 64, 64, 3), 7, np.uint8)), 0)
    # Blue, green, red count as in OpenCV's grey.
    bgr = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    as_grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)[None, ..., None]
    np.testing.assert_allclose(layer(bgr[None]), layer(as_grey), atol=0.03)


def test_the_grey_encoder_reads_weights_of_the_one_for_crops(tiny):
    model = networks.build_stills_model(networks.build_encoder(tiny))
    rng = np.random.default_rng(0)
    crops = np.repeat(cv2.resize(rng.integers(0, 255, (6, 6)).astype(np.uint8), (64, 64),
                                 interpolation=cv2.INTER_CUBIC)[None, ..., None], 3, 3)
    kept, features, _ = networks.GreyEncoder(model)(grey_variants(crops, 48, 1, 0))
    assert kept.shape == (1, 1, KEPT) and features.shape == (1, 1, 512)
    assert not kept[..., CHANGE].any() and not kept[..., FACE].any()    # until they are fitted
    eight = np.exp(kept[0, 0, EIGHT_LOGITS])
    np.testing.assert_allclose(np.exp(kept[0, 0, LIVE]), [*eight[:6], eight[6:].sum()], rtol=1e-4)
    logits = model.predict(crops.astype(np.float32), verbose=0)
    np.testing.assert_allclose(
        kept[0, 0], np.concatenate([logits[name][0] for name in networks.KEPT_HEADS]), atol=0.02)


def test_the_face_readout_tells_faces_from_others():
    rng = np.random.default_rng(0)
    faces, others = rng.normal(0.5, 1, (400, 20)), rng.normal(-0.5, 1, (50, 20))
    kernel, offset = face_readout(faces.astype(np.float32), others.astype(np.float32))
    assert kernel.shape == (20, 1) and offset.shape == (1,)
    assert ((faces @ kernel + offset) > 0).mean() > 0.98
    assert ((others @ kernel + offset) > 0).mean() < 0.3    # it leans toward faces


def test_the_readout_of_change_tells_classes_by_changes_alone():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(6, 20))

    def onset(label):
        rest, strength = rng.normal(0, 5, 20), np.linspace(0, 1, 8)[None, :, None]
        features = rest + strength * directions[label] + rng.normal(0, 0.1, (2, 8, 20))
        return features.astype(np.float32)
    train = [(onset(label), EMOTIONS[label]) for label in range(6) for _ in range(10)]
    readout, offset = change_readout(train)
    assert readout.shape == (20, 6) and readout.dtype == np.float32
    changes = np.concatenate([f - f[:, :1] for f, _ in train])
    assert (changes @ readout).std() == pytest.approx(DEVIATION, abs=1e-3)
    neutral = np.concatenate([f[:, 0] for f, _ in train])
    np.testing.assert_allclose((neutral @ readout + offset).mean(0), 0, atol=1e-3)
    for label in range(6):      # another person, another look at rest
        other = onset(label)
        assert ((other - other[:, :1])[:, -1] @ readout).argmax(-1).tolist() == [label] * 2
    with pytest.raises(ValueError, match='no onset shows anger: the readout'):
        change_readout(train[10:])


# --- training on stills ---------------------------------------------------------------------

@pytest.fixture
def config(tiny):
    return {'backbone': tiny, 'phases': [{'size': 32, 'epochs': 2}], 'batch_size': 32,
            'learning_rate': 0.05, 'weight_decay': 0.001, 'dropout': 0.0, 'prior': 0.5,
            'gamma': 0.25, 'seed': 1, 'precision': 'float32'}


@pytest.fixture
def some_stills(faces):
    crops = np.repeat(np.stack([cv2.resize(face, (64, 64)) for face in faces])[..., None], 3, 3)
    return stills_from([sample(EMOTIONS[i % 6], crop[None]) for i, crop in enumerate(crops)])


def test_a_training_that_was_killed_goes_on_as_if_it_had_not_been(
        config, some_stills, tmp_path, monkeypatch):
    config = {**config, 'dropout': 0.5, 'phases': [{'size': 32, 'epochs': 4}]}
    whole = stills.train_stills(config, some_stills, some_stills, tmp_path / 'whole')

    images = iter(range(2 * 128 + 40))  # two epochs, and a part of the third one

    def killed(*arguments):
        if next(images, None) is None:
            raise KeyboardInterrupt
        return augment(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stills, 'augment', killed)
        with pytest.raises(KeyboardInterrupt):
            stills.train_stills(config, some_stills, some_stills, tmp_path / 'killed')
    assert epochs(tmp_path / 'killed') == ['1', '2']
    resumed = stills.train_stills(config, some_stills, some_stills, tmp_path / 'killed')

    for a, b in zip(whole.get_weights(), resumed.get_weights()):
        np.testing.assert_array_equal(a, b)
    for name in ('whole', 'killed'):
        assert epochs(tmp_path / name) == ['1', '2', '3', '4']
        assert list((tmp_path / name / 'tensorboard').iterdir())
    assert whole.input_shape == (None, 64, 64, 3)

    # Once more: nothing is left to do.
    monkeypatch.setattr(stills, 'augment', None)
    done = stills.train_stills(config, some_stills, some_stills, tmp_path / 'whole')
    for a, b in zip(whole.get_weights(), done.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert epochs(tmp_path / 'whole') == ['1', '2', '3', '4']


def test_the_state_of_another_training_is_refused(config, some_stills, tmp_path):
    config = {**config, 'phases': [{'size': 32, 'epochs': 1}]}
    stills.train_stills(config, some_stills, some_stills, tmp_path)
    with pytest.raises(ValueError, match='state.npz is no state of this network'):
        stills.train_stills({**config, 'backbone': 'low_high'}, some_stills, some_stills,
                            tmp_path)


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
        stills.train_stills(config, few, some_stills, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_a_class_that_no_still_shows_is_named(config, tmp_path):
    seen = [name for name in EMOTIONS if name not in ('disgust', 'fear')]
    made = stills_from([sample(None, votes=votes(**{seen[i % 4]: 10})) for i in range(32)])
    with pytest.raises(ValueError, match='no still to train on shows disgust, fear: each of '):
        stills.train_stills(config, made, made, tmp_path)
    nobody = stills_from([sample('neutral')] * 32)
    with pytest.raises(ValueError, match='shows anger, disgust, fear, happiness, sadness, surp'):
        stills.train_stills(config, nobody, made, tmp_path)


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
    config = {**config, 'phases': [{'size': 24, 'epochs': 6}, {'size': 48, 'epochs': 6}],
              'learning_rate': 0.1}
    with pytest.MonkeyPatch.context() as patch:  # a flip or a turn is another direction
        patch.setattr(stills, 'augment', lambda image, size, rng, gamma: resize(image, size))
        model = stills.train_stills(config, train, valid, tmp_path)
    found = stills.stills_accuracy(model_for_grey(model), valid, 48)
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
    for damaged in (b'', whole[:len(whole) // 2], b'no archive'):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match='model.weights.npz holds no weights of a model: '):
            read_weights(path)
    np.savez(path, backbone=tiny, weight_000=np.zeros(3))
    with pytest.raises(ValueError, match='holds weights of another network than tiny_stills is'):
        read_weights(path)


# --- the recipe -----------------------------------------------------------------------------

def test_sharpness_is_calibrated(tiny, faces):
    keras.utils.set_random_seed(0)
    model = networks.build_stills_model(networks.build_encoder(tiny))
    head = HeadNetwork()
    weights = head.weights_for_numpy()
    frames = np.repeat(np.stack([cv2.resize(face, (64, 64)) for face in faces])[..., None], 3, 3)
    running = recipe.in_memory(model, weights, int8=False)
    kept = running.encode(frames)
    answers = running.classify([frame[None] for frame in kept])[0].argmax(1)
    rng = np.random.default_rng(0)

    def sharpness(right):
        """Calibrate on samples of which such a share is labelled with the model's answer."""
        chance = rng.integers(0, 6, len(answers))
        labels = np.where(rng.random(len(answers)) < right, answers, chance)
        samples = [sample(EMOTIONS[label], frame[None]) for label, frame in zip(labels, frames)]
        samples += [sample('neutral', frames[:1]), sample(None, frames[:1])]
        found = recipe.calibrated(model, weights, samples)
        assert all(np.array_equal(found[k], weights[k]) for k in weights if k != 'sharpness')
        return found['sharpness']

    assert sharpness(right=1.0) == pytest.approx(4 * weights['sharpness'])
    assert sharpness(right=0.0) < sharpness(right=1.0)


@pytest.fixture
def lab(monkeypatch):
    """Return LabFaces of ten people in two sets; seven have complete sequences."""
    sets = {
        'a': [sample('fear', np.zeros((5, 64, 64, 3), np.uint8), f'S{i}', neutral_to_apex=True)
              for i in range(7) for _ in range(2)] + [sample('anger', subject='S8')],
        'b': [sample('neutral', subject=f'S{i}') for i in range(10)]}
    monkeypatch.setattr(lab_faces, 'load', lambda name: Samples(name, sets[name], []))
    return LabFaces(['a', 'b'], folds=7)


def test_people_are_dealt_out_to_folds_evenly(lab):
    assert sorted(person for people in lab.folds for person in people) == [
        f'S{i}' for i in range(10)]
    watched = {f'S{i}' for i in range(7)}
    assert [len(people & watched) for people in lab.folds] == [1] * 7, 'leave one subject out'
    assert max(map(len, lab.folds)) == 2


def test_the_people_of_a_model_are_listed(lab):
    assert lab.people() == {'a': [f'S{i}' for i in (0, 1, 2, 3, 4, 5, 6, 8)],
                            'b': [f'S{i}' for i in range(10)]}


def test_stills_of_lab_samples_are_those_and_both_ends_of_onsets():
    onset = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((64, 64, 3), np.uint8)
    stills = lab_stills([
        sample('fear', onset[:1] + 100), sample('anger', onset, neutral_to_apex=True),
        sample('sadness', onset), sample('contempt', onset[:1])])
    assert [(s.frames[0, 0, 0, 0], len(s.frames), s.label) for s in stills] == [
        (100, 1, 'fear'), (0, 1, 'neutral'), (4, 1, 'anger')]


def test_averaged_weights_lie_between_and_know_their_own_statistics(config, some_stills):
    models = [networks.build_stills_model(networks.build_encoder('residual')) for _ in range(2)]
    config = {**config, 'backbone': 'residual'}
    mean = stills.average_weights(models, some_stills, some_stills, config)
    assert mean.input_shape == (None, 64, 64, 3)
    for one, two, both in zip(*(model.weights for model in (*models, mean))):
        if 'moving' not in both.path:
            np.testing.assert_allclose(both, (one.numpy() + two.numpy()) / 2, atol=1e-6)
    # The mean of the two models' statistics would be those of a network that saw nothing.
    normalised = [layer for layer in mean.layers if 'batch_normalization' in layer.name][0]
    assert np.abs(normalised.moving_mean.numpy()).max() > 0
    again = stills.average_weights(models, some_stills, some_stills, config)
    for a, b in zip(mean.get_weights(), again.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_the_encoder_is_the_mean_of_the_ends_of_its_cycles(config, some_stills, tmp_path,
                                                           monkeypatch):
    begun = []

    def train(config, web, valid, run_dir, start=None):
        begun.append((config['seed'], run_dir.name, start and start.get_weights()[0].max()))
        model = networks.build_stills_model(networks.build_encoder('residual'))
        model.set_weights([np.full(w.shape, config['seed'] / 64) for w in model.get_weights()])
        return model

    monkeypatch.setattr(recipe, 'train_stills', train)
    monkeypatch.setattr(recipe, 'stills_from', lambda samples: some_stills)
    made = recipe.Recipe.__new__(recipe.Recipe)
    made._web = made._valid = None
    made._config = {'stills': {
        **config, 'backbone': 'residual', 'cycles': [{'seed': 1}, {'seed': 3}]}}
    made.run_dir = tmp_path
    kernels = [made._encoder().get_weights()[0] for _ in range(2)]
    np.testing.assert_array_equal(kernels, 2 / 64)
    assert begun == [(1, 'stills_1', None), (3, 'stills_2', 1 / 64)], 'once, one from the other'

    (tmp_path / 'stills.npz').unlink()
    made._config['stills']['cycles'] = [{'seed': 1}]
    np.testing.assert_array_equal(made._encoder().get_weights()[0], 1 / 64)


# --- the adapter ----------------------------------------------------------------------------

ADAPTER = {'web_images': 24, 'lab': [1.0], 'live': [0.5], 'strength': 1.0, 'epochs': 20,
           'batch_size': 8, 'learning_rate': 0.01, 'weight_decay': 0.0, 'dropout': 0.0, 'seed': 1}


def test_an_adapter_adds_what_the_logits_lack():
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(120, 20)).astype(np.float32)
    live = rng.normal(size=(120, 7)).astype(np.float32)
    targets = np.eye(7, dtype=np.float32)[seen[:, :7].argmax(1)]
    weights = np.ones(120, np.float32)
    weights[60:] = 0            # these are not to be learnt
    targets[60:] = np.eye(7)[0]
    trained = train_adapter(seen, live, targets, weights, ADAPTER)
    right = (live + trained(seen).numpy()).argmax(1) == seen[:, :7].argmax(1)
    assert (live.argmax(1) == seen[:, :7].argmax(1))[:60].mean() < 0.5
    assert right[:60].mean() > 0.9 and right[60:].mean() > 0.4
    again = train_adapter(seen, live, targets, weights, ADAPTER)
    np.testing.assert_allclose(again(seen), trained(seen), atol=1e-5)
    half = train_adapter(seen, live, targets, weights, {**ADAPTER, 'strength': 0.5})
    np.testing.assert_allclose(half(seen), trained(seen) / 2, atol=1e-5)


@pytest.fixture
def known(monkeypatch, tiny, faces):
    """Return encoded faces of three people with all expressions, each in a fold of its own.

    They are seen in onsets, and in clips of talk.
    """
    frames = np.stack([cv2.resize(face, (64, 64)) for face in faces])[..., None].repeat(3, 3)
    lab = [sample(label, frames[i:i + 4], f'S{i // 6}', neutral_to_apex=True)
           for i, label in enumerate(EMOTIONS * 3)]
    live = [sample(label, frames[i + 20:i + 45], f'S{i // 2}', stamps_ns=np.arange(25) * 40 * 10**6)
            for i, label in enumerate(('neutral', 'happiness') * 3)]
    sets = {'a': lab, 'talk': live}
    monkeypatch.setattr(lab_faces, 'load', lambda name, kind=None: Samples(name, sets[name], []))
    model = networks.build_stills_model(networks.build_encoder(tiny))
    web = [sample(EMOTIONS[i % 6], frames[i:i + 1]) for i in range(60)]
    return EncodedFaces(model, web, LabFaces(['a'], 3, ['talk']), ADAPTER)


def test_who_is_held_out_is_not_seen_by_the_adapter(known, monkeypatch):
    shown = {}
    monkeypatch.setattr(encoded_faces, 'train_adapter',
                        lambda seen, live, targets, weights, config: shown.update(
                            seen=seen, weights=weights))
    counts = []
    for held_out in (set(), {'S0'}, {'S0', 'S1'}):
        known.train_adapter(held_out, ADAPTER)
        counts.append(len(shown['seen']))
        people = {person for person in ('S0', 'S1', 'S2')
                  for row in known._seen[known._people == person]
                  if (shown['seen'] == row).all(1).any()}
        assert people == {'S0', 'S1', 'S2'} - held_out
        # All lab faces together weigh as much as the web faces do, and all talk half of that.
        assert shown['weights'][12:].sum() == pytest.approx(1.5 * 12, rel=1e-4)
    assert counts[0] - counts[1] == counts[1] - counts[2] > 6 * encoded_faces.VARIANTS


def test_each_person_is_read_by_the_adapter_that_does_not_know_them(known):
    def adapter(number):
        return lambda seen, training: tf.fill((len(seen), 7), 1000.0 * number)
    change = known.change_readout({'S2'})
    assert change[0].shape == (networks.FEATURES, 6)
    draw = known.episodes([({'S0'}, adapter(1)), ({'S1'}, adapter(2))], change, {
        'stills': 60, 'sequences': 20, 'neutral_clips': 20, 'emotional_clips': 20,
        'lab_repeats': 8, 'prior': 0.5, 'noise': 0.0})
    episodes = draw(np.random.default_rng(0))
    assert len(episodes) == 120
    for start, end in ((0, 60), (60, 80), (80, 100), (100, 120)):
        assert {round(e.kept[0, LIVE.start] / 1000) for e in episodes[start:end]} == {1, 2}, (
            'S2 is not shown')
    assert not any(e.label_weight.any() for e in episodes[80:100])
    assert all(e.label_weight.any() for e in episodes[100:])
    assert {e.kept[1, -1] for e in episodes[80:] if len(e.kept) > 1} == {
        np.float32(1.2), np.float32(2.4), np.float32(6)}, '25 frames a second, and fewer'
    assert all(np.isfinite(e.kept).all() for e in episodes)


def test_what_is_rare_on_the_web_is_drawn_more_often(known):
    known._six[known._sets == 0] = np.float32([[1, 0, 0, 0, 0, 0]])
    known._six[np.flatnonzero((known._sets == 0) & known._for_head)[0]] = [0, 1, 0, 0, 0, 0]
    known._prior = np.float32([0.96, 0.01, 0.01, 0.01, 0.005, 0.005])

    def rare(prior):
        draw = known.episodes([({'S0'}, lambda seen, training: tf.zeros((len(seen), 7)))],
                              known.change_readout(set()), {
            'stills': 400, 'sequences': 0, 'neutral_clips': 0, 'emotional_clips': 0,
            'lab_repeats': 0, 'prior': prior, 'noise': 0.0})
        return np.mean([e.labels[0, 1] == 1 for e in draw(np.random.default_rng(0))])

    assert rare(0.0) < 0.1 < rare(0.5) < rare(1.0)


# --- folds ----------------------------------------------------------------------------------

class Always:
    """A model that answers with one class, and knows no neutral face."""

    def __init__(self, label):
        self._scores = np.float32([np.equal(EMOTIONS, label)])

    def encode(self, crops):
        return np.zeros((len(crops), KEPT), np.float32)

    def classify(self, sequences):
        return (np.repeat(self._scores, len(sequences), 0),) * 2

    def stills_scores(self, kept):
        return {name: np.zeros((len(kept), count)) for name, count in (('eight', 8), ('seven', 7))}


def test_the_answers_of_all_folds_are_measured_together():
    answers = recipe._Stills()
    answers.add(Always('fear'), [sample('fear')])
    answers.add(Always('anger'), [sample('anger'), sample('fear'), sample('neutral')])
    figures = answers.figures()
    assert figures['n'] == 3 and figures['accuracy_6'] == pytest.approx(2 / 3)
    assert figures['macro_recall_6'] == pytest.approx(0.75)
    assert figures['below_threshold_neutral'] == 0


def test_the_head_of_eight_classes_is_averaged_over_half_a_second(faces):
    crops = np.stack([cv2.resize(face, (64, 64)) for face in faces[:20]])
    model = load_model()
    eight = recipe.EightClasses(model)
    kept = eight.encode(np.repeat(crops[..., np.newaxis], 3, 3))
    six = model.stills_scores(kept)['eight'][:, :6]
    scores, intensities = eight.classify_all(kept, np.arange(20) * 10**8)
    np.testing.assert_allclose(intensities[19], six[14:].mean(0), rtol=1e-5)
    np.testing.assert_allclose(intensities[0], six[0], rtol=1e-5)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
    alone, _ = eight.classify([kept[3:5], kept[7:8]])
    np.testing.assert_allclose(alone, six[[4, 7]] / six[[4, 7]].sum(1, keepdims=True), rtol=1e-5)


def test_web_faces_are_those_of_one_part(monkeypatch):
    parts = [sample('fear', part=part) for part in ('train', 'valid', 'test', 'train')]
    monkeypatch.setattr(web_faces, 'load', lambda path, kind: Samples('fer2013', parts, []))
    assert [s.part for s in web_faces.load_web_faces('a', 'train')] == ['train'] * 2
    parts[:] = parts[2:3]
    with pytest.raises(ValueError, match="a has no part 'train', but test"):
        web_faces.load_web_faces('a', 'train')
    parts[:] = [sample('fear')]
    assert len(web_faces.load_web_faces('a', 'valid')) == 1, 'not divided'


def test_more_folds_than_people_are_refused(monkeypatch):
    monkeypatch.setattr(lab_faces, 'load', lambda name: Samples(
        name, [replace(sample('fear'), subject=who) for who in 'ABA'], []))
    assert LabFaces(['jaffe'], folds=2).folds == [{'A'}, {'B'}]
    with pytest.raises(ValueError, match='the 2 people of jaffe do not fill 3 folds'):
        LabFaces(['jaffe'], folds=3)


def test_a_lab_set_that_nothing_is_learnt_from_is_refused(monkeypatch):
    clips = [sample('fear', np.zeros((5, 64, 64, 3), np.uint8))]
    monkeypatch.setattr(lab_faces, 'load', lambda name: Samples(name, clips, []))
    with pytest.raises(ValueError, match='ravdess cannot serve as a lab set: it has no still'):
        LabFaces(['ravdess'], folds=2)
