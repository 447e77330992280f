"""The objectives that the temporal head is trained with.

Baddar and Ro, Learning Spatio-temporal Features with Partial Expression Sequences for
on-the-Fly Prediction, AAAI 2018. Shapes: n sequences, t frames, six classes.
"""

from typing import Any

import tensorflow as tf


def e1(values: Any, sharpness: Any, labels: Any, weights: Any) -> Any:
    """E1, classification: cross-entropy of softmax(k h) at every frame.

    An LSTM's values h lie in -1..1 and are no probabilities; a learned sharpness k makes them
    such (with k = 1 the highest score possible is .60).

    :param values: float32 [n,t,6], the LSTM's values.
    :param sharpness: the scalar k.
    :param labels: float32 [n,t,6], rows sum to 1.
    :param weights: float32 [n,t]; 0 leaves a frame out.
    """
    losses = tf.nn.softmax_cross_entropy_with_logits(labels, sharpness * values)
    return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)


def e2(values: Any, targets: Any, weights: Any) -> Any:
    """E2, intensity: half the squared distance of the LSTM's values to L_{c,t}.

    :param targets: float32 [n,t,6], s_t (:func:`~emotion_perception.evaluation.metrics.
        apex_similarity`) for the sequence's class and 0 for the others.
    """
    losses = 0.5 * tf.reduce_sum((values - targets) ** 2, -1)
    return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)


def e3(values: Any, labels: Any, weights: Any, apex_values: Any) -> Any:
    """Pull every frame's state to its class's mean state at the apex: the paper's third term.

    :param apex_values: float32 [6,6], one row a class.
    """
    losses = 0.5 * tf.reduce_sum((values - labels @ apex_values) ** 2, -1)
    return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)
