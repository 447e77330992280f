"""The table of options, from which validation, ROS parameters and docs follow."""

import math

import pytest

from emotion_perception.options import checked, Option, OPTIONS

NUMBERS = [option for option in OPTIONS if option.minimum is not None]


def test_defaults_are_valid_and_complete():
    options = checked({})
    assert list(options) == [option.name for option in OPTIONS]
    for option in OPTIONS:
        assert options[option.name] == option.default
        assert type(options[option.name]) is type(option.default)


def test_what_is_given_replaces_a_default_and_nothing_else():
    assert checked({'max_faces': 3}) == {**checked({}), 'max_faces': 3}


@pytest.mark.parametrize('option', OPTIONS, ids=lambda option: option.name)
def test_every_option_says_what_it_is(option):
    assert option.description
    if type(option.default) in (int, float):
        assert option.minimum is not None and option.maximum is not None
        assert type(option.default) is int or isinstance(option.minimum, float)


@pytest.mark.parametrize('option', NUMBERS, ids=lambda option: option.name)
def test_range_is_inclusive(option):
    step = 1 if type(option.default) is int else 1e-6
    for edge, beyond in ((option.minimum, -step), (option.maximum, step)):
        assert option.check(edge) == edge
        with pytest.raises(
            ValueError, match=f'{option.name} takes {option.minimum} to {option.maximum}'
        ) as error:
            option.check(edge + beyond)
        assert option.unit in str(error.value)


def test_an_integer_is_a_number_too():
    value = checked({'neutral_threshold': 1})['neutral_threshold']
    assert value == 1.0 and type(value) is float


@pytest.mark.parametrize(
    'name, value, right',
    [
        ('max_faces', 3.0, 'takes a int'),
        ('max_faces', True, 'takes a int'),
        ('max_faces', '3', 'takes a int'),
        ('scale_factor', '1.2', 'takes a float'),
        ('scale_factor', True, 'takes a float'),
        ('scale_factor', math.nan, 'takes 1.05 to 1.5'),
        ('scale_factor', math.inf, 'takes 1.05 to 1.5'),
        ('publish_new_tracks', 1, 'takes a bool'),
        ('cascade', None, 'takes a str'),
        ('track_mode', 'largest', 'takes one of all, nearest'),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(name, value, right):
    with pytest.raises(ValueError, match=f'^{name} {right}.*not {value!r}'):
        checked({name: value})


def test_an_unknown_option_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="no option 'max_face'.*max_faces"):
        checked({'max_face': 3})


def test_choices_include_the_default():
    for option in OPTIONS:
        assert not option.choices or option.default in option.choices
    with pytest.raises(ValueError, match='one of a, b'):
        Option('x', 'a', 'letter', choices=('a', 'b')).check('c')


def test_an_old_name_lives_on_with_a_warning():
    with pytest.warns(FutureWarning, match='max_coast_frames is now max_coast_seconds.*=0.5'):
        options = checked({'max_coast_frames': 15})
    assert options == checked({'max_coast_seconds': 0.5})
    with pytest.raises(ValueError, match='old name of max_coast_seconds: give max_coast_seconds'):
        checked({'max_coast_frames': 15, 'max_coast_seconds': 0.5})
    with pytest.raises(ValueError, match='max_coast_frames takes 0 to 300 frames'):
        checked({'max_coast_frames': -1})
