"""ROS parameters from tables of options."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
import re
import sys
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidTopicNameException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.validate_topic_name import validate_topic_name
import yaml

from emotion_perception.images import MAX_PIXELS
from emotion_perception.nodes.messages import IMAGE_TRANSPORTS
from emotion_perception.options import Option, OPTIONS, RENAMED
from emotion_perception.rotation import TURNS

#: Where a node finds the cameras' images.
# fmt: off
CAMERA_OPTIONS = (
    Option('image_topics', ['image'], 'Image topic of each camera'),
    Option('camera_names', ['camera'],
           'Name of each camera, in the order of image_topics; appears in the results'),
    Option('image_transport', 'raw',
           'sensor_msgs/Image on the topics, or sensor_msgs/CompressedImage on <topic>/compressed',
           choices=tuple(IMAGE_TRANSPORTS)),
)
# fmt: on

#: What emotion_node has beside the options of the pipeline.
# fmt: off
NODE_OPTIONS = (
    Option('model', '', 'Model description (.json); empty: the installed model'),
    *CAMERA_OPTIONS,
    Option('rotation', [0],
           'Degrees clockwise, 0, 90, 180 or 270, by which the images of each camera are turned so '
           'that heads point up; one for each camera, or one for all'),
    Option('max_pixels', MAX_PIXELS, 'Largest image, width x height; a larger one is refused '
           'before it is decoded', 1, 2**31 - 1, unit='pixels'),
    Option('autostart', True, 'Whether the node configures and activates itself; false leaves it to '
           'a manager (ros2 lifecycle, nav2)'),
    Option('loss_warn', 0.1, 'Warn from this share of images lost on the way', 0.0, 1.0,
           live=True),
    Option('loss_error', 0.5, 'Error from this share of images lost on the way; 0: never',
           0.0, 1.0, live=True),
    Option('latency_warn', 0.5, 'Warn from this time between stamp and result', 0.0, 3600.0,
           unit='s', live=True),
    Option('latency_error', 2.0, 'Error from this time between stamp and result; 0: never',
           0.0, 3600.0, unit='s', live=True),
    Option('clock_offset_warn', 0.1, "Warn when stamps lie this far ahead of the node's clock",
           0.0, 3600.0, unit='s', live=True),
    Option('clock_offset_error', 0.0,
           "Error when stamps lie this far off the node's clock; 0: never", 0.0, 1e9, unit='s',
           live=True),
)
# fmt: on

#: What YAML, the language of parameter files and of -p, is to hold for each type.
KINDS = {
    bool: 'true or false',
    int: 'a whole number',
    float: 'a number with a decimal point',
    str: 'text',
}


def declare(node: Node, options: Iterable[Option]) -> dict[str, Any]:
    """Declare each option as a parameter of the node.

    :return: dict of the values, which a parameter file or the command line may have set.
    :raises rclpy.exceptions.ParameterException: when such a value is out of range.
    :raises ValueError: when it is of a wrong type, or none of the choices.
    """
    values = {}
    for option in options:
        try:
            value = node.declare_parameter(option.name, option.default, _descriptor(option)).value
        except InvalidParameterTypeException as error:
            # No public function tells what was given.
            given = node._parameter_overrides[option.name].value
            raise ValueError(f'{option.name} is {given!r}, expected {_kind(option)}') from error
        if isinstance(option.default, list):
            # An empty list has no type, and what has none comes as no value at all.
            value = list(value or ())
        values[option.name] = option.check(value)
    return values


def _kind(option: Option) -> str:
    """Say what a parameter holds: its type, and an example where the default is one."""
    default = option.default
    if isinstance(default, list):
        return (
            f'a list of {"text" if isinstance(default[0], str) else "numbers"}, such as {default}'
        )
    return KINDS[type(default)] + (f', such as {default}' if type(default) in (int, float) else '')


def image_topics(node: Node, values: dict[str, Any]) -> dict[str, str]:
    """Give each camera's image topic, of the values of CAMERA_OPTIONS.

    :return: dict of the cameras' names -> topics to subscribe to. Remapping is still to come, as
        create_subscription and resolve_topic_name do it: done twice, topics that are swapped would
        be swapped back.
    :raises ValueError: when names and topics do not match, or a topic can be none.
    """
    names, topics = values['camera_names'], values['image_topics']
    if not topics:
        raise ValueError(
            'image_topics is empty, expected one topic at least, such as [/camera/image_raw]'
        )
    if len(names) != len(topics) or len(set(names)) != len(names) or '' in names:
        raise ValueError(
            f'camera_names {names} and image_topics {topics} do not match: '
            'expected one name for each topic, all different, none empty'
        )
    suffix = IMAGE_TRANSPORTS[values['image_transport']].suffix
    result = {name: _image_topic(node, topic, suffix) for name, topic in zip(names, topics)}
    resolved = [node.resolve_topic_name(topic) for topic in result.values()]
    for topic in resolved:
        if resolved.count(topic) > 1:
            raise ValueError(
                f'image_topics {topics} give {topic} to more than one camera, expected a topic of '
                'its own for each'
            )
    return result


def _image_topic(node: Node, topic: str, suffix: str) -> str:
    try:
        validate_topic_name(topic)
        base: str = node.resolve_topic_name(topic)
    except (InvalidTopicNameException, rclpy_implementation.RCLError) as error:
        # The first line, without what kind of error it is and the place in the source of rcl.
        why = str(error).splitlines()[0].partition(': ')[2].partition(', at /')[0].rstrip(':')
        raise ValueError(
            f'image_topics has {topic!r}: {why}, expected a topic such as /camera/image_raw'
        ) from error
    for name, transport in IMAGE_TRANSPORTS.items():
        if transport.suffix and base.endswith(transport.suffix):
            raise ValueError(
                f'image_topics names {base}, expected the base name, '
                f'{base.removesuffix(transport.suffix)}, and image_transport {name}, which adds '
                f'{transport.suffix}'
            )
    if not suffix:
        return topic
    # A remapping of image holds for image/compressed too, if that has none of its own.
    full = topic + suffix
    if node.resolve_topic_name(full) != node.resolve_topic_name(full, only_expand=True):
        return full
    return base + suffix


def rotations(values: dict[str, Any]) -> dict[str, int]:
    """Give each camera's rotation [degrees], of the values of NODE_OPTIONS.

    :raises ValueError: when it is none that is possible, or the number of them is wrong.
    """
    names, degrees = values['camera_names'], values['rotation']
    if len(degrees) not in (1, len(names)) or not set(degrees) <= set(TURNS):
        raise ValueError(
            f'rotation is {degrees}, expected {", ".join(map(str, TURNS))} for each '
            f'of {len(names)} cameras, or one for all'
        )
    return dict(zip(names, degrees * len(names) if len(degrees) == 1 else degrees))


def warn_of_unknown(node: Node) -> None:
    """Name given parameters that nobody reads, and those that are for a node of another name.

    Those of emotion_node may come to every node, by the file that they share.
    """
    # No public function tells what was given.
    known = list(node._parameters)
    shared = {option.name for option in (*NODE_OPTIONS, *OPTIONS, *(old for old, _, _ in RENAMED))}
    for name in node._parameter_overrides:
        if not (node.has_parameter(name) or name in shared):
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            node.get_logger().warning(
                f'There is no parameter {name}'
                + (f', did you mean {near[0]}?' if near else f': there are {", ".join(known)}')
            )
    own = node.get_fully_qualified_name()
    for source, others in _other_nodes(sys.argv, own):
        for other, names in others.items():
            near = get_close_matches(other, [own, own.lstrip('/')], cutoff=0.7)
            if near or set(names) <= set(known):
                node.get_logger().warning(
                    f'{source} has parameters for a node {other}, expected {own} (or /** for '
                    f'any): {", ".join(names)} are not read'
                )


def _other_nodes(arguments: list[str], own: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Give what arguments set for other nodes alone.

    :return: argument or file, and a dict of the nodes' names -> names of parameters.
    """
    for option, value in zip(arguments, arguments[1:]):
        if option in ('-p', '--param') and (found := re.match(r'([\w/]+):([\w.]+):=', value)):
            if found[1].strip('/') not in (own.strip('/'), own.rpartition('/')[2]):
                yield f'-p {value}', {found[1]: [found[2]]}
        elif option == '--params-file':
            try:
                with open(value, 'rb') as file:
                    # launch writes lists with tags that only Python knows: read without tags.
                    trees = list(yaml.load_all(file, yaml.BaseLoader))
            except yaml.YAMLError as error:  # ROS has taken it for an empty file
                reason = ' '.join(str(error).split())
                raise ValueError(f'{value} is no parameter file: {reason}') from error
            sections = {name: values for tree in trees for name, values in _sections(tree)}
            others = {
                name: list(values)
                for name, values in sections.items()
                if not re.fullmatch(_pattern(name), own)
            }
            if len(others) == len(sections):
                yield value, others
            else:  # a file for several nodes: only a name that is nearly right is a mistake
                yield (
                    value,
                    {
                        name: values
                        for name, values in others.items()
                        if get_close_matches(name.strip('/'), [own.strip('/')], cutoff=0.8)
                    },
                )


