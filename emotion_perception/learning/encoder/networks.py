"""The networks: frame encoders (backbones), the heads for stills, and the temporal head.

An encoder turns a crop into the 512 numbers that the method calls the spatial intensity
vector. It sees the 64x64x3 crop as it is cut; grey, size and contrast are handled inside,
so that no code outside of the network can do it differently.
"""

from collections.abc import Callable
from typing import Any

import cv2
import keras
from keras import layers
import numpy as np
import numpy.typing as npt

from emotion_perception.crops import CROP_SIZE
from emotion_perception.learning.encoder.augmentation import resize

#: Keras has no types; a tensor may be one of Keras or of TensorFlow.
Tensor = Any

FEATURES = 512
#: Heads in the order in which what is kept of a frame holds them, see ``temporal.py``.
KEPT_HEADS = ('six', 'eight', 'seven', 'live', 'change', 'face')
#: Rows and columns that the adapter sees one of an encoder's maps in.
PLACES = 3
#: Networks of which the adapter is the mean, and hidden units of each.
ADAPTER_MEMBERS, ADAPTER_UNITS = 3, 128
#: Luma of ITU-R BT.601 for BGR, what OpenCV's grey conversion uses.
GREY = (0.114, 0.587, 0.299)


@keras.saving.register_keras_serializable('emotion_perception')
class Standardise(layers.Layer):
    """BGR [n,64,64,3] in 0..255 to grey [n,size,size,1] of mean 0 and deviation 1.

    Grey input [n,h,w,1], which only training gives, keeps its size.

    Each crop is centred and scaled by its own mean and deviation, which takes out exposure
    and contrast. A crop without any contrast becomes 0 everywhere.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs, dtype='float32')
        self.size = size

    def call(self, crops: Tensor) -> Tensor:
        grey = keras.ops.cast(crops, 'float32')
        if grey.shape[-1] == 3:
            weights = keras.ops.convert_to_tensor(GREY, 'float32')
            grey = keras.ops.sum(grey * weights, axis=-1, keepdims=True)
            grey = keras.ops.image.resize(grey, (self.size, self.size), 'bilinear')
        centred = grey - keras.ops.mean(grey, (1, 2, 3), keepdims=True)
        deviation = keras.ops.sqrt(keras.ops.mean(centred * centred, (1, 2, 3), keepdims=True))
        return centred / (deviation + 1.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'size': self.size}


def _conv(x: Tensor, filters: int, kernel: int = 3, strides: int = 1, relu: bool = True) -> Tensor:
    x = layers.Conv2D(
        filters, kernel, strides, padding='same', use_bias=False, kernel_initializer='he_normal'
    )(x)
    x = layers.BatchNormalization(momentum=0.95)(x)
    return layers.ReLU()(x) if relu else x


def _residual_block(x: Tensor, filters: int, strides: int) -> Tensor:
    """He et al., Deep Residual Learning for Image Recognition, CVPR 2016, figure 2."""
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = _conv(x, filters, 1, strides, relu=False)
    x = _conv(x, filters, strides=strides)
    return layers.ReLU()(layers.Add()([_conv(x, filters, relu=False), shortcut]))


def residual(x: Tensor, dropout: float) -> Tensor:
    """Build the default: six residual blocks, four halvings, the mean over the face."""
    x = _conv(x, 32)
    for filters, strides in ((32, 2), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2)):
        x = _residual_block(x, filters, strides)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(FEATURES, use_bias=False)(layers.Dropout(dropout)(x))
    x = layers.BatchNormalization(momentum=0.95)(x)
    return layers.ReLU()(x)


def seed(x: Tensor, dropout: float) -> Tensor:
    """Build the network that the project began with; it takes three channels and 64 pixels."""
    x = layers.Concatenate()([x, x, x])
    x = layers.Conv2D(64, 5, activation='relu')(x)
    x = layers.Conv2D(64, 4, activation='relu')(x)
    x = layers.Dropout(0.5)(layers.MaxPooling2D()(x))
    x = layers.Conv2D(32, 3, activation='relu')(x)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(32, 3)(x)))
    x = layers.Dropout(0.5)(layers.MaxPooling2D()(x))
    return layers.Dense(FEATURES)(layers.Flatten()(x))


def _pyramid(x: Tensor, dropout: float, stages: tuple[tuple[int, ...], ...]) -> Tensor:
    """Stages of 3x3 convolutions with a maximum over 2x2 after each, then the mean."""
    for stage in stages:
        for filters in stage:
            x = _conv(x, filters)
        x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(FEATURES, activation='relu')(layers.Dropout(dropout)(x))


def vgg(x: Tensor, dropout: float) -> Tensor:
    """Like VGG-face in small: two convolutions a stage, twice the filters after each."""
    return _pyramid(x, dropout, ((32, 32), (64, 64), (128, 128), (128, 128)))


def high_low(x: Tensor, dropout: float) -> Tensor:
    """Subsample late: many convolutions on the large maps, few on the small ones."""
    return _pyramid(x, dropout, ((24, 24, 24), (48, 48), (96,), (192,)))


def low_high(x: Tensor, dropout: float) -> Tensor:
    """Subsample early: few convolutions on the large maps, many on the small ones."""
    return _pyramid(x, dropout, ((24,), (48,), (96, 96), (192, 192, 192)))


def inception(x: Tensor, dropout: float) -> Tensor:
    """Convolutions of several widths side by side (Szegedy et al., CVPR 2015, figure 2b)."""
    x = _conv(x, 32, strides=2)
    for filters in (32, 64, 128):
        x = layers.Concatenate()(
            [
                _conv(x, filters, 1),
                _conv(_conv(x, filters // 2, 1), filters),
                _conv(_conv(x, filters // 4, 1), filters // 2, 5),
                _conv(layers.MaxPooling2D(3, 1, 'same')(x), filters // 2, 1),
            ]
        )
        x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(FEATURES, activation='relu')(layers.Dropout(dropout)(x))


def fused(x: Tensor, dropout: float) -> Tensor:
    """Several networks side by side, their features averaged."""
    return layers.Average()([high_low(x, dropout), low_high(x, dropout)])


#: Encoders by name: a function from standardised grey [n,h,w,1] to [n,512], before any head,
#: and the rows and columns that it works on.
BACKBONES: dict[str, tuple[Callable[[Tensor, float], Tensor], int]] = {
    'residual': (residual, 48),
    'seed': (seed, 64),
    'vgg': (vgg, 48),
    'high_low': (high_low, 48),
    'low_high': (low_high, 48),
    'inception': (inception, 48),
    'fused': (fused, 48),
}


def build_encoder(
    backbone: str = 'residual', grey_size: int | None = 0, dropout: float = 0.3
) -> keras.Model:
    """Build an encoder from BGR crops [n,64,64,3], 0..255, to features [n,512].

    :param grey_size: for training, take grey input [n,size,size,1] instead; None leaves its
        size open, for backbones that average over the face.
    :raises ValueError: when there is no backbone of that name.
    """
    if backbone not in BACKBONES:
        raise ValueError(f'no backbone {backbone!r}; there are {", ".join(BACKBONES)}')
    network, size = BACKBONES[backbone]
    shape = (CROP_SIZE, CROP_SIZE, 3) if grey_size == 0 else (grey_size, grey_size, 1)
    crops = keras.Input(shape, name='crops')
    features = network(Standardise(size, name='standardise')(crops), dropout)
    features = layers.Activation('linear', dtype='float32', name='features')(features)
    return keras.Model(crops, features, name=backbone)


@keras.saving.register_keras_serializable('emotion_perception')
class Places(layers.Layer):
    """A map [n,h,w,c] of any size to [n,PLACES * PLACES * c]: where on the face something is."""

    def call(self, maps: Tensor) -> Tensor:
        if maps.shape[1:3] != (PLACES, PLACES):
            maps = keras.ops.image.resize(maps, (PLACES, PLACES), 'bilinear')
        return keras.ops.reshape(maps, (-1, PLACES * PLACES * maps.shape[-1]))


def build_stills_model(encoder: keras.Model, dropout: float = 0.3) -> keras.Model:
    """Put the heads for stills on an encoder; all outputs are logits.

    ``six`` (the method's classes), ``eight`` (six + neutral + contempt, FER+ votes), ``seven``
    (six + neutral, FER2013 labels) are trained with the encoder, on web faces. Beside them stand
    what other steps of the training set, with the encoder as it is:

    - ``live`` (six + neutral), what the temporal head reads: the eight classes, contempt taken
      for neutral, and what the adapter adds, a small network that also sees where on the face
      something is. At first it adds 0; ``learning/lab/adapter.py`` trains it;
    - ``change`` (six), see ``learning/lab/change_readout.py``;
    - ``face``, the log odds that the crop shows a face, see ``learning/encoder/face_or_not.py``.
    """
    features = layers.Dropout(dropout)(encoder.output)
    heads = {
        name: layers.Dense(count, dtype='float32', name=name)(features)
        for name, count in (('six', 6), ('eight', 8), ('seven', 7))
    }
    heads['change'], heads['face'] = (
        layers.Dense(
            count, kernel_initializer='zeros', trainable=False, dtype='float32', name=name
        )(encoder.output)
        for name, count in (('change', 6), ('face', 1))
    )
    places = Places(dtype='float32', name='places')(_late_map(encoder))
    adapter = build_adapter(FEATURES + places.shape[-1])
    adapter.trainable = False
    heads['live'] = layers.Add(dtype='float32')(
        [
            ContemptIsNeutral(dtype='float32')(heads['eight']),
            adapter(layers.Concatenate(dtype='float32')([encoder.output, places])),
        ]
    )
    return keras.Model(encoder.input, heads, name=f'{encoder.name}_stills')


@keras.saving.register_keras_serializable('emotion_perception')
class ContemptIsNeutral(layers.Layer):
    """Logits of the eight classes [n,8] to those of six and neutral [n,7].

    Contempt is in no message: whoever shows none of the six counts as neutral.
    """

    def call(self, eight: Tensor) -> Tensor:
        # Not keras.ops.logsumexp: LiteRT has no operator for a maximum of infinities in it.
        neutral, contempt = eight[:, 6:7], eight[:, 7:]
        top = keras.ops.maximum(neutral, contempt)
        both = top + keras.ops.log(keras.ops.exp(neutral - top) + keras.ops.exp(contempt - top))
        return keras.ops.concatenate([eight[:, :6], both], -1)


def _late_map(encoder: keras.Model) -> Tensor:
    """Return the last map with other channels than the very last one.

    What it shows is less bound to the faces that the encoder was trained on (Yosinski et al., How
    transferable are features in deep neural networks?, NIPS 2014).
    """
    maps = [layer.output for layer in encoder.layers if len(layer.output.shape) == 4]
    return next(found for found in reversed(maps) if found.shape[-1] != maps[-1].shape[-1])


def build_adapter(inputs: int, dropout: float = 0.0, members: int = ADAPTER_MEMBERS) -> keras.Model:
    """Build a network from features and places, [n,inputs], to what they add to live logits.

    dropout: share of inputs and of hidden units. members: networks whose outputs are added up.
    """
    seen = keras.Input((inputs,), dtype='float32')
    x = layers.Dropout(dropout)(seen)
    x = layers.Dense(members * ADAPTER_UNITS, activation='relu', dtype='float32')(x)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(7, kernel_initializer='zeros', dtype='float32')(x)
    return keras.Model(seen, x, name='adapter')


class GreyEncoder:
    """A stills model's outputs for many grey crops at once, as training augments them.

    :param size: rows and columns of the crops, where they are not what the backbone works on.
    """

    def __init__(self, stills_model: keras.Model, size: int | None = None) -> None:
        backbone = stills_model.name.removesuffix('_stills')
        #: Rows and columns of the grey crops.
        self.size = size or BACKBONES[backbone][1]
        grey = build_stills_model(build_encoder(backbone, self.size))
        grey.set_weights(stills_model.get_weights())
        #: Grey crops [n,size,size,1] to kept [n,35], features [n,512] and places [n,k].
        self.network = keras.Model(
            grey.input,
            [
                layers.Concatenate()([grey.output[head] for head in KEPT_HEADS]),
                grey.get_layer('features').output,
                grey.get_layer('places').output,
            ],
        )

    def __call__(
        self, grey: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Encode float32 [...,size,size] in 0..255.

        :return: float32 arrays: kept [...,35], features [...,512] and places [...,k].
        """
        outputs = self.network.predict(
            grey.reshape(-1, self.size, self.size, 1), batch_size=256, verbose=0
        )
        kept, features, places = (out.reshape(*grey.shape[:-2], -1) for out in outputs)
        return kept, features, places

    def features(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the features of crops, uint8 [n,64,64,3] BGR, as float32 [n,512]."""
        return self(
            np.stack([resize(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), self.size) for crop in crops])
        )[1]
