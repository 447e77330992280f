"""The results as tables and plots; the document's tables are written by the run itself."""

from pathlib import Path
import re

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

COLUMNS = {
    'pipeline': (
        'system',
        'faces',
        'width',
        'height',
        'threads',
        'ms_median',
        'ms_p95',
        'cpu_s',
        'recall',
        'false_boxes',
        'id_switches',
        'frames',
    ),
    'light': (
        'system',
        'light',
        'faces',
        'frames',
        'recall',
        'false_boxes',
        'id_switches',
        'ms_median',
    ),
    'tracking': (
        'system',
        'sequence',
        'frames',
        'mean_overlap',
        'recall',
        'false_boxes',
        'id_switches',
        'ms_median',
    ),
    'node': (
        'cameras',
        'faces',
        'latency_ms_median',
        'latency_ms_p95',
        'latency_ms_p99',
        'lost',
        'rss_mb',
        'cpu_share',
        'images_a_second',
        'faces_found',
    ),
    'start': (
        'starts',
        'ready_s_median',
        'ready_s_max',
        'first_message_s_min',
        'first_message_s_median',
        'first_message_s_max',
    ),
    'offline': ('system', 'seconds_of_video', 'images_a_second', 'times_real_time', 'rss_mb_max'),
    'growth_faces': ('faces', 'ms_median', 'ms_p95', 'faces_found'),
    'growth_length': ('length', 'to', 'ms_median', 'head_ms_a_face'),
    'growth_memory': ('minutes', 'mb_an_hour', 'rss_mb_after_first_minute', 'rss_mb_at_end'),
}


def tables(results):
    """Return {name: Markdown table} of what was measured."""
    growth = results['growth']
    rows = {
        'pipeline': results['pipeline'],
        'light': results['light'],
        'tracking': results['tracking'],
        'node': results['node'],
        'start': [results['start']],
        'offline': results['offline'],
        'growth_faces': growth['faces'],
        'growth_length': growth['sequence_length'],
        'growth_memory': [growth['memory']],
    }
    return {name: table(columns, rows[name]) for name, columns in COLUMNS.items()} | {
        'machine': _machine(results),
        'not_measured': '\n'.join(
            f'- {name}: {reason}' for name, reason in results['not_measured'].items()
        )
        or 'None.',
    }


def write_tables(path, written):
    """Replace what stands between `<!-- NAME -->` and `<!-- end -->` by the table of that name.

    written: {name: Markdown table}.
    """
    text = path.read_text()
    for name, rows in written.items():
        text, count = re.subn(
            f'(<!-- {name} -->\n).*?(<!-- end -->)',
            lambda found: f'{found[1]}{rows}\n{found[2]}',
            text,
            flags=re.S,
        )
        if count != 1:
            raise ValueError(f'{path} holds {count} places for {name}, expected one')
    path.write_text(text)


