"""The published label: what flickers in single frames, and what has lasted."""

import numpy as np
import pytest

from emotion_perception.emotions import LABELS
from emotion_perception.labels import confidence_of, intensity_of, StableLabel, STRONGEST, WEAKEST

STABILITY = {'neutral_threshold': 0.4, 'neutral_hysteresis': 0.1, 'label_window': 0.8}


def labels(rows, rate=30, **options):
    """Return the labels of frames with these {emotion: intensity}."""
    face, found = StableLabel(), []
    for i, row in enumerate(rows):
        intensities = np.zeros(6, np.float32)
        for name, value in row.items():
            intensities[LABELS.index(name)] = value
        found.append(
            LABELS[face.update(i * 10**9 // rate, intensities, **{**STABILITY, **options})]
        )
    return found


def test_a_face_has_a_label_from_its_first_frame_on():
    assert labels([{'fear': 0.4}]) == ['fear'] and labels([{'fear': 0.39}]) == ['neutral']


def test_a_movement_that_does_not_last_changes_nothing():
    blink = [{}] * 30 + [{'anger': 1.0}] * 8 + [{}] * 30
    assert set(labels(blink)) == {'neutral'}
    assert set(labels([{'happiness': 0.9}] * 30 + [{}] * 8 + [{'happiness': 0.9}] * 30)) == {
        'happiness'
    }


@pytest.mark.parametrize('rate', [5, 30, 120])
def test_what_lasts_is_published_after_the_same_time_at_every_rate(rate):
    found = labels([{}] * rate + [{'happiness': 1.0}] * rate, rate)
    delay = (found.index('happiness') - rate) / rate
    assert 0.2 <= delay <= 0.4 and found[-1] == 'happiness'
    assert found.count('happiness') == len(found) - found.index('happiness')


def test_at_the_edge_of_the_threshold_the_label_stays():
    edge = [{'sadness': 0.45}] * 10 + [
        {'sadness': 0.4 + 0.08 * (-1) ** (i // 15)} for i in range(150)
    ]
    assert set(labels(edge)) == {'sadness'}
    assert set(labels([{}] * 30 + edge[10:], neutral_hysteresis=0.0)) == {'neutral', 'sadness'}
    assert labels([{'sadness': 0.5}] * 30 + [{'sadness': 0.2}] * 30)[-1] == 'neutral'


def test_another_emotion_must_be_clearly_stronger():
    mixed = [{'fear': 0.6, 'surprise': 0.5}] * 30 + [{'fear': 0.57, 'surprise': 0.6}] * 60
    assert set(labels(mixed)) == {'fear'}
    assert labels(mixed + [{'fear': 0.4, 'surprise': 0.7}] * 40)[-1] == 'surprise'


def test_without_a_window_the_newest_frame_counts():
    assert labels([{'fear': 1.0}, {}, {'fear': 1.0}], label_window=0.0) == [
        'fear',
        'neutral',
        'fear',
    ]


def test_where_stamps_stand_still_a_frame_takes_its_usual_time():
    rows = [{}] * 300 + [{'happiness': 1.0}] * 30
    face = StableLabel()
    strengths = np.zeros((len(rows), 6), np.float32)
    strengths[300:, LABELS.index('happiness')] = 1
    found = [LABELS[face.update(0, row, **STABILITY)] for row in strengths]
    assert found == labels(rows)


def test_a_low_threshold_lets_a_face_be_neutral_again():
    found = labels(
        [{'happiness': 0.5}] * 30 + [{'happiness': 0.02}] * 60,
        neutral_threshold=0.1,
        neutral_hysteresis=0.1,
    )
    assert found[0] == 'happiness' and found[-1] == 'neutral'


def test_confidence_is_the_labels_score_and_of_neutral_the_lack_of_intensity():
    scores = np.float32([0.1, 0.2, 0.3, 0.2, 0.1, 0.1])
    assert confidence_of(2, scores, 0.6) == pytest.approx(0.3)
    assert confidence_of(6, scores, 0.25) == pytest.approx(0.875)


def test_intensities_reach_from_0_to_1():
    strengths = np.float32([0, WEAKEST, (WEAKEST + STRONGEST) / 2, STRONGEST, 1])
    assert intensity_of(strengths).tolist() == pytest.approx([0, 0, 0.5, 1, 1])
