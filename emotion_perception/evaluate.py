"""Measure a model on a labelled data set: `python -m emotion_perception.evaluate --help`."""

import argparse
from collections.abc import Collection, Iterable, Sequence
import json
import os
from pathlib import Path
from typing import Any
import warnings

from emotion_perception.datasets import DatasetError, load, Sample, SAMPLE_LABELS
from emotion_perception.evaluation.events import clips_in, evaluate_events
from emotion_perception.evaluation.faces import evaluate_faces, faces_report
from emotion_perception.evaluation.held import evaluate_held, report as held_report
from emotion_perception.evaluation.live_video import (
    evaluate_video,
    report as video_report,
    videos_in,
)
from emotion_perception.evaluation.sequences import evaluate_sequences, PERCENTS
from emotion_perception.evaluation.stills import evaluate_stills, HELD
from emotion_perception.pipeline import EmotionPipeline
from emotion_perception.recognition import load_model


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures as tables, and write them as JSON where asked to."""
    parser = argparse.ArgumentParser(
        prog='python -m emotion_perception.evaluate',
        description='Measure a model as it stands on a labelled data set. Nothing is trained.',
    )
    parser.add_argument('kind', choices=('stills', 'sequences', 'video', 'events', 'held', 'faces'))
    parser.add_argument('path', type=_path, help='the data set; its layout is recognised')
    parser.add_argument('--model', type=_path, help='model description (default: the shipped one)')
    parser.add_argument('--json', type=_path, metavar='FILE', help='write the figures there, too')
    parser.add_argument(
        '--labels',
        choices=('ferplus', 'fer2013'),
        help='which labels of FER images count, of stills (default: ferplus)',
    )
    parser.add_argument(
        '--part',
        choices=('train', 'valid', 'test'),
        help='part of a set that is divided (default: all of it)',
    )
    parser.add_argument(
        '--plots', type=_path, metavar='FOLDER', help='write a timeline of each video there'
    )
    arguments = parser.parse_args(argv)
    warnings.formatwarning = lambda message, *_, **__: f'warning: {message}\n'

    if arguments.labels and arguments.kind == 'sequences':
        parser.error('--labels goes with stills: no set of sequences has FER labels')
    if arguments.json:
        _check_writable(parser, arguments.json)
    if arguments.plots and arguments.kind != 'video':
        parser.error('--plots goes with video')
    if arguments.kind == 'faces':
        if arguments.model or arguments.labels or arguments.part:
            parser.error('faces measures the detector alone: no --model, --labels or --part')
        try:
            result = evaluate_faces(arguments.path)
        except DatasetError as error:
            parser.error(str(error))
        _tell(result, faces_report(result), arguments.json)
        return
    if arguments.kind in ('video', 'events', 'held'):
        _whole_videos(parser, arguments)
        return
    try:
        model = load_model(arguments.model)
    except (OSError, ValueError) as error:
        parser.error(f'model: {error}')
    try:
        loaded = load(arguments.path, arguments.kind)
    except DatasetError as error:
        parser.error(str(error))
    without_face, set_name = loaded.without_face, loaded.set_name
    samples: list[Sample] = loaded
    if arguments.part:
        parts = {sample.part for sample in samples if sample.part}
        samples = [sample for sample in samples if sample.part == arguments.part]
        if not samples:
            parser.error(
                f'{arguments.path} has no part {arguments.part}; it has '
                f'{", ".join(sorted(parts)) or "no parts"}'
            )
    known = trained_on(model.trained_on.get(set_name, ()), samples)
    if known:
        warnings.warn(
            f'the model was trained on {known} of {set_name}: these figures say '
            'nothing about faces it has not seen'
        )
    labels = arguments.labels or 'ferplus'
    if labels == 'ferplus' and all(
        s.votes is None and s.label and s.label == s.fer2013_label for s in samples
    ):
        warnings.warn(
            'no FER+ votes were found (fer2013new.csv beside fer2013.csv): these '
            'figures are of the FER2013 labels'
        )
    try:
        result = (
            evaluate_stills(model, samples, labels)
            if arguments.kind == 'stills'
            else evaluate_sequences(model, samples)
        )
    except ValueError as error:
        parser.error(f'{arguments.path}: {error}')
    result['without_face'] = without_face
    result['trained_on'] = bool(known)
    _tell(result, report(result), arguments.json)


def _whole_videos(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Measure what goes through the whole running system."""
    if arguments.labels or arguments.part:
        parser.error(f'--labels and --part go with data sets of faces, not with {arguments.kind}')
    try:
        pipeline = EmotionPipeline(arguments.model)
    except (OSError, ValueError) as error:
        parser.error(f'model: {error}')
    set_name = ''
    videos: Sequence[Any] = []
    try:
        if arguments.kind == 'events':
            set_name, videos = clips_in(arguments.path)
            result = evaluate_events(pipeline, videos)
            text = events_report(result)
        elif arguments.kind == 'held':
            result = evaluate_held(arguments.path, pipeline)
            text = held_report(result)
        else:
            result = evaluate_video(arguments.path, pipeline, arguments.plots)
            text = video_report(result)
            set_name, videos = 'clips', videos_in(arguments.path)
        if known := trained_on(pipeline.trained_on.get(set_name, ()), videos):
            warnings.warn(
                f'the model was trained on {known}: these figures say nothing about '
                'people it has not seen'
            )
    except (DatasetError, OSError) as error:
        parser.error(str(error))
    _tell(result, text, arguments.json)


