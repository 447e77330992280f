"""The table of options: validation here, ROS parameters in the node and the docs follow it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
import warnings


@dataclass(frozen=True)
class Option:
    """One setting of the pipeline, and the ROS parameter of the same name."""

    name: str
    default: bool | int | float | str | list[int] | list[str]
    description: str
    minimum: float | None = None  #: inclusive
    maximum: float | None = None  #: inclusive
    choices: tuple[str, ...] = ()
    unit: str = ''
    live: bool = False  #: may be changed while running

    def check(self, value: Any) -> Any:
        """Return the value in the option's own type.

        :raises ValueError: when type or range are wrong; says what would be right.
        """
        kind: type[Any] = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f'{self.name} takes a {kind.__name__}, not {value!r}')
        if self.choices and value not in self.choices:
            raise ValueError(f'{self.name} takes one of {", ".join(self.choices)}, not {value!r}')
        # Written so that a NaN is refused as well.
        if self.minimum is not None and not self.minimum <= value <= self.maximum:
            raise ValueError(
                f'{self.name} takes {self.minimum} to {self.maximum} {self.unit}'.rstrip()
                + f', not {value!r}'
            )
        return value


# fmt: off
OPTIONS = (
    Option('cascade', '',
           'Haar cascade file; empty: haarcascade_frontalface_default.xml of OpenCV'),
    Option('min_face_size', 48, 'Side of the smallest face to look for',
           24, 1000, unit='pixels'),
    Option('scale_factor', 1.25, 'Ratio between neighbouring scales of the face search', 1.05, 1.5),
    Option('min_neighbors', 3, 'Overlapping hits that make a face', 1, 20),
    Option('detection_interval', 12,
           'Frames over which one search of the whole image is spread while faces are tracked; '
           'at most 4 while there are none', 1, 60, unit='frames'),
    Option('track_mode', 'all', 'Report all faces, or only the nearest (largest) one',
           choices=('all', 'nearest'), live=True),
    Option('max_faces', 16, 'Most faces to track for each camera', 1, 64),
    Option('max_coast_seconds', 0.8,
           'How long a track lives on while its face is not found, by the stamps of the images; '
           'after a longer gap between images, all faces are new', 0.03, 60.0, unit='s', live=True),
    Option('publish_new_tracks', False,
           'Also report faces that have not been seen often enough to be confirmed', live=True),
    Option('sequence_limit', 100, 'Frames of a face that the network looks back on',
           1, 100, unit='frames'),
    Option('neutral_threshold', 0.37,
           'Mean strength over label_window from which a neutral face is labelled with an emotion; '
           'strength is the value of the network that the intensity is scaled from',
           0.0, 1.0, live=True),
    Option('neutral_hysteresis', 0.1,
           'How far that mean must fall below neutral_threshold for the label to be neutral again',
           0.0, 1.0, live=True),
    Option('label_window', 0.9,
           'Time over which the strengths are averaged for the label; 0: the newest frame alone',
           0.0, 10.0, unit='s', live=True),
    Option('threads', 2, 'Threads of the network, and cameras whose faces are found at once',
           1, 16),
)
# fmt: on


#: An option of before -> the name that took its place, and how its value becomes the new one's.
RENAMED: tuple[tuple[Option, str, Callable[[Any], Any]], ...] = (
    (
        Option(
            'max_coast_frames',
            0,
            'Old name of max_coast_seconds, in frames at 30 Hz; 0: not given',
            0,
            300,
            unit='frames',
            live=True,
        ),
        'max_coast_seconds',
        lambda frames: frames / 30,
    ),
)


def renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Replace old names in a dict of options, with a FutureWarning for each.

    :raises ValueError: when an old value is wrong, or the new name is given beside the old.
    """
    given = dict(given)
    for old, name, convert in RENAMED:
        value = old.check(given.pop(old.name, old.default))
        if value != old.default:
            if name in given:
                raise ValueError(f'{old.name} is the old name of {name}: give {name} alone')
            given[name] = convert(value)
            warnings.warn(
                f'{old.name} is now {name}, and will be removed: give {name}={given[name]:.3g}',
                FutureWarning,
                stacklevel=2,
            )
    return given


def checked(given: Mapping[str, Any], table: tuple[Option, ...] = OPTIONS) -> dict[str, Any]:
    """Complete and check a dict of options; of old names too, see :func:`renamed`.

    :param table: the options that there are.
    :return: dict with every option's name.
    :raises ValueError: for an unknown name or a wrong value.
    """
    given = renamed(given)
    known = {option.name: option for option in table}
    for name in given:
        if name not in known:
            raise ValueError(f'no option {name!r}; there are {", ".join(known)}')
    return {name: option.check(given.get(name, option.default)) for name, option in known.items()}


#: Every option's name and default value.
DEFAULTS = checked({})