def _sections(tree: Any, path: str = '') -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if key == 'ros__parameters':
            yield path or '/', value or {}
        else:
            yield from _sections(value, f'{path}/{key}'.replace('//', '/'))


def _pattern(name: str) -> str:
    """Give the regular expression of a node's name where * is one part and ** any number of them."""
    parts = {'**': '(/[^/]+)*', '*': '/[^/]+'}
    return ''.join(parts.get(part, '/' + re.escape(part)) for part in name.split('/')[1:])


def declare_old_names(node: Node) -> None:
    """Declare the old names of parameters; one that is set moves its new name, with a warning."""

    def move(parameters: list[Parameter]) -> None:
        for parameter in parameters:
            for old, name, convert in RENAMED:
                if parameter.name == old.name and parameter.value != old.default:
                    value = convert(parameter.value)
                    node.set_parameters([Parameter(name, value=value)])
                    node.get_logger().warning(
                        f'parameter {old.name} is now {name}, and will be removed: its value is '
                        f'taken as {name} = {value:.3g}'
                    )

    for old, name, _ in RENAMED:
        value = declare(node, [old])[old.name]
        if value != old.default and name in node._parameter_overrides:
            raise ValueError(f'{old.name} is the old name of {name}: give {name} alone')
        move([Parameter(old.name, value=value)])
    node.add_post_set_parameters_callback(move)


def _descriptor(option: Option) -> ParameterDescriptor:
    unit = f' [{option.unit}]' if option.unit else ''
    live = '. Live: may be changed while the node runs' if option.live else ''
    descriptor = ParameterDescriptor(
        description=option.description + unit + live, read_only=not option.live
    )
    if option.choices:
        descriptor.additional_constraints = 'one of: ' + ', '.join(option.choices)
    if option.minimum is not None and option.maximum is not None:
        if isinstance(option.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(option.minimum), to_value=float(option.maximum))
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=option.minimum, to_value=option.maximum)
            ]
    return descriptor
