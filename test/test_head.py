"""Training the temporal head, in small: its objectives, its episodes, and who is in them."""

from copy import copy

import cv2
import numpy as np
import pytest

pytest.importorskip('tensorflow')

import tensorflow as tf  # noqa: E402

from emotion_perception.datasets import Samples  # noqa: E402
from emotion_perception.emotions import EMOTIONS  # noqa: E402
from emotion_perception.evaluation.metrics import apex_similarity  # noqa: E402
from emotion_perception.learning.encoder import networks  # noqa: E402
from emotion_perception.learning.encoder.augmentation import resize  # noqa: E402
from emotion_perception.learning.head import network, training_faces  # noqa: E402
from emotion_perception.learning.head.episodes import (  # noqa: E402
    clip_episode,
    grey_variants,
    held_episode,
    live_episode,
    LONGEST,
    onset_episode,
    vote_intensity,
)
from emotion_perception.learning.head.network import FRAME, frames_of, HeadNetwork  # noqa: E402
from emotion_perception.learning.head.objectives import e1, e2, e3  # noqa: E402
from emotion_perception.learning.head.trainer import train_head  # noqa: E402
from emotion_perception.learning.head.training_faces import TrainingFaces  # noqa: E402
from emotion_perception.learning.lab import faces as lab_faces  # noqa: E402
from emotion_perception.learning.lab.faces import LabFaces  # noqa: E402
from emotion_perception.temporal import CHANGE, KEPT, LIVE  # noqa: E402
from samples import ADAPTER, sample, votes  # noqa: E402

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
    strength = np.float32([[0, 0.4, 1], [0, 0.7, 1]])
    expected = 0
    for n in range(2):
        for t in range(3):
            for c in range(6):
                target = strength[n, t] * labels[n, t, c]
                expected += weights[n, t] * 0.5 * (values[n, t, c] - target) ** 2
    assert float(e2(values, strength[..., None] * labels, weights)) == pytest.approx(
        expected / 3.5, rel=1e-5
    )


def test_e3_pulls_to_the_apex_of_the_labels_class():
    values, labels, weights = outputs()
    apex = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)
    expected = sum(
        weights[n, t] * 0.5 * np.sum((values[n, t] - apex[labels[n, t].argmax()]) ** 2)
        for n in range(2)
        for t in range(3)
    )
    assert float(e3(values, labels, weights, apex)) == pytest.approx(expected / 3.5, rel=1e-5)


# --- the temporal head ----------------------------------------------------------------------

HEAD = {
    'stills': 0,
    'sequences': 12,
    'epochs': 1,
    'steps': 4,
    'learning_rate': 0.01,
    'e2': 0.0,
    'e3': 0.0,
    'seed': 1,
}


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
        episodes.append(
            onset_episode(
                frames_of(kept), np.stack([strength, 1 - strength], 1) + 0.01, EMOTIONS[label]
            )
        )
    return episodes


def e2_of(head):
    losses = []
    for episode in draw(np.random.default_rng(99)):
        losses.append(
            float(
                e2(
                    head(episode.kept[None]),
                    episode.intensity[None],
                    np.ones((1, len(episode.kept)), np.float32),
                )
            )
        )
    return np.mean(losses)


def trained(config, **fields):
    """Train a head without XLA, which compiles for longer than these few steps take.

    :param fields: of ``network``, other than they are.
    """
    function = tf.function
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            tf,
            'function',
            lambda python=None, jit_compile=None, **options: function(python, **options),
        )
        for name, value in fields.items():
            patch.setattr(network, name, value)
        return train_head(draw, config)


@pytest.fixture(scope='module')
def e1_alone():
    return train_head(draw, HEAD)


@pytest.fixture(scope='module')
def e1_alone_free():
    """Return a head that may leave its start at no cost."""
    return trained(HEAD, FROM_START=0)


def test_e2_moves_the_lstms_weights_and_nothing_else(e1_alone_free):
    both = trained({**HEAD, 'e2': 1.0}, FROM_START=0)
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
    changed[:, 10:, CHANGE.start + 2] += rng.normal(0, 2, 10)  # fear's alone
    before, after = e1_alone(frames).numpy(), e1_alone(changed).numpy()
    assert (before != after).any(1).nonzero()[1].tolist() == [2]


