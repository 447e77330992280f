"""Faces of known people, dealt out to folds, and what is trained on them beside the head."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('tensorflow')

from emotion_perception.datasets import Samples  # noqa: E402
from emotion_perception.emotions import EMOTIONS  # noqa: E402
from emotion_perception.learning.lab import faces as lab_faces  # noqa: E402
from emotion_perception.learning.lab.adapter import train_adapter  # noqa: E402
from emotion_perception.learning.lab.change_readout import change_readout, DEVIATION  # noqa: E402
from emotion_perception.learning.lab.faces import lab_stills, LabFaces, onset_frames  # noqa: E402
from samples import ADAPTER, sample  # noqa: E402


def test_made_onsets_run_from_neutral_to_apex():
    neutral, apex = np.full((64, 64, 3), 40, np.uint8), np.full((64, 64, 3), 240, np.uint8)
    frames = onset_frames(neutral, apex, 9)
    assert frames.dtype == np.uint8 and frames.shape == (9, 64, 64, 3)
    np.testing.assert_array_equal(frames[[0, -1]], [neutral, apex])
    assert (np.diff(frames[:, 0, 0, 0].astype(int)) > 0).all()


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
    for label in range(6):  # another person, another look at rest
        other = onset(label)
        assert ((other - other[:, :1])[:, -1] @ readout).argmax(-1).tolist() == [label] * 2
    with pytest.raises(ValueError, match='no onset shows anger: the readout'):
        change_readout(train[10:])


@pytest.fixture
def lab(monkeypatch):
    """Return LabFaces of ten people in two sets; seven have complete sequences."""
    sets = {
        'a': [
            sample('fear', np.zeros((5, 64, 64, 3), np.uint8), f'S{i}', neutral_to_apex=True)
            for i in range(7)
            for _ in range(2)
        ]
        + [sample('anger', subject='S8')],
        'b': [sample('neutral', subject=f'S{i}') for i in range(10)],
    }
    monkeypatch.setattr(lab_faces, 'load', lambda name: Samples(name, sets[name], []))
    return LabFaces(['a', 'b'], folds=7)


def test_people_are_dealt_out_to_folds_evenly(lab):
    assert sorted(person for people in lab.folds for person in people) == [
        f'S{i}' for i in range(10)
    ]
    watched = {f'S{i}' for i in range(7)}
    assert [len(people & watched) for people in lab.folds] == [1] * 7, 'leave one subject out'
    assert max(map(len, lab.folds)) == 2


def test_the_people_of_a_model_are_listed(lab):
    assert lab.people() == {
        'a': [f'S{i}' for i in (0, 1, 2, 3, 4, 5, 6, 8)],
        'b': [f'S{i}' for i in range(10)],
    }


def test_stills_of_lab_samples_are_those_and_both_ends_of_onsets():
    onset = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((64, 64, 3), np.uint8)
    stills = lab_stills(
        [
            sample('fear', onset[:1] + 100),
            sample('anger', onset, neutral_to_apex=True),
            sample('sadness', onset),
            sample('contempt', onset[:1]),
        ]
    )
    assert [(s.frames[0, 0, 0, 0], len(s.frames), s.label) for s in stills] == [
        (100, 1, 'fear'),
        (0, 1, 'neutral'),
        (4, 1, 'anger'),
    ]


def test_an_adapter_adds_what_the_logits_lack():
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(120, 20)).astype(np.float32)
    live = rng.normal(size=(120, 7)).astype(np.float32)
    targets = np.eye(7, dtype=np.float32)[seen[:, :7].argmax(1)]
    weights = np.ones(120, np.float32)
    weights[60:] = 0  # these are not to be learnt
    targets[60:] = np.eye(7)[0]
    trained = train_adapter(seen, live, targets, weights, ADAPTER)
    right = (live + trained(seen).numpy()).argmax(1) == seen[:, :7].argmax(1)
    assert (live.argmax(1) == seen[:, :7].argmax(1))[:60].mean() < 0.5
    assert right[:60].mean() > 0.9 and right[60:].mean() > 0.4
    again = train_adapter(seen, live, targets, weights, ADAPTER)
    np.testing.assert_allclose(again(seen), trained(seen), atol=1e-5)
    half = train_adapter(seen, live, targets, weights, {**ADAPTER, 'strength': 0.5})
    np.testing.assert_allclose(half(seen), trained(seen) / 2, atol=1e-5)


def test_an_adapter_is_the_mean_of_its_members(monkeypatch):
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(120, 20)).astype(np.float32)
    live, targets = np.zeros((120, 7), np.float32), np.eye(7, dtype=np.float32)[np.arange(120) % 7]

    def trained(seed):
        config = {**ADAPTER, 'seed': seed}
        return train_adapter(seen, live, targets, np.ones(120, np.float32), config)(seen).numpy()

    together = trained(1)
    monkeypatch.setattr('emotion_perception.learning.lab.adapter.ADAPTER_MEMBERS', 1)
    alone = [trained(seed) for seed in (1, 2, 3)]
    assert np.abs(alone[0] - alone[1]).max() > 0.01
    np.testing.assert_allclose(together, np.mean(alone, axis=0), atol=1e-5)


def test_more_folds_than_people_are_refused(monkeypatch):
    monkeypatch.setattr(
        lab_faces,
        'load',
        lambda name: Samples(name, [replace(sample('fear'), subject=who) for who in 'ABA'], []),
    )
    assert LabFaces(['jaffe'], folds=2).folds == [{'A'}, {'B'}]
    with pytest.raises(ValueError, match='the 2 people of jaffe do not fill 3 folds'):
        LabFaces(['jaffe'], folds=3)


def test_a_lab_set_that_does_not_say_who_is_seen_is_refused(monkeypatch):
    samples = [sample('fear', subject='A'), sample('anger', subject=None)]
    monkeypatch.setattr(lab_faces, 'load', lambda name: Samples(name, samples, []))
    with pytest.raises(ValueError, match='None-anger: the data set does not say who is seen'):
        LabFaces(['pictures'], folds=1)


def test_a_lab_set_that_nothing_is_learnt_from_is_refused(monkeypatch):
    clips = [sample('fear', np.zeros((5, 64, 64, 3), np.uint8))]
    monkeypatch.setattr(lab_faces, 'load', lambda name: Samples(name, clips, []))
    with pytest.raises(ValueError, match='ravdess cannot serve as a lab set: it has no still'):
        LabFaces(['ravdess'], folds=2)
