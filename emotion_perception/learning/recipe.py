"""The recipe of a model: an encoder from web stills, an adapter to known people, then a head.

Folds hold people out of every step after the first, which sees none of the known people.
"""

from collections.abc import Iterable
from functools import cached_property
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from emotion_perception.datasets import person_of, Sample, Samples
from emotion_perception.emotions import EMOTIONS
from emotion_perception.evaluation.classifier import Classifier
from emotion_perception.evaluation.metrics import mean_over
from emotion_perception.evaluation.sequences import Sequence, sequence_figures
from emotion_perception.evaluation.stills import answers_to_stills, stills_figures
from emotion_perception.evaluation.watched import clips_figures, watch_sample, Watched
from emotion_perception.learning.encoder.face_or_not import face_readout, wrong_crops
from emotion_perception.learning.encoder.labelled_stills import stills_from
from emotion_perception.learning.encoder.networks import GreyEncoder
from emotion_perception.learning.encoder.trainer import average_weights, train_stills
from emotion_perception.learning.encoder.web_faces import load_web_faces
from emotion_perception.learning.export import (
    describe,
    encoder_bytes,
    read_weights,
    write_all,
    write_weights,
)
from emotion_perception.learning.head.trainer import train_head
from emotion_perception.learning.head.training_faces import TrainingFaces
from emotion_perception.learning.lab.faces import clips_of, LabFaces
from emotion_perception.recognition import Model
from emotion_perception.temporal import Floats, LIVE, STEPS_PER_SECOND, UNITS


def calibrated(
    stills_model: keras.Model, head: dict[str, Any], valid: Iterable[Sample]
) -> dict[str, Any]:
    """Set the head's sharpness so that scores are probabilities of being right.

    One number, the one of least negative log likelihood over the images of ``valid`` that
    are labelled with one of the six classes (temperature scaling: Guo et al., ICML 2017).
    """
    model = in_memory(stills_model, head, int8=False)
    six = [sample for sample in valid if sample.label in EMOTIONS]
    truth = [EMOTIONS.index(sample.label) for sample in six]
    kept = model.encode(np.concatenate([sample.frames for sample in six]))
    scores, _ = model.classify([frame[np.newaxis] for frame in kept])
    logs = np.log(np.maximum(scores, 1e-30))

    def loss(factor: float) -> float:
        logits = logs * factor
        logits -= np.log(np.exp(logits).sum(1, keepdims=True))
        return -float(logits[np.arange(len(truth)), truth].mean())

    best = min(np.geomspace(0.3, 4, 100), key=loss)
    return {**head, 'sharpness': head['sharpness'] * float(best)}


def in_memory(stills_model: keras.Model, head: dict[str, Any], int8: bool = True) -> Model:
    """Return a model that runs like a shipped one, without being written."""
    encoder = encoder_bytes(stills_model, int8)
    return Model(describe(encoder, head, {'name': stills_model.name}, int8), encoder, threads=2)


class CnnAlone:
    """A model without its temporal head: the logits that the head reads, frame by frame."""

    def __init__(self, model: Model) -> None:
        self.encode, self.features = model.encode, model.features
        self.stills_scores = model.stills_scores

    def classify(self, sequences: list[Floats]) -> tuple[Floats, Floats]:
        return self._read(np.stack([sequence[-1] for sequence in sequences]))

    def classify_all(
        self, kept: Floats, stamps_ns: npt.ArrayLike | None = None
    ) -> tuple[Floats, Floats]:
        return self._read(kept)

    def _read(self, kept: Floats) -> tuple[Floats, Floats]:
        powers = np.exp(kept[:, LIVE] - kept[:, LIVE].max(1, keepdims=True))
        six = powers[:, :UNITS]
        return six / six.sum(1, keepdims=True), six / powers.sum(1, keepdims=True)


class EightClasses(CnnAlone):
    """A model's head of eight classes in place of it, averaged over half a second.

    It has seen web photographs alone: what a reader of single images knows.
    """

    def classify_all(
        self, kept: Floats, stamps_ns: npt.ArrayLike | None = None
    ) -> tuple[Floats, Floats]:
        if stamps_ns is None:
            stamps_ns = np.arange(len(kept)) * 1e9 / STEPS_PER_SECOND
        means = mean_over(self._read(kept)[1], stamps_ns, 0.5)
        return means / means.sum(1, keepdims=True), means

    def _read(self, kept: Floats) -> tuple[Floats, Floats]:
        six = self.stills_scores(kept)['eight'][:, :UNITS]
        return six / six.sum(1, keepdims=True), six