def test_classes_that_differ_cost_the_square_and_training_keeps_them_alike(e1_alone_free):
    start = HeadNetwork().lstm.get_weights()[0]
    cost = network.FromStart(start, 0.0, 0.5)
    assert float(cost(start + 2)) == pytest.approx(0, abs=1e-6)
    one_apart = start + 6 * (np.arange(start.shape[-1]) == 2)
    of_each_weight = 0.5 * (5**2 + 5 * 1**2)
    assert float(cost(one_apart)) == pytest.approx(of_each_weight * start.size / 6)
    spread = [
        np.var(head.lstm.get_weights()[0], -1).sum()
        for head in (trained(HEAD, FROM_START=0, BETWEEN_CLASSES=0), e1_alone_free)
    ]
    assert spread[1] < spread[0]


def test_what_leaves_the_start_costs_its_square_and_training_stays_near(e1_alone, e1_alone_free):
    start = HeadNetwork().lstm.get_weights()
    cost = network.FromStart(start[0], network.FROM_START)
    assert cost(start[0]) == 0
    assert float(cost(start[0] + 2)) == pytest.approx(network.FROM_START * 4 * start[0].size)
    trained = (head.lstm.get_weights() for head in (e1_alone, e1_alone_free))
    for before, near, far in zip(start, *trained):
        assert np.square(near - before).sum() < np.square(far - before).sum()


def shown(strength, label=0, length=30):
    """Return frames [1,t,36] of an expression: log odds of its class against neutral."""
    kept = np.zeros((1, length, KEPT), np.float32)
    kept[..., LIVE.start + label] = strength
    kept[..., LIVE.stop - 1] = 2  # as likely as all others together
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
        return np.mean(
            [
                np.linalg.norm(values[1] - values[-1])
                for values in (head(k[None]).numpy()[0] for k in kept)
            ]
        )

    config = {**HEAD, 'steps': 20, 'learning_rate': 0.03}
    assert early(trained({**config, 'e3': 3.0})) < early(trained(config))


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
    onsets = [
        onset_episode(kept + 100 * i * (np.arange(FRAME) < KEPT), np.eye(12), label)
        for i, label in enumerate(('anger', 'surprise'))
    ]
    rng = np.random.default_rng(0)
    lengths, starts = set(), set()
    for _ in range(200):
        episode = live_episode(onsets, 0.0, rng)
        assert 2 <= len(episode.kept) <= LONGEST
        assert (
            len(episode.labels)
            == len(episode.label_weight)
            == len(episode.intensity)
            == len(episode.kept)
        )
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
    np.testing.assert_array_equal(episode.kept[:, -1], 1)  # the step has no jitter
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


def test_variants_change_all_frames_of_a_sequence_alike(faces):
    frames = np.repeat(faces[:1, ..., None], 3, 3)
    frames = np.stack([cv2.resize(frames[0], (64, 64))] * 3)
    variants = grey_variants(frames, 48, 4, seed=7)
    assert variants.shape == (4, 3, 48, 48) and variants.dtype == np.float32
    np.testing.assert_array_equal(variants[:, 0], variants[:, 2])
    assert all(np.abs(variants[0] - variants[i]).mean() > 1 for i in (1, 2, 3))
    np.testing.assert_array_equal(variants[0, 0], resize(frames[0, ..., 0], 48))


def test_intensity_of_stills():
    found = vote_intensity(
        [
            sample('happiness', votes=votes(happiness=6, surprise=2, neutral=1, NF=1)),
            sample('fear'),
            sample('neutral'),
            sample('contempt'),
        ]
    )
    np.testing.assert_allclose(
        found, [[0, 0, 0, 0.6, 0, 0.2], np.eye(6)[2], [0] * 6, [0] * 6], atol=1e-6
    )
    with pytest.raises(ValueError, match='A-None has neither votes nor a label'):
        vote_intensity([sample(None)])


# --- the adapter ----------------------------------------------------------------------------


