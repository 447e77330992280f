"""Loading a model, and encoding with it."""

import hashlib
import json
import shutil

import cv2
import numpy as np
import pytest

from emotion_perception.crops import CROP, fit_crop
from emotion_perception.emotions import EMOTIONS, LABELS
from emotion_perception.evaluation.metrics import accuracy
from emotion_perception.recognition import checksum_of, load_model, MAX_BATCH, shipped_model
from emotion_perception.temporal import KEPT

MEGABYTE = 10**6


@pytest.fixture(scope='module')
def model():
    return load_model(None)


@pytest.fixture
def copy(tmp_path):
    """Return the path of a description of a copy of the shipped model, which may be spoilt."""
    for suffix in ('.json', '.tflite'):
        shutil.copy(shipped_model().with_suffix(suffix), tmp_path / f'copy{suffix}')
    return tmp_path / 'copy.json'


@pytest.fixture(scope='module')
def crops():
    """Return 100 real crops, uint8 [100,64,64,3], of a face at changing place, size and light."""
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    face = cv2.cvtColor(data.astronaut()[60:190, 160:290], cv2.COLOR_RGB2BGR)
    rng = np.random.default_rng(0)
    result = []
    for _ in range(100):
        top, left = rng.integers(0, 40, 2)
        side = rng.integers(60, 90)
        part = face[top : top + side, left : left + side].astype(float)
        result.append(fit_crop((part * rng.uniform(0.4, 1)).astype(np.uint8)))
    return np.stack(result)


def changed(path, **fields):
    """Change fields of a description, and its checksum with them."""
    description = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({**description, 'sha256': checksum_of(description)}))
    return path


def test_a_description_that_was_changed_by_hand_is_refused(copy):
    head = json.loads(copy.read_text())['head']
    head['bias'][0][0] += 0.5
    whole = {**json.loads(copy.read_text()), 'head': head}
    copy.write_text(json.dumps(whole))
    with pytest.raises(ValueError, match='copy.json: the SHA-256 of the description is '):
        load_model(copy)


def test_an_encoder_of_another_version_is_refused(copy):
    tensorflow = pytest.importorskip('tensorflow')
    inputs = tensorflow.keras.Input((64, 64, 3), dtype='uint8')
    mean = tensorflow.keras.ops.mean(tensorflow.keras.ops.cast(inputs, 'float32'), (1, 2))
    encoder = tensorflow.lite.TFLiteConverter.from_keras_model(
        tensorflow.keras.Model(inputs, mean)
    ).convert()
    copy.with_suffix('.tflite').write_bytes(encoder)
    changed(copy, encoder={'sha256': hashlib.sha256(encoder).hexdigest(), 'weights': 'float32'})
    with pytest.raises(
        ValueError,
        match='copy.tflite: an encoder of this version gives 35 and 512 numbers of a face, not 3: ',
    ):
        load_model(copy)


def test_the_shipped_model_is_what_the_package_needs(model):
    path = shipped_model()
    encoder = path.with_suffix('.tflite').read_bytes()
    assert len(encoder) <= 3 * MEGABYTE
    assert model.sha256 == hashlib.sha256(encoder).hexdigest()
    description = json.loads(path.read_text())
    assert tuple(description['classes']) == EMOTIONS
    assert description['crop'] == CROP
    assert description['encoder']['weights'] == 'int8'
    assert description['stills_classes'] == {'seven': list(LABELS), 'eight': [*LABELS, 'contempt']}
    assert description['name'] and description['trained_on']


def test_a_model_is_named_by_either_of_its_files(copy):
    assert load_model(copy).sha256 == load_model(copy.with_suffix('.tflite')).sha256
    assert load_model(str(copy)).sha256 == load_model(None).sha256


@pytest.mark.parametrize('name', ['robot.v2', 'robot.v2.json', 'robot.v2.tflite'])
def test_dots_belong_to_the_name_of_a_model(copy, name):
    for suffix in ('.json', '.tflite'):
        copy.with_suffix(suffix).rename(copy.with_name(f'robot.v2{suffix}'))
    assert load_model(copy.with_name(name)).sha256 == load_model(None).sha256


@pytest.mark.parametrize('suffix', ['.json', '.tflite'])
def test_a_missing_file_is_named(copy, suffix):
    copy.with_suffix(suffix).unlink()
    with pytest.raises(FileNotFoundError, match=f'copy{suffix} is missing'):
        load_model(copy)