class Recipe:
    """A configuration's run. The encoder is taken from an earlier run where there was one."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self.run_dir = Path(config['run_dir'])
        sets = config['sets']
        self._web = load_web_faces(sets['web']['train'], 'train')
        self._valid = load_web_faces(sets['web']['valid'], 'valid')
        self._lab = LabFaces(sets['lab'], config['folds'], sets['live'])
        self._adapters: dict[frozenset[str], keras.Model] = {}
        self._claim_run_dir()

    def _claim_run_dir(self) -> None:
        """Refuse the encoder of another configuration; what is trained on it may differ."""
        steps = {'web': self._config['sets']['web'], 'stills': self._config['stills']}
        path = self.run_dir / 'steps.json'
        trained = any(
            any(self.run_dir.glob(name)) for name in ('stills*.npz', 'stills_*/state.npz')
        )
        if trained and path.exists() and json.loads(path.read_text()) != steps:
            raise ValueError(
                f'{self.run_dir} holds results of another configuration, see '
                f'{path}: take another run_dir, or remove that folder'
            )
        self.run_dir.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(steps, indent=1))

    def write(self, output: Path) -> None:
        """Train on everybody; write the model in int8 and float32, and its weights."""
        parts = {sample.part for sample in self._web}
        about = {
            'name': self._config['name'],
            'trained_on': {
                self._web.set_name: 'all' if None in parts else sorted(filter(None, parts)),
                **self._lab.people(),
            },
        }
        write_all(output, *self._trained(), about)

    def measure_folds(self) -> None:
        """Train without each fold's people, measure on them; print and write the figures.

        Beside the model stand its CNN alone, and its head of eight classes. The answers of all
        folds are put together before they are measured. Then each lab set is measured by models
        that never saw any of it.
        """
        found: dict[str, dict[str, Any]] = {}
        for people in tqdm(self._lab.folds, desc='folds', disable=None):
            self._ask([*self._lab.sets, *self._lab.live], people, '', found)
        for set_ in tqdm(self._lab.sets, desc='without a set', disable=None):
            self._ask([set_], frozenset(map(person_of, set_)), ' without the set', found)
        figures = {
            name: {what: answers.figures() for what, answers in rows.items()}
            for name, rows in found.items()
        }
        (self.run_dir / 'folds.json').write_text(json.dumps(figures, indent=1) + '\n')
        print(json.dumps(_headlines(figures), indent=1))

    def _ask(
        self,
        sets: list[Samples],
        people: frozenset[str],
        note: str,
        found: dict[str, dict[str, Any]],
    ) -> None:
        """Train without some people and ask about them; add to {model: {data: answers}}."""
        model = in_memory(*self._trained(people))
        for samples in sets:
            held_out = [s for s in samples if s.subject in people]
            stills = [s for s in held_out if len(s.frames) == 1]
            onsets = [s for s in held_out if s.neutral_to_apex and s.label in EMOTIONS]
            clips = clips_of(held_out) if samples in self._lab.live else []
            for name, one in {
                'model': model,
                'CNN alone': CnnAlone(model),
                'eight classes, mean over .5 s': EightClasses(model),
            }.items():
                rows = found.setdefault(name, {})
                if any(s.label in EMOTIONS for s in stills):
                    rows.setdefault(f'{samples.set_name} stills{note}', _Stills()).add(one, stills)
                if onsets:
                    rows.setdefault(f'{samples.set_name} sequences{note}', _Onsets()).add(
                        one, onsets
                    )
                if clips:
                    rows.setdefault(f'live video{note}', _Clips()).add(one, clips)

    def _trained(
        self, held_out: frozenset[str] = frozenset()
    ) -> tuple[keras.Model, dict[str, Any]]:
        """Return (stills model, head), trained without some people."""
        config, stills_model = self._config['head'], self._encoder()
        faces = self._training_faces
        strangers = [
            (people - held_out, self._adapter(people | held_out))
            for people in self._lab.folds
            if people - held_out
        ]
        change = faces.change_readout(held_out)
        head = train_head(faces.episodes(strangers, change, config), config)
        stills_model.get_layer('adapter').set_weights(self._adapter(held_out).get_weights())
        stills_model.get_layer('change').set_weights(change)
        stills_model.get_layer('face').set_weights(self._face_readout)
        return stills_model, calibrated(stills_model, head.weights_for_numpy(), self._valid)

    def _adapter(self, held_out: frozenset[str]) -> keras.Model:
        """Return the adapter that is trained without some people."""
        if held_out not in self._adapters:
            self._adapters[held_out] = self._training_faces.train_adapter(
                held_out, self._config['adapter']
            )
        return self._adapters[held_out]

    @cached_property
    def _training_faces(self) -> TrainingFaces:
        return TrainingFaces(self._encoder(), self._web, self._lab, self._config['adapter'])

    @cached_property
    def _face_readout(self) -> tuple[Floats, Floats]:
        """Weights of the readout of face or not, which sees nobody's expression."""
        crops = wrong_crops(self._config['sets']['one_face'])
        features = GreyEncoder(self._encoder()).features(crops)
        return face_readout(self._training_faces.face_features(), features)

    def _encoder(self) -> keras.Model:
        """Return a stills model that has seen web faces alone; its adapter adds nothing."""
        path = self.run_dir / 'stills.npz'
        if not path.exists():
            write_weights(path, self._train_encoder())
        return read_weights(path)

    def _train_encoder(self) -> keras.Model:
        """Train a stills model in cycles; return the mean of their ends.

        Each cycle goes on from the last one's weights with the learning rate high again (Loshchilov
        and Hutter, SGDR, ICLR 2017), and each end is kept.
        """
        config = self._config['stills']
        ends: list[keras.Model] = []
        web, valid = stills_from(self._web), stills_from(self._valid)
        for number, cycle in enumerate(config['cycles'], 1):
            path = self.run_dir / f'stills_{number}.npz'
            if not path.exists():
                write_weights(
                    path,
                    train_stills({**config, **cycle}, web, valid, path.with_suffix(''), *ends[-1:]),
                )
            ends.append(read_weights(path))
        return average_weights(ends, web, valid, {**config, **cycle}) if len(ends) > 1 else ends[0]


