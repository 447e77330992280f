"""Networks over sequences that the default head is compared with, and what one frame costs.

Each takes frames float32 [n,t,...] and gives values, at every frame from it and those before it
alone. Softmax of ``sharpness`` times the values of the six classes is the score of each. The values
of the default head and of the seed's are strengths as well, [n,t,6]; the others have a seventh,
neutral, and their strengths are the shares of the six in the softmax over all.
"""

from collections.abc import Callable
from time import perf_counter

from ai_edge_litert.interpreter import Interpreter
import keras
from keras import layers, ops
import numpy as np
import tensorflow as tf

from emotion_perception.learning.encoder.networks import FEATURES, Standardise, Tensor
from emotion_perception.learning.head.network import FRAME, HeadNetwork
from emotion_perception.temporal import LIVE, SIX, UNITS

#: Rows and columns of the grey crops that networks over pixels see.
PIXELS = 32

#: Values of networks for which neutral is a class.
SEVEN = UNITS + 1

#: Frames that a 3D-CNN looks back on, its own included: three convolutions over five frames.
REACH = 13


class EachFrame(keras.Model):
    """The CNN alone: a linear layer over what is kept of a frame, at first its live logits."""

    sharpness = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(SEVEN)
        self(np.zeros((1, 1, FRAME), np.float32))
        self.dense.set_weights([np.eye(FRAME, SEVEN, -LIVE.start), np.zeros(SEVEN)])

    def call(self, frames: Tensor) -> Tensor:
        return self.dense(frames)


class SeedHead(keras.Model):
    """What the project began with: softmax of each frame's six logits, then an LSTM(6)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = layers.LSTM(UNITS, return_sequences=True)
        self.sharpness = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(6.0), name='sharpness'
        )
        self(np.zeros((1, 1, FRAME), np.float32))

    def call(self, frames: Tensor) -> Tensor:
        return self.lstm(ops.softmax(frames[..., SIX]))


class PlainLstm(keras.Model):
    """An LSTM over the 512 features of each frame, and a linear layer over its state."""

    sharpness = 1.0

    def __init__(self, units: int) -> None:
        super().__init__()
        self.lstm = layers.LSTM(units, return_sequences=True)
        self.dense = layers.Dense(SEVEN)
        self(np.zeros((1, 1, FEATURES), np.float32))

    def call(self, features: Tensor) -> Tensor:
        return self.dense(self.lstm(features))


class Cnn3d(keras.Model):
    """3D convolutions over grey crops; each frame's result rests on the last 13.

    Ji et al., 3D Convolutional Neural Networks for Human Action Recognition, TPAMI 35 (2013).
    """

    sharpness = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise(PIXELS)
        self.stages = [
            (
                layers.ZeroPadding3D((0, 1, 1)),
                layers.Conv3D(filters, (5, 3, 3), (1, 2, 2), use_bias=False),
                layers.LayerNormalization(),
                layers.ReLU(),
            )
            for filters in (16, 32, 48)
        ]
        self.dense = layers.Dense(SEVEN)
        self(np.zeros((1, 1, PIXELS, PIXELS), np.float32))

    def call(self, grey: Tensor) -> Tensor:
        x = _frame_by_frame(self.standardise, grey)
        # Before its first frame a face is taken to have held still.
        x = ops.concatenate([x[:, :1]] * (REACH - 1) + [x], 1)
        for stage in self.stages:
            for layer in stage:
                x = layer(x)
        return self.dense(ops.mean(x, (2, 3)))


class ConvLstm(keras.Model):
    """A convolution, then an LSTM whose products are convolutions, over grey crops.

    Shi et al., Convolutional LSTM Network, NIPS 2015.
    """

    sharpness = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise(PIXELS)
        self.stem = layers.Conv2D(16, 3, 2, 'same', activation='relu')
        self.lstm = layers.ConvLSTM2D(24, 3, 2, 'same', return_sequences=True)
        self.normalise = layers.LayerNormalization()
        self.dense = layers.Dense(SEVEN)
        self(np.zeros((1, 1, PIXELS, PIXELS), np.float32))

    def call(self, grey: Tensor) -> Tensor:
        x = self.lstm(_frame_by_frame(lambda x: self.stem(self.standardise(x)), grey))
        return self.dense(ops.mean(self.normalise(x), (2, 3)))


def _frame_by_frame(layer: Callable[[Tensor], Tensor], grey: Tensor) -> Tensor:
    """Apply a layer of images to each frame of [n,t,size,size]; return [n,t,h,w,channels]."""
    x = layer(ops.reshape(grey, (-1, PIXELS, PIXELS, 1)))
    return ops.reshape(x, (-1, ops.shape(grey)[1], *x.shape[1:]))


#: By name: what makes a network with fresh weights, and what it reads of each frame.
NETWORKS: dict[str, tuple[Callable[[], keras.Model], str]] = {
    'head': (HeadNetwork, 'frames'),
    'seed_head': (SeedHead, 'frames'),
    'each_frame': (EachFrame, 'frames'),
    'lstm_6': (lambda: PlainLstm(6), 'features'),
    'lstm_32': (lambda: PlainLstm(32), 'features'),
    'lstm_128': (lambda: PlainLstm(128), 'features'),
    'cnn_3d': (Cnn3d, 'grey'),
    'conv_lstm': (ConvLstm, 'grey'),
}

#: Those whose values are strengths as well; E2 and the third term are for them.
WITH_INTENSITY = ('head', 'seed_head')

#: Shape of what is read of one frame.
SHAPES: dict[str, tuple[int, ...]] = {
    'frames': (FRAME,),
    'features': (FEATURES,),
    'grey': (PIXELS, PIXELS),
}


def one_frame(name: str) -> keras.Model:
    """Return a network as a functional model of one frame of one face, [1,1,...]."""
    make, reads = NETWORKS[name]
    inputs = keras.Input(batch_shape=(1, 1, *SHAPES[reads]))
    return keras.Model(inputs, make().call(inputs))


def multiply_adds(model: keras.Model) -> int:
    """Count the multiply-adds of a functional model whose shapes are all known.

    Each weight of a layer's matrices and kernels counts once a place of the layer's output.
    """
    return sum(
        int(np.prod(layer.output.shape[1:-1])) * weight.shape.num_elements()
        for layer in model.layers
        for weight in layer.weights
        if len(weight.shape) > 1 and weight.name != 'bias'
    )


def milliseconds(model: keras.Model, runs: int = 50) -> float:
    """Return the median time of a functional model's run in LiteRT, on one thread [ms]."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    interpreter = Interpreter(model_content=converter.convert(), num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details['index'], np.full(details['shape'], 0.5, np.float32))
    times = []
    for _ in range(runs):
        start = perf_counter()
        interpreter.invoke()
        times.append(perf_counter() - start)
    return float(np.median(times)) * 1e3
