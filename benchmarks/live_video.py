"""Emotions in live video, ours beside others' on the same clips.

Prints tables; writes benchmarks/live_video.json and the tables in docs/benchmarks.md, which says
what is measured and how.
"""

import argparse
from datetime import date
import json
from pathlib import Path

from environments import RIVALS
import numpy as np
from readers import Reader
from report import table, write_tables

from emotion_perception.datasets import load, packed_london
from emotion_perception.datasets.clips import LAYOUT
from emotion_perception.datasets.reading import frames_of, read_image
from emotion_perception.datasets.sample import LABEL_OF_NAME
from emotion_perception.emotions import EMOTIONS, LABELS, NEUTRAL
from emotion_perception.evaluation.live_video import at_rate, RATES, videos_in, watch
from emotion_perception.evaluation.metrics import mean_over, wilson_interval
from emotion_perception.evaluation.watched import clips_figures, NO_FACE, Watched
from emotion_perception.pipeline import EmotionPipeline
from emotion_perception.recognition import load_model

HERE = Path(__file__).resolve().parent
SETS = ('live/talking/clips', 'live/acted/clips')
OURS = 'emotion_perception'

#: Frames a second that are read one by one: as many as the rivals manage on two cores.
READ_RATE = 10

#: What is read of single frames: each frame for itself, and the mean over a second.
WINDOWS = {'each frame': 0.0, 'mean over 1 s': 1.0}

#: Frames for which a still is held.
HELD = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('data', type=Path, help='folder of the data sets')
    parser.add_argument(
        '--model', type=Path, help="description of a model (.json) other than the package's own"
    )
    parser.add_argument(
        '--folds',
        type=Path,
        metavar='folds.json',
        help='what `train --folds` wrote of the model: the figures of people that '
        'it was not trained on',
    )
    arguments = parser.parse_args()
    clips = [clip for name in SETS for clip in videos_in(arguments.data / name)]
    stills = packed_london.recordings(arguments.data / 'london')
    pipeline = EmotionPipeline(arguments.model)
    folds = json.loads(arguments.folds.read_text()) if arguments.folds else {}

    results = {
        'date': date.today().isoformat(),
        'model_sha256': pipeline.model_sha256,
        'not_measured': {},
        'versions': {},
        'live_video': [],
        'smiles': [],
    }
    for rival in RIVALS:
        if rival.reader:
            try:
                _add_rival(results, rival, clips, stills)
            except (OSError, RuntimeError) as error:
                results['not_measured'][rival.name] = str(error)
                print(f'{rival.name}: {error}', flush=True)
    results['live_video'] += [*_eight_classes(arguments), *_of_folds(folds)]
    results['live_video'].append(
        _row(
            OURS, 'the published label', 'yes', [watch(clip, pipeline, RATES[0]) for clip in clips]
        )
    )
    results['smiles'] += _smiles_of_folds(folds)
    results['smiles'].append(
        _smiles(OURS, 'yes', stills, [_held(pipeline, still) for still in stills])
    )

    written = tables(results)
    for name, text in written.items():
        print(f'\n{name}\n\n{text}')
    (HERE / 'live_video.json').write_text(json.dumps(results, indent=1) + '\n')
    write_tables(HERE.parent / 'docs' / 'benchmarks.md', written)


def _add_rival(results, rival, clips, stills):
    """Ask a rival about clips and stills; add its rows."""
    said = []
    with Reader(rival) as reader:
        for number, clip in enumerate(clips, 1):
            version, answers = reader.answers(
                clip.source, READ_RATE, at_rate(frames_of(clip, LAYOUT), READ_RATE)
            )
            stamps, faces = zip(*answers)
            said.append((clip, np.array(stamps), np.stack([_shares(some) for some in faces])))
            print(f'{rival.name}: clip {number} of {len(clips)}', flush=True)
        of_stills = [
            _shares(reader.answers(still.source[0], 1, [(0, _image(still))])[1][0][1])
            for still in stills
        ]
    results['versions'][rival.name] = version
    results['live_video'] += [
        _row(rival.name, reads, 'no', [watched(*clip, seconds) for clip in said])
        for reads, seconds in WINDOWS.items()
    ]
    results['smiles'].append(
        _smiles(
            rival.name,
            'no',
            stills,
            [labels_of(np.zeros(1), shares[np.newaxis], 0)[0] for shares in of_stills],
        )
    )


