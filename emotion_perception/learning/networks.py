"""The networks: frame encoders (backbones), the heads for stills, and the temporal head.

An encoder turns a crop into the 512 numbers that the method calls the spatial intensity
vector. It sees the 64x64x3 crop as it is cut; grey, size and contrast are handled inside,
so that no code outside of the network can do it differently.
"""
import keras
from keras import layers

from emotion_perception.crops import CROP_SIZE

FEATURES = 512
#: Rows and columns that the encoders work on; FER2013 holds no more detail than that.
INNER_SIZE = 48
#: Luma of ITU-R BT.601 for BGR, what OpenCV's grey conversion uses.
GREY = (0.114, 0.587, 0.299)


@keras.saving.register_keras_serializable('emotion_perception')
class Standardise(layers.Layer):
    """BGR [n,64,64,3] in 0..255 to grey [n,size,size,1] of mean 0 and deviation 1.

    Grey input [n,h,w,1], which only training gives, keeps its size.

    Each crop is centred and scaled by its own mean and deviation, which takes out exposure
    and contrast. A crop without any contrast becomes 0 everywhere.
    """

    def __init__(self, size=INNER_SIZE, **kwargs):
        super().__init__(**kwargs, dtype='float32')
        self.size = size

    def call(self, crops):
        grey = keras.ops.cast(crops, 'float32')
        if grey.shape[-1] == 3:
            weights = keras.ops.convert_to_tensor(GREY, 'float32')
            grey = keras.ops.sum(grey * weights, axis=-1, keepdims=True)
            grey = keras.ops.image.resize(grey, (self.size, self.size), 'bilinear')
        centred = grey - keras.ops.mean(grey, (1, 2, 3), keepdims=True)
        deviation = keras.ops.sqrt(keras.ops.mean(centred * centred, (1, 2, 3), keepdims=True))
        return centred / (deviation + 1.0)

    def get_config(self):
        return {**super().get_config(), 'size': self.size}


def _conv(x, filters, kernel=3, strides=1, relu=True):
    x = layers.Conv2D(filters, kernel, strides, padding='same', use_bias=False,
                      kernel_initializer='he_normal')(x)
    x = layers.BatchNormalization(momentum=0.95)(x)
    return layers.ReLU()(x) if relu else x


def _residual_block(x, filters, strides):
    """He et al., Deep Residual Learning for Image Recognition, CVPR 2016, figure 2."""
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = _conv(x, filters, 1, strides, relu=False)
    x = _conv(x, filters, strides=strides)
    return layers.ReLU()(layers.Add()([_conv(x, filters, relu=False), shortcut]))


def residual(x, dropout):
    """The default: six residual blocks, halved four times, averaged over the face."""
    x = _conv(x, 32)
    for filters, strides in ((32, 2), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2)):
        x = _residual_block(x, filters, strides)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(FEATURES, use_bias=False)(layers.Dropout(dropout)(x))
    x = layers.BatchNormalization(momentum=0.95)(x)
    return layers.ReLU()(x)


#: Encoders by name: a function from standardised grey [n,h,w,1] to [n,512] (before any head).
BACKBONES = {'residual': residual}


def build_encoder(backbone='residual', grey_size=0, dropout=0.3):
    """Build an encoder from BGR crops [n,64,64,3], 0..255, to features [n,512].

    :param grey_size: for training, take grey input [n,size,size,1] instead; None leaves its
        size open, for backbones that average over the face.
    :raises ValueError: when there is no backbone of that name.
    """
    if backbone not in BACKBONES:
        raise ValueError(f'no backbone {backbone!r}; there are {", ".join(BACKBONES)}')
    shape = (CROP_SIZE, CROP_SIZE, 3) if grey_size == 0 else (grey_size, grey_size, 1)
    crops = keras.Input(shape, name='crops')
    features = BACKBONES[backbone](Standardise(name='standardise')(crops), dropout)
    features = layers.Activation('linear', dtype='float32', name='features')(features)
    return keras.Model(crops, features, name=backbone)


def build_stills_model(encoder, dropout=0.3):
    """Put the heads for stills on an encoder; all outputs are logits.

    ``six`` (the method's classes, what the temporal head reads), ``eight`` (six + neutral +
    contempt, FER+ votes), ``seven`` (six + neutral, FER2013 labels).
    """
    features = layers.Dropout(dropout)(encoder.output)
    heads = {name: layers.Dense(count, dtype='float32', name=name)(features)
             for name, count in (('six', 6), ('eight', 8), ('seven', 7))}
    return keras.Model(encoder.input, heads, name=f'{encoder.name}_stills')


class GreyEncoder:
    """A stills model's outputs for many grey crops of INNER_SIZE, as training augments them."""

    def __init__(self, stills_model):
        grey = build_stills_model(build_encoder(stills_model.name.removesuffix('_stills'),
                                                INNER_SIZE))
        grey.set_weights(stills_model.get_weights())
        self._network = keras.Model(grey.input, [
            layers.Concatenate()([grey.output[head] for head in ('six', 'eight', 'seven')]),
            grey.get_layer('features').output])

    def __call__(self, grey):
        """Encode float32 [...,48,48] in 0..255; return kept [...,21] and features [...,512]."""
        outputs = self._network.predict(
            grey.reshape(-1, INNER_SIZE, INNER_SIZE, 1), batch_size=256, verbose=0)
        return [out.reshape(*grey.shape[:-2], -1) for out in outputs]