def plot(folder, results):
    """Draw the plots into a folder of PNG files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _plot_systems(folder / 'benchmark_systems.png', results['pipeline'])
    _plot_node(folder / 'benchmark_node.png', results['node'])
    _plot_growth(folder / 'benchmark_growth.png', results['growth'])


def _plot_systems(path, rows):
    """Draw the time of a frame for every system on the scene that all of them have."""
    rows = [row for row in rows if (row['faces'], row['width'], row['threads']) == (3, 640, 2)]
    rows.sort(key=lambda row: row['ms_median'], reverse=True)
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(rows) + 1.6), layout='constrained')
    names = [row['system'] for row in rows]
    medians = [row['ms_median'] for row in rows]
    axes.barh(
        names,
        medians,
        color=['tab:green' if name == 'emotion_perception' else 'tab:gray' for name in names],
    )
    axes.errorbar(
        medians,
        names,
        fmt='none',
        ecolor='black',
        capsize=3,
        xerr=[[0] * len(rows), [row['ms_p95'] - row['ms_median'] for row in rows]],
    )
    for row, name in zip(rows, names):
        axes.text(
            1.15 * row['ms_p95'],
            name,
            f'{row["ms_median"]:.1f} ms, recall '
            f'{row["recall"]:.2f}, {row["false_boxes"]} false boxes',
            va='center',
            fontsize=8,
        )
    axes.axvline(1000 / 30, color='tab:red', linestyle=':', label="camera's period (30 Hz)")
    axes.set(
        xscale='log',
        xlim=(1, 200 * max(medians)),
        xlabel='time a frame [ms], median to p95',
        title='3 moving faces, 640 x 480, 2 threads',
    )
    axes.legend(loc='upper right', fontsize=8)
    _save(figure, path)


def _plot_node(path, rows):
    figure, axes = plt.subplots(figsize=(8, 3.6), layout='constrained')
    positions = range(len(rows))
    for offset, (name, color) in enumerate(
        (('median', 'tab:green'), ('p95', 'tab:olive'), ('p99', 'tab:orange'))
    ):
        axes.bar(
            [p + 0.27 * (offset - 1) for p in positions],
            [row[f'latency_ms_{name}'] for row in rows],
            0.25,
            color=color,
            label=name,
        )
    axes.axhline(66, color='tab:red', linestyle=':', label='two periods of 30 Hz')
    axes.set(ylabel='latency, stamp to message [ms]', title='Node over DDS, 640 x 480 at 30 Hz')
    axes.set_xticks(
        positions,
        [
            f'{row["cameras"]} camera{"s" * (row["cameras"] > 1)}\n'
            f'{row["faces"]} face{"s" * (row["faces"] > 1)} each\n'
            f'{row["lost"]:.1%} lost'
            for row in rows
        ],
        fontsize=8,
    )
    axes.legend(fontsize=8)
    _save(figure, path)


def _plot_growth(path, growth):
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.3), layout='constrained')
    faces = growth['faces']
    left.plot(
        [row['faces'] for row in faces],
        [row['ms_median'] for row in faces],
        'o-',
        color='tab:green',
        label='median',
    )
    left.plot(
        [row['faces'] for row in faces],
        [row['ms_p95'] for row in faces],
        'o:',
        color='tab:olive',
        label='p95',
    )
    left.set(xlabel='faces', ylabel='time a frame [ms]', title='Faces')
    left.legend(fontsize=8)
    lengths = growth['sequence_length']
    middle.plot(
        [row['to'] for row in lengths],
        [row['ms_median'] for row in lengths],
        'o-',
        color='tab:green',
    )
    middle.set(
        xlabel='frames watched', ylabel='time a frame [ms]', title='Sequence length (3 faces)'
    )
    minutes, resident = zip(*growth['memory']['samples'])
    right.plot(minutes, resident, color='tab:green')
    right.set(xlabel='minutes of video', ylabel='resident memory [MB]', title='Memory')
    for axes in (left, middle, right):
        axes.set_ylim(0, 1.15 * axes.dataLim.ymax)
    _save(figure, path)


def _save(figure, path):
    figure.savefig(path, dpi=110, metadata={'Software': None})
    plt.close(figure)


def table(columns, rows):
    """Return rows, dicts, as a Markdown table."""
    lines = [columns, ['---'] * len(columns)]
    lines += [['–' if row[column] is None else row[column] for column in columns] for row in rows]
    return '\n'.join('| ' + ' | '.join(map(str, line)) + ' |' for line in lines)


def _machine(results):
    machine = results['machine']
    return '\n'.join(
        f'- {name}: {value}'
        for name, value in {
            'processor': f'{machine["processor"]}, {machine["cores"]} cores',
            'memory': f'{machine["memory_gb"]} GB',
            'system': f'{machine["system"]}, Python {machine["python"]}, OpenCV {machine["opencv"]}',
            'scenes': results['scenes'],
            'model (SHA-256)': results['pipeline'][0]['version'],
            'versions': ', '.join(
                f'{row["system"]} {row["version"]}'
                for row in results['pipeline']
                if row['system'] != 'emotion_perception'
            ),
            'measured': f'{results["date"]}, in {results["minutes"]} minutes',
        }.items()
    )