class _Stills:
    """Stills, and what models that were trained without their people say of them."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._answers: list[dict[str, Floats]] = []

    def add(self, model: Classifier, samples: list[Sample]) -> None:
        self._samples += samples
        self._answers.append(answers_to_stills(model, samples))

    def figures(self) -> dict[str, Any]:
        return stills_figures(
            self._samples,
            {
                key: np.concatenate([answers[key] for answers in self._answers])
                for key in self._answers[0]
            },
        )


class _Onsets:
    """The same of sequences from neutral to apex."""

    def __init__(self) -> None:
        self._sequences: list[Sequence] = []

    def add(self, model: Classifier, samples: list[Sample]) -> None:
        self._sequences += [Sequence(model, sample) for sample in samples]

    def figures(self) -> dict[str, Any]:
        return sequence_figures(self._sequences)


class _Clips:
    """The same of clips that show their label from the first frame to the last."""

    def __init__(self) -> None:
        self._watched: list[Watched] = []

    def add(self, model: Classifier, samples: list[Sample]) -> None:
        self._watched += [watch_sample(model, sample) for sample in samples]

    def figures(self) -> dict[str, Any]:
        return clips_figures(self._watched)


def _headlines(figures: dict[str, Any]) -> dict[str, Any]:
    """Return of each row what a terminal has room for."""
    keys = (
        'n',
        'accuracy_6',
        'macro_recall_6',
        'ece',
        'accuracy_at',
        'intensity_correlation',
        'intensity_mae',
        'lag',
        'below_threshold_six',
        'below_threshold_neutral',
        'below_threshold_six_held',
        'below_threshold_neutral_held',
        'neutral',
        'emotional',
    )
    return {
        name: {what: {key: row[key] for key in keys if key in row} for what, row in rows.items()}
        for name, rows in figures.items()
    }