def _tell(result: dict[str, Any], text: str, path: Path | None) -> None:
    print(text)
    if path:
        path.write_text(json.dumps(result, indent=2) + '\n')


def _path(text: str) -> Path:
    return Path(os.path.expanduser(text))  # the shell leaves it where a quote or = stands before


def _check_writable(parser: argparse.ArgumentParser, path: Path) -> None:
    if not path.parent.is_dir():
        parser.error(f'--json: there is no folder {path.parent}')
    if path.is_dir():
        parser.error(f'--json: {path} is a folder, not a file')
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        parser.error(f'--json: {path} cannot be written by this user')


def trained_on(training: str | Collection[str], samples: Iterable[Any]) -> str:
    """Say which of the samples a model has been trained on; '' for none.

    :param training: 'all', or the list of subjects (or of parts, where a set knows no
        subjects) that the model description gives for the set.
    """
    if training == 'all':
        return 'all'
    seen = {sample.subject or sample.part for sample in samples} & set(training) - {None}
    return ', '.join(sorted(seen))


def report(result: dict[str, Any]) -> str:
    """Return the figures of either kind as text."""
    lines = []
    for classes in (6, 7, 8):
        if f'accuracy_{classes}' in result:
            lines += _classes_report(result, classes)
    for name, meaning in (
        ('ece', 'expected calibration error (15 bins)'),
        ('below_threshold_neutral', 'below the neutral threshold, neutral faces'),
        ('below_threshold_six', 'below the neutral threshold, other faces'),
        ('below_threshold_neutral_held', f'neutral faces, held for {HELD} frames'),
        ('below_threshold_six_held', f'other faces, held for {HELD} frames'),
        ('intensity_correlation', "intensity: correlation with E2's target"),
        ('intensity_mae', "intensity: mean absolute error to E2's target"),
    ):
        if result.get(name) is not None:
            lines.append(f'{meaning:46}{result[name]:6.3f}{_interval(result, name, 3)}')
    if 'accuracy_at' in result:
        lines += ['', *_sequences_report(result)]
    if 'other' in result:
        other = result['other']
        lines += [
            '',
            f'{other["n"]} sequences that do not run from neutral to apex',
            *_sequences_report(other),
        ]
    for kind, values in result.get('groups', {}).items():
        lines += ['', f'right published label by {kind}, held for {HELD} frames']
        lines += [
            f'  {value:16}'
            + '   '.join(
                f'{label} {100 * row["right"]:.0f} % of {row["n"]} '
                f'(95 %: {100 * row["interval"][0]:.0f} .. {100 * row["interval"][1]:.0f})'
                for label, row in sorted(rows.items())
            )
            for value, rows in values.items()
        ]
    if result['without_face']:
        lines += ['', f'not counted, no face found: {len(result["without_face"])}']
    return '\n'.join(lines)