def test_another_encoder_than_the_described_one_is_refused(copy):
    encoder = bytearray(copy.with_suffix('.tflite').read_bytes())
    encoder[len(encoder) // 2] ^= 1
    copy.with_suffix('.tflite').write_bytes(encoder)
    found = hashlib.sha256(encoder).hexdigest()
    with pytest.raises(
        ValueError,
        match=f'copy.json: the SHA-256 of the encoder is {found}, but '
        f'should be {load_model(None).sha256}',
    ):
        load_model(copy)


@pytest.mark.parametrize('classes', [EMOTIONS[::-1], EMOTIONS[:5], LABELS])
def test_another_class_order_is_refused(copy, classes):
    with pytest.raises(ValueError, match='class order is .* but should be .*anger'):
        load_model(changed(copy, classes=list(classes)))


@pytest.mark.parametrize('crop', [{'size': 48}, {'scale': 1.3}, {'channels': 'RGB'}])
def test_another_crop_geometry_is_refused(copy, crop):
    with pytest.raises(ValueError, match='crop geometry is'):
        load_model(changed(copy, crop={**CROP, **crop}))


@pytest.mark.parametrize('text', ['', '[]', '5', '{"classes": []}', 'not JSON', '[' * 99999])
def test_a_file_that_is_no_description_is_refused(copy, text):
    copy.write_text(text)
    with pytest.raises(ValueError, match='copy.json is no model description'):
        load_model(copy)


@pytest.mark.parametrize(
    'part, value, missing',
    [
        ('encoder', {'weights': 'int8'}, 'encoder.sha256'),
        ('encoder', 'int8', 'encoder'),
        ('encoder', None, 'encoder'),
        ('head', [], 'head'),
    ],
)
def test_a_description_with_a_gap_is_refused(copy, part, value, missing):
    with pytest.raises(
        ValueError, match=f'copy.json is no model description: {missing} is missing'
    ):
        load_model(changed(copy, **{part: value}))


@pytest.mark.parametrize('classes', [None, 6, {}])
def test_classes_that_are_no_list_are_refused(copy, classes):
    with pytest.raises(ValueError, match='copy.json: the class order is '):
        load_model(changed(copy, classes=classes))


@pytest.mark.parametrize(
    'name, value, message',
    [
        ('kernel', [[0.0] * 24] * 2, r'is of shape \[2, 24\], but should be .* \[5, 4, 6\]'),
        ('kernel', [[0.0], [0.0, 1.0]], 'is no array of numbers'),
        ('bias', 'text', 'is no array of numbers'),
        ('bias', 0.0, r'is of shape \[\], but should be finite numbers of shape \[4, 6\]'),
        ('recurrent', [0.0] * 5, r'is of shape \[5\], but'),
        ('sharpness', [1.0], r'is of shape \[1\], but should be finite numbers of shape \[\]'),
        ('sharpness', None, 'finite numbers'),
    ],
)
def test_head_arrays_that_do_not_fit_are_refused(copy, name, value, message):
    head = {**json.loads(copy.read_text())['head'], name: value}
    with pytest.raises(ValueError, match=f"copy.json: the head's {name} .*{message}"):
        load_model(changed(copy, head=head))


def test_a_head_of_another_version_is_refused(copy):
    head = json.loads(copy.read_text())['head']
    del head['recurrent'], head['sharpness']
    with pytest.raises(
        ValueError, match='copy.json lacks head.recurrent, head.sharpness: it was made by'
    ):
        load_model(changed(copy, head=head))


@pytest.mark.parametrize('count', [1, 3, MAX_BATCH, MAX_BATCH + 1, 40])
def test_encoding_together_equals_one_by_one(model, crops, count):
    kept, features = model.encode(crops[:count]), model.features(crops[:count])
    assert kept.shape == (count, KEPT) and features.shape == (count, 512)
    assert kept.dtype == features.dtype == np.float32
    for i in {0, count // 2, count - 1}:
        np.testing.assert_allclose(kept[i], model.encode(crops[i : i + 1])[0], atol=1e-3)
        np.testing.assert_allclose(features[i], model.features(crops[i : i + 1])[0], atol=1e-3)


def test_what_was_encoded_stays_when_more_is_encoded(model, crops):
    first = model.encode(crops[:2])
    before = first.copy()
    model.encode(crops[2:4])
    np.testing.assert_array_equal(first, before)


def test_no_crops_give_nothing(model):
    empty = np.empty((0, 64, 64, 3), np.uint8)
    assert model.encode(empty).shape == (0, KEPT)
    assert model.features(empty).shape == (0, 512)


def test_crops_may_be_a_view(model, crops):
    np.testing.assert_array_equal(
        model.encode(crops[:4, :, ::-1]), model.encode(np.ascontiguousarray(crops[:4, :, ::-1]))
    )


@pytest.mark.parametrize(
    'shape, dtype',
    [
        ((2, 64, 64, 3), np.float32),
        ((2, 64, 64, 3), np.int8),
        ((2, 48, 48, 3), np.uint8),
        ((64, 64, 3), np.uint8),
        ((2, 64, 64), np.uint8),
        ((2, 3, 64, 64), np.uint8),
    ],
)
def test_wrong_crops_are_refused(model, shape, dtype):
    with pytest.raises(
        ValueError,
        match=r'crops are uint8 \[n,64,64,3\], not '
        rf'{np.dtype(dtype)} \[{str(list(shape))[1:-1]}\]',
    ):
        model.encode(np.zeros(shape, dtype))


def test_a_still_is_a_sequence_of_one_frame(model, crops):
    kept = model.encode(crops[:5])
    scores, strengths = model.classify([frame[np.newaxis] for frame in kept])
    assert scores.shape == strengths.shape == (5, 6)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    assert (strengths >= 0).all() and (strengths <= 1).all()
    for name, count in (('seven', 7), ('eight', 8)):
        probabilities = model.stills_scores(kept)[name]
        assert probabilities.shape == (5, count)
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """Return (stills model, head, its int8 export, its float32 export), of random weights."""
    pytest.importorskip('tensorflow')
    import keras

    from emotion_perception.learning.encoder.networks import build_encoder, build_stills_model
    from emotion_perception.learning.export import write_model
    from emotion_perception.learning.head.network import HeadNetwork

    keras.utils.set_random_seed(3)
    stills_model = build_stills_model(build_encoder())
    rng = np.random.default_rng(0)
    for layer in stills_model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # as if it had been trained
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, w.shape) if i in (0, 3) else rng.normal(0, 0.2, w.shape)
                    for i, w in enumerate(layer.get_weights())
                ]
            )
    head = HeadNetwork()
    folder = tmp_path_factory.mktemp('export')
    models = []
    for int8 in (True, False):
        path = folder / f'int8_{int8}'
        write_model(path, stills_model, head.weights_for_numpy(), {'name': 'random'}, int8)
        models.append(load_model(path))
    return stills_model, head, *models


