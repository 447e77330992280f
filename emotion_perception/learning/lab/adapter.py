"""The adapter: what known people teach, who talk, act and pose, beside what web faces have taught.

It is trained on what an encoder gives, with the encoder and the other heads as they are, so that a
person can be held out within seconds.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from emotion_perception.learning.encoder.networks import ADAPTER_MEMBERS, build_adapter


def train_adapter(
    seen: npt.NDArray[np.floating[Any]],
    live: npt.NDArray[np.float32],
    targets: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    config: dict[str, Any],
) -> keras.Model:
    """Train an adapter, the mean of several networks.

    They begin with other weights and see the faces in another order. What one of them says of
    people whom it does not know depends on such chance, their mean less so (Lakshminarayanan et
    al., Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles, NIPS 2017).

    :param seen: features and places, float [n,k].
    :param live: float32 [n,7], the logits that the adapter adds to.
    :param targets: float32 [n,7], rows sum to 1; ``weights``: float32 [n].
    :param config: dict with ``epochs``, ``batch_size``, ``learning_rate``, ``weight_decay``,
        ``dropout``, ``seed``, ``strength``: the share of what was learnt that the adapter adds.
        Between 0, what web faces taught, and 1, what fits the people trained on, lies what is
        best on others (Wortsman et al., Robust Fine-Tuning of Zero-Shot Models, CVPR 2022).
    :return: the trained Keras model, see :func:`~emotion_perception.learning.encoder.networks
        .build_adapter`.
    """
    members = [
        _train_member(seen, live, targets, weights, config, config['seed'] + number)
        for number in range(ADAPTER_MEMBERS)
    ]
    into, shift, out, offset = zip(*(member.get_weights() for member in members))
    share = config['strength'] / ADAPTER_MEMBERS
    adapter = build_adapter(seen.shape[1], members=ADAPTER_MEMBERS)
    adapter.set_weights(
        [np.hstack(into), np.hstack(shift), share * np.vstack(out), share * np.sum(offset, 0)]
    )
    return adapter


def _train_member(
    seen: npt.NDArray[np.floating[Any]],
    live: npt.NDArray[np.float32],
    targets: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    config: dict[str, Any],
    seed: int,
) -> keras.Model:
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    member = build_adapter(seen.shape[1], config['dropout'], members=1)
    steps = len(seen) // config['batch_size']
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(config['learning_rate'], config['epochs'] * steps),
        weight_decay=config['weight_decay'],
    )
    variables = member.trainable_variables
    optimizer.build(variables)

    @tf.function
    def step(seen: Any, live: Any, targets: Any, weights: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                weights
                * tf.nn.softmax_cross_entropy_with_logits(
                    targets, live + member(seen, training=True)
                )
            )
        optimizer.apply(tape.gradient(loss, variables), variables)

    for _ in range(config['epochs']):
        for part in np.split(rng.permutation(len(seen))[: steps * config['batch_size']], steps):
            step(
                tf.constant(seen[part], tf.float32),
                tf.constant(live[part]),
                tf.constant(targets[part]),
                tf.constant(weights[part]),
            )
    return member