def _eight_classes(arguments):
    """Return the rows of our encoder's own classifier, which web photographs alone taught.

    Its crops are those of the live tracker. Contempt is left out.
    """
    model, said = load_model(arguments.model), []
    for name in SETS:
        for clip in load(arguments.data / name, 'sequences'):
            if clip.label in LABELS:
                read = [
                    number
                    for _, number in at_rate(
                        zip(clip.stamps_ns.tolist(), range(len(clip.frames))), READ_RATE
                    )
                ]
                eight = model.stills_scores(model.encode(clip.frames[read]))['eight']
                said.append((clip, clip.stamps_ns[read], eight[:, : len(LABELS)]))
    return [
        _row(
            f"{OURS}, its encoder's own classifier",
            reads,
            'no',
            [watched(*clip, seconds) for clip in said],
        )
        for reads, seconds in WINDOWS.items()
    ]


def _of_folds(folds):
    if not folds:
        return []
    return [
        {
            'system': OURS,
            'reads': 'the published label',
            'trained_on': 'no (folds)',
            'figures': folds['model']['live video'],
        }
    ]


def _smiles_of_folds(folds):
    """Return the row of London people in folds; there a still is held for 30 frames."""
    if not folds:
        return []
    row = {'system': OURS, 'trained_on': 'no (folds; held for 30 frames)'}
    for gender, found in folds['model']['london stills']['groups']['gender'].items():
        for label, name in (('happiness', f'{gender}_smiles'), (NEUTRAL, f'{gender}_neutral')):
            row[name] = {key: found[label][key] for key in ('n', 'right', 'interval')}
    return [row]


def _shares(faces):
    """Return what a rival says of the largest face, [7] in the order of LABELS; NaN for none."""
    if not faces:
        return np.full(len(LABELS), np.nan)
    scores = max(faces, key=lambda face: face['box'][2])['scores']
    named = {LABEL_OF_NAME[name]: score for name, score in scores.items()}
    return np.array([named[label] for label in LABELS], float)


def labels_of(stamps_ns, shares, seconds):
    """Return the label of each frame, an index of LABELS or NO_FACE.

    :param stamps_ns: times of the frames [t].
    :param shares: float [t,7] in the order of LABELS; NaN in frames without a face.
    :param seconds: over which the shares are averaged, up to each frame; 0: the frame alone.
    """
    faces = ~np.isnan(shares[:, 0])
    labels = np.full(len(shares), NO_FACE)
    if faces.any():
        labels[faces] = mean_over(shares[faces], stamps_ns[faces], seconds).argmax(1)
    return labels


def watched(clip, stamps_ns, shares, seconds):
    """Return a clip as somebody sees it who goes by the mean over so many seconds."""
    labels = labels_of(stamps_ns, shares, seconds)
    return Watched(
        clip.name,
        clip.subject,
        clip.label,
        stamps_ns,
        labels,
        shares[:, : len(EMOTIONS)],
        1 - shares[:, len(EMOTIONS)],
        np.where(labels == NO_FACE, NO_FACE, 1),
    )


def _row(system, reads, trained_on, clips):
    row = {
        'system': system,
        'reads': reads,
        'trained_on': trained_on,
        'figures': clips_figures(clips),
    }
    print(f'{system}, {reads}: both {100 * row["figures"]["both"]:.1f} %', flush=True)
    return row


def _image(still):
    return read_image(still.source[0], packed_london.LAYOUT)