def test_the_float32_export_equals_keras_over_a_sequence(exported, crops):
    import keras

    from emotion_perception.learning.encoder.networks import KEPT_HEADS
    from emotion_perception.learning.head.network import frames_of

    stills_model, head, _, model = exported
    logits = stills_model.predict(crops.astype(np.float32), verbose=0)
    kept = np.concatenate([logits[name] for name in KEPT_HEADS], 1)
    frames = frames_of(kept)[np.newaxis]
    expected = np.array(keras.ops.softmax(head.sharpness * head(frames)[0]))
    assert np.ptp(expected, 0).max() > 0.01  # what does not change shows nothing
    np.testing.assert_allclose(model.classify_all(model.encode(crops))[0], expected, atol=1e-4)


def test_the_shipped_float32_model_equals_the_shipped_weights_in_keras(crops, keras_head_of):
    import keras

    from emotion_perception.learning.encoder.networks import KEPT_HEADS
    from emotion_perception.learning.export import read_weights
    from emotion_perception.learning.head.network import frames_of

    model = load_model(shipped_model().with_name('emotion_float32.json'))
    stills_model = read_weights(shipped_model().with_suffix('.weights.npz'))
    logits = stills_model.predict(crops.astype(np.float32), verbose=0)
    kept = np.concatenate([logits[name] for name in KEPT_HEADS], 1)
    head = keras_head_of(model.description['head'])
    expected = np.array(keras.ops.softmax(head.sharpness * head(frames_of(kept)[np.newaxis])[0]))
    np.testing.assert_allclose(model.classify_all(model.encode(crops))[0], expected, atol=1e-4)


def test_the_int8_export_is_small_and_near(exported, crops):
    *_, int8, float32 = exported
    difference = np.abs(
        int8.classify_all(int8.encode(crops))[0] - float32.classify_all(float32.encode(crops))[0]
    )
    assert 0 < difference.mean() < 0.01 and difference.max() < 0.2
    assert int8.description['encoder']['weights'] == 'int8'
    assert float32.description['encoder']['weights'] == 'float32'


@pytest.mark.slow
def test_the_shipped_int8_model_reads_stills_like_the_float32_one(model, data_dir):
    from emotion_perception.datasets import load

    path = shipped_model().with_name('emotion_float32.json')
    samples = [s for s in load(data_dir / 'ferplus' / 'valid.npz') if s.label in EMOTIONS]
    assert len(samples) == 2092
    images = np.concatenate([sample.frames for sample in samples])
    truth = [EMOTIONS.index(sample.label) for sample in samples]

    def share(tried):
        scores, _ = tried.classify([frame[np.newaxis] for frame in tried.encode(images)])
        return accuracy(truth, scores.argmax(1))

    int8 = share(model)
    assert abs(int8 - share(load_model(path))) <= 0.005
    assert int8 >= 0.88