@pytest.fixture(scope='module')
def encoded(tiny, faces):
    """Return encoded faces of three people with all expressions, each in a fold of its own.

    They are seen in onsets, and in clips of talk.
    """
    frames = np.stack([cv2.resize(face, (64, 64)) for face in faces])[..., None].repeat(3, 3)
    lab = [
        sample(label, frames[i : i + 4], f'S{i // 6}', neutral_to_apex=True)
        for i, label in enumerate(EMOTIONS * 3)
    ]
    live = [
        sample(label, frames[i + 20 : i + 45], f'S{i // 2}', stamps_ns=np.arange(25) * 40 * 10**6)
        for i, label in enumerate(('neutral', 'happiness') * 3)
    ]
    sets = {'a': lab, 'talk': live}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab_faces, 'load', lambda name, kind=None: Samples(name, sets[name], []))
        known = LabFaces(['a'], 3, ['talk'])
    model = networks.build_stills_model(networks.build_encoder(tiny))
    web = [sample(EMOTIONS[i % 6], frames[i : i + 1]) for i in range(60)]
    return TrainingFaces(model, web, known, ADAPTER)


@pytest.fixture
def known(encoded):
    """Return the faces; a test may replace what they hold."""
    return copy(encoded)


def test_who_is_held_out_is_not_seen_by_the_adapter(known, monkeypatch):
    shown = {}
    monkeypatch.setattr(
        training_faces,
        'train_adapter',
        lambda seen, live, targets, weights, config: shown.update(seen=seen, weights=weights),
    )
    counts = []
    for held_out in (set(), {'S0'}, {'S0', 'S1'}):
        known.train_adapter(held_out, ADAPTER)
        counts.append(len(shown['seen']))
        people = {
            person
            for person in ('S0', 'S1', 'S2')
            for row in known._seen[known._people == person]
            if (shown['seen'] == row).all(1).any()
        }
        assert people == {'S0', 'S1', 'S2'} - held_out
        # All lab faces together weigh as much as the web faces do, and all talk half of that.
        assert shown['weights'][12:].sum() == pytest.approx(1.5 * 12, rel=1e-4)
    assert counts[0] - counts[1] == counts[1] - counts[2] > 6 * training_faces.VARIANTS


def test_each_person_is_read_by_the_adapter_that_does_not_know_them(known):
    def adapter(number):
        return lambda seen, training: tf.fill((len(seen), 7), 1000.0 * number)

    change = known.change_readout({'S2'})
    assert change[0].shape == (networks.FEATURES, 6)
    draw = known.episodes(
        [({'S0'}, adapter(1)), ({'S1'}, adapter(2))],
        change,
        {
            'stills': 60,
            'sequences': 20,
            'neutral_clips': 20,
            'emotional_clips': 20,
            'lab_repeats': 8,
            'prior': 0.5,
            'noise': 0.0,
        },
    )
    episodes = draw(np.random.default_rng(0))
    assert len(episodes) == 120
    for start, end in ((0, 60), (60, 80), (80, 100), (100, 120)):
        assert {round(e.kept[0, LIVE.start] / 1000) for e in episodes[start:end]} == {1, 2}, (
            'S2 is not shown'
        )
    assert not any(e.label_weight.any() for e in episodes[80:100])
    assert all(e.label_weight.any() for e in episodes[100:])
    assert {e.kept[1, -1] for e in episodes[80:] if len(e.kept) > 1} == {
        np.float32(1.2),
        np.float32(2.4),
        np.float32(6),
    }, '25 frames a second, and fewer'
    assert all(np.isfinite(e.kept).all() for e in episodes)


def test_what_is_rare_on_the_web_is_drawn_more_often(known):
    known._six = known._six.copy()
    known._six[known._sets == 0] = np.float32([[1, 0, 0, 0, 0, 0]])
    known._six[np.flatnonzero((known._sets == 0) & known._for_head)[0]] = [0, 1, 0, 0, 0, 0]
    known._prior = np.float32([0.96, 0.01, 0.01, 0.01, 0.005, 0.005])

    def rare(prior):
        draw = known.episodes(
            [({'S0'}, lambda seen, training: tf.zeros((len(seen), 7)))],
            known.change_readout(set()),
            {
                'stills': 400,
                'sequences': 0,
                'neutral_clips': 0,
                'emotional_clips': 0,
                'lab_repeats': 0,
                'prior': prior,
                'noise': 0.0,
            },
        )
        return np.mean([e.labels[0, 1] == 1 for e in draw(np.random.default_rng(0))])

    assert rare(0.0) < 0.1 < rare(0.5) < rare(1.0)
