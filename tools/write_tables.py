"""Write the tables of docs/ that follow from the code: parameters, messages, diagnostics.

Run it after one of these has changed: `make build && .venv/bin/python tools/write_tables.py`.
Each table stands between `<!-- table: NAME -->` and `<!-- end -->`; test_docs.py compares them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
import re

from emotion_perception.behaviour.options import OPTIONS as BEHAVIOUR_OPTIONS
from emotion_perception.nodes import (
    annotated_image,
    bag_player,
    behaviour_node,
    conditions,
    parameters,
    video_publisher,
)
from emotion_perception.options import Option, OPTIONS, RENAMED

ROOT = Path(__file__).resolve().parent.parent

LEVELS = {conditions.WARN: 'WARN', conditions.ERROR: 'ERROR', None: 'by threshold'}

#: What each node declares beside `use_sim_time` and the like, which every node has.
PARAMETERS = {
    'emotion_node': (*parameters.NODE_OPTIONS, *OPTIONS),
    'behaviour_node': (behaviour_node.RULES, *BEHAVIOUR_OPTIONS),
    'outputs': parameters.CAMERA_OPTIONS,
    'annotated_image': annotated_image.OPTIONS,
    'video_publisher': video_publisher.OPTIONS,
    'bag_player': bag_player.OPTIONS,
}


def tables() -> dict[str, str]:
    """Return {name: Markdown} of everything that is written."""
    return {
        **{
            f'parameters of {node}': parameter_table(options)
            for node, options in PARAMETERS.items()
        },
        'old names': table(
            ('old name', 'now', 'description'),
            ((f'`{old.name}`', f'`{name}`', old.description) for old, name, _ in RENAMED),
        ),
        'conditions': condition_table(conditions.CONDITIONS),
        'conditions of readers': condition_table(conditions.READER_CONDITIONS),
        'causes': table(
            ('cause', 'text', 'way out'),
            (
                (f'`{cause.name}`', filled(cause.text), filled(cause.way_out))
                for cause in conditions.CAUSES
            ),
        ),
        **{
            f'message {path.stem}': message((ROOT / path).read_text())
            for path in sorted((ROOT / 'msg').glob('*.msg'))
        },
    }


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table of Markdown; a bar within a cell does not end it."""
    lines = [heads, ['---'] * len(heads), *rows]
    return '\n'.join(
        '| ' + ' | '.join(cell.replace('|', '\\|') for cell in line) + ' |' for line in lines
    )


def parameter_table(options: Sequence[Option]) -> str:
    """Describe options, one a row."""
    return table(
        ('parameter', 'what it does', 'default', 'values', 'live'),
        (
            (
                f'`{option.name}`',
                plain(option.description),
                f'`{literal(option.default)}`',
                values(option),
                'yes' if option.live else '',
            )
            for option in options
        ),
    )


def condition_table(found: Iterable[conditions.Condition]) -> str:
    """Describe conditions, one a row."""
    return table(
        ('condition', 'level', 'text', 'way out'),
        (
            (
                f'`{condition.name}`',
                LEVELS[condition.level],
                filled(condition.text),
                filled(condition.way_out),
            )
            for condition in found
        ),
    )


def literal(value: object) -> str:
    """Write a value as a parameter file has it."""
    if isinstance(value, list):
        return f'[{", ".join(map(str, value))}]'
    return str(value).lower() if isinstance(value, bool) else repr(value)


def values(option: Option) -> str:
    """Say which values an option takes."""
    if option.choices:
        return ', '.join(f'`{choice}`' for choice in option.choices)
    if option.minimum is not None:
        ends = (int(end) if end == int(end) else end for end in (option.minimum, option.maximum))
        return f'{" to ".join(map(str, ends))} {option.unit}'.rstrip()
    if isinstance(option.default, list):
        return 'list of ' + ('text' if isinstance(option.default[0], str) else 'numbers')
    return {bool: 'true, false', str: 'text'}[type(option.default)]


def filled(text: str) -> str:
    """Show what is filled in, {seconds:.3g}, as *seconds*."""
    return re.sub(r'{(\w+)[^}]*}', r'*\1*', text)


def message(definition: str) -> str:
    """Describe a .msg file: its opening comment, then its fields and constants.

    Those between two empty lines share a row. A comment stands before them, or behind one of them.
    """
    about, rows = [], []
    for block in re.split(r'\n\n+', definition.strip()):
        names, comments, details = [], [], []
        for line in block.splitlines():
            code, _, comment = (part.strip() for part in line.partition('#'))
            if code:
                names.append(f'`{code}`')
                if comment:
                    details.append(f'`{code.split()[1].partition("=")[0]}`: {plain(comment)}')
            elif line.startswith(' '):  # what stands behind a field goes on
                details[-1] += f' {plain(comment)}'
            else:
                comments.append(plain(comment))
        if names:
            rows.append(('<br>'.join(names), '<br>'.join([' '.join(comments), *details])))
        else:
            about.append(' '.join(comments))
    return '\n\n'.join([*about, table(('field', 'meaning'), rows)])


def plain(text: str) -> str:
    """Keep Markdown from taking <name> for a tag."""
    return text.replace('<', '&lt;')


def write(page: str, all_tables: dict[str, str]) -> str:
    """Return a page with the tables that it has places for.

    :raises KeyError: for a place whose name is none of the tables'.
    """
    return re.sub(
        r'(<!-- table: (.+?) -->\n).*?(<!-- end -->)',
        lambda found: f'{found[1]}\n{all_tables[found[2]]}\n\n{found[3]}',
        page,
        flags=re.DOTALL,
    )


if __name__ == '__main__':
    for path in sorted((ROOT / 'docs').glob('*.md')):
        path.write_text(write(path.read_text(), tables()))
