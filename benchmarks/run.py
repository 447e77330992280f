"""Speed, latency and memory, ours beside others', in one run: `make bench`.

Prints tables; writes benchmarks/results.json, the tables in docs/benchmarks.md and the plots in
docs/images. What is measured and how, says docs/benchmarks.md.
"""

import argparse
from datetime import date
import json
import os
from pathlib import Path
import platform
import subprocess
import sys
import tempfile
from time import monotonic

import cv2
from node_latency import node_rows, start_row
from offline_speed import offline_rows
from pipeline_speed import light_rows, pipeline_rows, tracking_rows
from report import plot, tables, write_tables
from scenes import load_actors

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / 'docs'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--model', type=Path, help="description of a model (.json) other than the package's own"
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='a few frames of everything, only to see that it works: '
        'results and plots go to a folder of their own',
    )
    arguments = parser.parse_args()
    model = arguments.model and arguments.model.resolve()
    start = monotonic()
    data = _data_folder()
    actors = load_actors(data)
    print(f'Scenes of {actors.description}', flush=True)

    not_measured = {}
    results = {
        'date': date.today().isoformat(),
        'machine': _machine(),
        'scenes': actors.description,
        'not_measured': not_measured,
        'pipeline': pipeline_rows(actors, 125 if arguments.quick else 300, model, not_measured),
        'light': light_rows(actors, 125 if arguments.quick else 300, model),
        'tracking': tracking_rows(data, model) if data else [],
        'node': node_rows(actors, 3 if arguments.quick else 15, model),
        'start': start_row(actors, 2 if arguments.quick else 12, model),
        'growth': _growth(data, model, arguments.quick),
    }
    results['offline'] = offline_rows(
        actors, model, 4 if arguments.quick else 20, results['pipeline']
    )
    results['minutes'] = round((monotonic() - start) / 60, 1)

    for name, table in tables(results).items():
        print(f'\n{name}\n\n{table}')
    if arguments.quick:
        folder = Path(tempfile.mkdtemp(prefix='benchmarks_'))
        plot(folder, results)
        (folder / 'results.json').write_text(json.dumps(results, indent=1) + '\n')
        print(f'\nWrote {folder}')
    else:
        (HERE / 'results.json').write_text(json.dumps(results, indent=1) + '\n')
        plot(DOCS / 'images', results)
        write_tables(DOCS / 'benchmarks.md', tables(results))
        print(f'\nWrote {HERE / "results.json"}, {DOCS / "benchmarks.md"} and its images')


def _growth(data, model, quick):
    """Run growth.py in a process of its own and return its results."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'growth.json'
        subprocess.run(
            [
                sys.executable,
                HERE / 'growth.py',
                str(model or ''),
                '0.5' if quick else '10',
                '1' if quick else '5',
                path,
                *([data] if data else []),
            ],
            check=True,
        )
        return json.loads(path.read_text())


def _data_folder():
    """Return the folder of the data sets, or None."""
    path = Path(os.environ.get('EMOTION_PERCEPTION_DATA', HERE.parent.parent / 'shared' / 'data'))
    return path.resolve() if (path / 'clips').is_dir() else None


def _machine():
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    processor = next(
        (line.partition(':')[2].strip() for line in lines if line.startswith('model name')),
        platform.machine(),
    )
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return {
        'processor': processor,
        'cores': len(os.sched_getaffinity(0)),
        'memory_gb': round(memory / 1e9, 1),
        'system': platform.platform(),
        'python': platform.python_version(),
        'opencv': cv2.__version__,
    }


if __name__ == '__main__':
    main()