def events_report(result: dict[str, Any]) -> str:
    """Return the figures of events as text."""
    lines = [
        '            clips  minutes   false starts a minute (of labels)   seen'
        '                    delay [s]'
    ]
    for label, row in result.items():
        line = (
            f'{label:12}{row["clips"]:5}{row["minutes"]:9.1f}'
            f'{row["false_starts_per_minute"]:15.1f}'
            f'{"(" + format(row["false_labels_per_minute"], ".0f") + ")":>20}'
        )
        if 'seen' in row:
            low, high = row['interval']
            delay = '-' if row['delay'] is None else f'{row["delay"]:.2f}'
            line += (
                f'{100 * row["share"]:10.0f} % (95 %: {100 * low:.0f} .. {100 * high:.0f})'
                f'{delay:>8}'
            )
        lines.append(line)
    return '\n'.join(lines)


def _sequences_report(result: dict[str, Any]) -> list[str]:
    lines = [
        'accuracy [%] after      '
        + ''.join(f'{p:>6} %' for p in PERCENTS)
        + '    lag [frames]  [s]   changes (missed)',
        _sequence_row('as recorded', result),
    ]
    low, high = zip(*result['intervals']['accuracy_at'].values())
    lines += [
        f'{name:24}' + ''.join(f'{100 * v:8.1f}' for v in values)
        for name, values in (('  95 % interval, from', low), ('  to', high))
    ]
    lines += [_sequence_row(f'{rate} frames/s', row) for rate, row in result['rates'].items()]
    if 'accuracy_frames' in result:
        lines.append(
            'frames with the right label as the node publishes it, neutral included: '
            f'{100 * result["accuracy_frames"]:.1f} %'
        )
    return lines


def _classes_report(result: dict[str, Any], classes: int) -> list[str]:
    count = result['n' if classes == 6 else f'n_{classes}']
    names = SAMPLE_LABELS[:classes]
    lines = [
        f'{classes} classes, n = {count}',
        f'  accuracy     {100 * result[f"accuracy_{classes}"]:5.1f} %'
        f'{_interval(result, f"accuracy_{classes}")}',
        f'  macro recall {100 * result[f"macro_recall_{classes}"]:5.1f} %'
        f'{_interval(result, f"macro_recall_{classes}")}',
        '  ' + 'true \\ given'.ljust(12) + ''.join(f'{n[:9]:>10}' for n in names) + '    recall',
    ]
    for name, row, recall in zip(
        names, result[f'confusion_{classes}'], result[f'recalls_{classes}']
    ):
        share = '         -' if recall is None else f'{100 * recall:8.1f} %'
        lines.append(f'  {name:12}' + ''.join(f'{n:10}' for n in row) + share)
    return lines + ['']


def _interval(result: dict[str, Any], name: str, digits: int | None = None) -> str:
    if name not in result['intervals']:
        return ''
    low, high = result['intervals'][name]
    if digits:
        return f'   (95 %: {low:.{digits}f} .. {high:.{digits}f})'
    return f'   (95 %: {100 * low:.1f} .. {100 * high:.1f})'


def _sequence_row(name: str, row: dict[str, Any]) -> str:
    lag = row['lag']
    cells = ''.join(f'{100 * share:8.1f}' for share in row['accuracy_at'].values())
    frames = '-' if lag['frames'] is None else f'{lag["frames"]:.1f}'
    seconds = '-' if lag['seconds'] is None else f'{lag["seconds"]:.2f}'
    return f'{name:24}{cells}{frames:>16}{seconds:>6}{lag["changes"]:>8} ({lag["missed"]})'


if __name__ == '__main__':
    main()