def _held(pipeline, still):
    """Return the published label of a still's largest face once it was held."""
    pipeline.reset()
    image = _image(still)
    for number in range(HELD):
        faces = pipeline.process(image, round(number * 1e9 / RATES[0]))
    return max(faces, key=lambda face: face.roi.width).label_id if faces else NO_FACE


def _smiles(system, trained_on, stills, labels):
    """Return the share of smiles found, and of neutral faces called neutral, by gender."""
    row = {'system': system, 'trained_on': trained_on}
    for gender in ('female', 'male'):
        for label, name in (('happiness', 'smiles'), (NEUTRAL, 'neutral')):
            right = [
                LABELS.index(label) == given
                for still, given in zip(stills, labels)
                if still.groups['gender'] == gender and still.label == label
            ]
            share = float(np.mean(right))
            row[f'{gender}_{name}'] = {
                'n': len(right),
                'right': share,
                'interval': wilson_interval(share, len(right)),
            }
    return row


def tables(results):
    """Return {name: Markdown table} of what was measured."""
    neutral, emotional, smiles = [], [], []
    for row in results['live_video']:
        figures = row['figures']
        who = {
            'system': row['system'],
            'what is read': row['reads'],
            'trained on these people': row['trained_on'],
        }
        found = figures['neutral']
        neutral.append(
            {
                **who,
                'neutral': _with_interval(found, 'share_neutral'),
                'each clip alike': _percent(found['share_neutral_of_clips']),
                'changes a second': f'{found["changes"] / 60:.2f}',
                'false starts a minute': _with_interval(found, 'false_starts', '{:.1f}'.format),
                'all frames: without a face': f'{100 * figures["without_face"]:.1f}',
            }
        )
        found = figures['emotional']
        emotional.append(
            {
                **who,
                'right': _with_interval(found, 'right'),
                'neutral': _percent(found['neutral']),
                'wrong': _percent(found['wrong']),
                'each clip alike': ' / '.join(
                    _percent(found[f'{name}_of_clips']) for name in ('right', 'neutral', 'wrong')
                ),
                'changes a second': f'{found["changes"] / 60:.2f}',
                **{emotion: _percent(found['by_emotion'][emotion]) for emotion in EMOTIONS},
                'mean of six': _percent(found['mean_of_emotions']),
                'both': _percent(figures['both']),
            }
        )
    for row in results['smiles']:
        smiles.append(
            {
                'system': row['system'],
                'trained on these people': row['trained_on'],
                **{
                    f'{what}, {row[f"{gender}_{name}"]["n"]} {who}': _of_trials(
                        row[f'{gender}_{name}']
                    )
                    for name, what in (
                        ('smiles', 'smiles found'),
                        ('neutral', 'neutral called neutral'),
                    )
                    for gender, who in (('female', 'women'), ('male', 'men'))
                },
            }
        )
    versions = ', '.join(f'{name} {version}' for name, version in results['versions'].items())
    return {
        'live_neutral': _of_dicts(neutral),
        'live_emotional': _of_dicts(emotional),
        'smiles': _of_dicts(smiles),
        'live_versions': '\n'.join(
            [
                f'- versions: {versions}',
                f'- model (SHA-256): {results["model_sha256"]}',
                f'- measured: {results["date"]}',
                *(
                    f'- not measured: {name}: {why}'
                    for name, why in results['not_measured'].items()
                ),
            ]
        ),
    }


def _of_dicts(rows):
    return table(tuple(rows[0]), rows)


def _percent(share):
    return f'{100 * share:.0f}'


def _with_interval(figures, name, text=_percent):
    low, high = figures['intervals'][name]
    return f'{text(figures[name])} ({text(low)} to {text(high)})'


def _of_trials(figure):
    low, high = figure['interval']
    return f'{_percent(figure["right"])} ({_percent(low)} to {_percent(high)})'


if __name__ == '__main__':
    main()
