"""Train and measure networks side by side: `python -m emotion_perception.compare --help`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from emotion_perception.emotions import EMOTIONS
from emotion_perception.evaluation.sequences import PERCENTS
from emotion_perception.learning.comparison.comparison import Comparison
from emotion_perception.learning.configuration import COMPARISON, read_config

IMAGE = Path('images/comparison.png')

TEXT = """# Comparison of networks

    python -m emotion_perception.compare config/training/comparison.yaml

trains and measures every row below on the same {folds} folds of people, and writes this page
and its plot. `DATA` is the folder of the data sets, `RUNS` one for results. A run that was
stopped goes on with the first row that is not finished. `--rows NAME ...` runs only those rows,
and `--rows` without a name only writes the page. The figures of each row are kept in
`$RUNS/comparison/rows/`.

**What is trained.** Each encoder (backbone) learns once from the photographs of
`$DATA/ferplus/train.npz` (FER2013 faces, FER+ votes), for {stills_seconds} s. No known person
is among them, so it serves every fold, and is not changed any more. What stands behind it is
trained in each fold, without the people of the fold, {fold_seconds} s for {seeds} seeds together: on
CK+ (`$DATA/ckplus`: sequences from neutral to apex, apex images), JAFFE (`$DATA/jaffe`: images, and
onsets cross-faded between a person's neutral and other images), clips of people who talk, neutral
(`$DATA/live/talking`) or in an emotion (`$DATA/live/acted`), and a share of the web faces.
Networks over pixels (3D-CNN, ConvLSTM) have no encoder. They see no web faces, and have more time
in each fold. Within its budget, each learning rate falls to zero, however far training has come.

**What is measured**, on the people of the fold:

- live video, {clips} clips: the share of frames of neutral clips that are called neutral, the share of
  emotional clips that is called right and wrong, and the mean of neutral and right. The label is
  made of the network's strengths as the node makes it, with its default parameters;
- the label after 20 to 100 % of the frames of CK+'s complete sequences, and the mean of these five
  accuracies;
- how the network's value for the sequence's emotion follows E2's target: correlation (nan where it
  never moves) and mean absolute error. It is not scaled, as a published intensity is. The target is
  made with the row's own encoder, so it is not the same for every backbone;
- the single images of six emotions, as sequences of one frame.

All figures are means over the seeds, and ± is the standard deviation over them. In brackets: 95 %
intervals over the {n} sequences, by bootstrap. They are wide, and those of the few emotional clips
are wider still: see the model card. These tables do not rank rows whose intervals overlap.

**The budgets are short.** The encoders get a small share of the training of the included model, and
32 pixels instead of 48. They never see a known person. A slow network sees little: the seed network
(the one that this project began with) needs 64 pixels, four times as many as the others get. These
figures compare networks at equal time. They are not those of the included model. A star marks what
ran out of time before the configured epochs or steps.

- The default head and the seed network give strengths of six classes, and a face is neutral where
  all are weak. E2 trains them for that. All others have neutral as a seventh class.
- *CNN alone* is a linear layer over the encoder's outputs for one frame, and begins as its eight
  classes. *Web faces only* leaves it at that; the others train it on the same episodes as all rows.
- The default head is measured without the adapter and the change readout, because these are fitted
  with the people that are trained on. `train --folds` measures it with both, see the model card.
- *LSTM(n) on 512 features* is a plain CNN-LSTM, with a dense layer and a softmax behind it.
- *Seed network* is its CNN, the softmax of each frame's logits, and LSTM(6).
- *Inception-CNN* to *Fused CNNs* have the default head, with E1 + E2.
- Multiply-adds and ms are for one face and one frame, in a batch of one: the encoder and one step
  behind it in LiteRT, float32, one thread. A 3D-CNN runs over its last 13 frames each time.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog='python -m emotion_perception.compare',
        description='Train and measure networks on the same folds of people, going on where an '
        'earlier run stopped; write the table and the plot.',
    )
    parser.add_argument(
        'config', type=Path, metavar='CONFIG.yaml', help='e.g. config/training/comparison.yaml'
    )
    parser.add_argument(
        '--rows',
        nargs='*',
        metavar='NAME',
        help='run these rows alone; none: only write the document',
    )
    parser.add_argument(
        '--output',
        type=Path,
        default=Path('docs/comparison.md'),
        metavar='FILE',
        help='the document (default: %(default)s), its plot in images beside it',
    )
    arguments = parser.parse_args(argv)
    try:
        config = read_config(arguments.config, COMPARISON)
        comparison = Comparison(config)
        names = list(comparison.rows) if arguments.rows is None else arguments.rows
        unknown = [name for name in names if name not in comparison.rows]
        if unknown:
            raise ValueError(
                f'there is no row {", ".join(unknown)}; there are: {"; ".join(comparison.rows)}'
            )
        results = {name: comparison.result(name) for name in comparison.rows}
        write(arguments.output, config, results)
        for name in names:
            results[name] = comparison.run(name)
            write(arguments.output, config, results)
    except (OSError, ValueError) as error:
        parser.error(f'{arguments.config}: {error}')
    done = {name: row for name, row in results.items() if row}
    print(live_table(done), accuracy_table(done), sep='\n\n')


