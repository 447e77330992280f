"""The options of everything in this folder; behaviour_node's parameters follow the table."""

from typing import Any

from emotion_perception import options
from emotion_perception.options import Option

# fmt: off
OPTIONS = (
    Option('enter_intensity', 0.9,
           'Mean intensity over min_duration from which an emotion starts; at least '
           'leave_intensity', 0.0, 1.0, live=True),
    Option('leave_intensity', 0.5,
           'Intensity below which an image does not show the emotion', 0.0, 1.0, live=True),
    Option('min_duration', 0.4,
           'How long every image must show an emotion before it starts, and how long none may show '
           'it before it ends', 0.05, 10.0, unit='s', live=True),
    Option('cool_down', 1.0,
           'Time after an event in which no other emotion of the same person starts; one that is '
           'over always ends', 0.0, 60.0, unit='s', live=True),
    Option('max_gap', 2.0,
           'Longest gap between two images of a camera; after a longer one, its people are gone',
           0.1, 60.0, unit='s', live=True),
    Option('main_person', 'nearest',
           'Who is the main person: the one with the largest face, the one in view for longest, or '
           'the one with the strongest emotion',
           choices=('nearest', 'longest', 'strongest'), live=True),
    Option('main_hold', 2.0,
           'How long somebody else must be clearly ahead before becoming the main person',
           0.0, 60.0, unit='s', live=True),
)
# fmt: on


def checked(given: dict[str, Any]) -> dict[str, Any]:
    """Complete and check a dict of options.

    :return: dict with every option's name.
    :raises ValueError: for an unknown name, a wrong value, or two that contradict each other.
    """
    values = options.checked(given, OPTIONS)
    if values['leave_intensity'] > values['enter_intensity']:
        raise ValueError(
            f'leave_intensity is {values["leave_intensity"]} and enter_intensity '
            f'{values["enter_intensity"]}: expected it to be no greater'
        )
    return values


#: Every option's name and default value.
DEFAULTS = checked({})