def write(path: Path, config: dict[str, Any], results: dict[str, dict[str, Any] | None]) -> None:
    """Write the document, and the plot beside it.

    :param results: {row: figures, None where it has not been run}.
    """
    done = {name: row for name, row in results.items() if row}
    counts = sorted({row['n'] for row in done.values()})
    text = TEXT.format(
        folds=config['folds'],
        stills_seconds=config['stills_seconds'],
        fold_seconds=config['fold_seconds'],
        seeds=len(config['seeds']),
        n=', '.join(map(str, counts)) or 'held-out',
        clips=', '.join(map(str, sorted({row['clips'] for row in done.values()}))) or 'held-out',
    )
    if done:
        image = path.parent / IMAGE
        image.parent.mkdir(parents=True, exist_ok=True)
        plot(done).savefig(image, dpi=120)
        text += (
            f'\n## Live video of people never trained on [% of frames]\n\n{live_table(done)}\n'
            f'\n## Onsets and images of people never trained on [%]\n\n{accuracy_table(done)}\n'
            f'\n![accuracy in live video and onsets, and time a frame of each row]({IMAGE})\n'
            f'\n## Cost and budget\n\n{cost_table(done)}\n'
        )
    missing = [name for name, row in results.items() if not row]
    if missing:
        text += '\n## Not run\n\n' + ''.join(f'- {name}\n' for name in missing)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def live_table(rows: dict[str, dict[str, Any]]) -> str:
    """Return what rows say of live video, as Markdown."""
    head = [
        'row',
        'neutral clips: neutral',
        'emotional clips: right',
        'wrong',
        'mean of neutral and right',
    ]
    lines = [
        [
            name,
            *(f'{100 * row[figure]:.0f}' for figure in ('share_neutral', 'right', 'wrong')),
            _with_spread(row['both'], row['both_of_seeds']),
        ]
        for name, row in rows.items()
    ]
    return _table(head, lines)


def accuracy_table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the accuracies of rows in onsets and images, and their intensities, as Markdown."""
    sets = sorted({name for row in rows.values() for name in row['stills']})
    head = [
        'row',
        *(f'{percent} %' for percent in PERCENTS),
        'mean of five',
        'intensity: correlation',
        'error',
        *(f'{name} stills' for name in sets),
    ]
    lines = []
    for name, row in rows.items():
        low, high = (100 * end for end in row['mean_interval'])
        lines.append(
            [
                name,
                *(f'{100 * share:.0f}' for share in row['accuracy_at'].values()),
                f'{_with_spread(row["mean"], row["mean_of_seeds"])} ({low:.0f} .. {high:.0f})',
                *(
                    f'{row[figure]:.3f}' if figure in row else '-'
                    for figure in ('intensity_correlation', 'intensity_mae')
                ),
                *(
                    _with_spread(row['stills'][name]['accuracy_6'], row['stills'][name]['of_seeds'])
                    if name in row['stills']
                    else '-'
                    for name in sets
                ),
            ]
        )
    return _table(head, lines)


def cost_table(rows: dict[str, dict[str, Any]]) -> str:
    """Return what the rows cost and which budgets they had, as Markdown."""
    head = [
        'row',
        'parameters',
        'multiply-adds [M]',
        'ms',
        'stills: budget [s]',
        'epochs',
        'fold: budget [s]',
        'steps a seed',
        'trained [s]',
    ]
    lines = []
    for name, row in rows.items():
        settings, stills = row['settings'], row['settings'].get('encoder')
        lines.append(
            [
                name,
                f'{row["parameters"]:,}',
                f'{row["multiply_adds"] / 1e6:.1f}',
                f'{row["ms"]:.2f}',
                *(
                    [f'{stills["seconds"]}', _reached(row['stills_epochs'], stills['epochs'], 1)]
                    if stills
                    else ['-', '-']
                ),
                f'{settings["fold_seconds"] if settings["steps"] else 0}',
                _reached(row['steps'], settings['steps'], 0),
                f'{row["stills_seconds"]:.0f} + {row["folds_seconds"]:.0f}',
            ]
        )
    return _table(head, lines)


def plot(rows: dict[str, dict[str, Any]]) -> Figure:
    """Draw what each row reaches in live video and in onsets, beside its time a frame."""
    figure = Figure(figsize=(12, 1.2 + 0.32 * len(rows)), layout='constrained')
    live, onsets, right = figure.subplots(1, 3, sharey=True, width_ratios=(2, 2, 1))
    onsets.axvline(100 / len(EMOTIONS), color='0.3', linestyle=':', label='chance')
    for place, (name, row) in enumerate(rows.items()):
        low, high = row['mean_interval']
        color = 'tab:orange' if name.endswith('(default)') else 'tab:blue'
        onsets.plot([100 * low, 100 * high], [place, place], color='0.6')
        for axes, figure_name in ((live, 'both'), (onsets, 'mean')):
            of_seeds = row[f'{figure_name}_of_seeds']
            axes.plot([100 * s for s in of_seeds], [place] * len(of_seeds), '|', color=color)
            axes.plot(100 * row[figure_name], place, 'o', color=color)
        right.barh(place, row['ms'], color=color)
    live.set_yticks(range(len(rows)), rows)
    live.invert_yaxis()
    live.set_xlabel('live video: mean of neutral and right [%]\n(ticks: seeds)')
    onsets.set_xlabel(
        'onsets: mean accuracy at 20 to 100 % of the frames [%]\n(line: 95 % interval, ticks: seeds)'
    )
    for axes in (live, onsets):
        axes.grid(axis='x', alpha=0.3)
    onsets.legend(fontsize=8)
    right.set_xlabel('ms a face and frame\n(one thread)')
    right.grid(axis='x', alpha=0.3)
    return figure


def _with_spread(mean: float, of_seeds: list[float]) -> str:
    middle = sum(of_seeds) / len(of_seeds)
    spread = (sum((value - middle) ** 2 for value in of_seeds) / max(len(of_seeds) - 1, 1)) ** 0.5
    return f'{100 * mean:.1f} ± {100 * spread:.1f}'


def _reached(done: float, configured: float, digits: int) -> str:
    return f'{done:.{digits}f} of {configured}{"*" if done < configured else ""}'


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ['---'] + ['---:'] * (len(head) - 1), *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


if __name__ == '__main__':
    main()
