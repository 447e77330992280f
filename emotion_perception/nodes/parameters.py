"""ROS parameters from tables of options."""
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.parameter import Parameter
from rclpy.validate_topic_name import validate_topic_name

from emotion_perception.nodes.messages import IMAGE_TRANSPORTS
from emotion_perception.options import Option, RENAMED

#: Where a node finds the cameras' images.
CAMERA_OPTIONS = (
    Option('image_topics', ['image'], 'Image topic of each camera'),
    Option('camera_names', ['camera'],
           'Name of each camera, in the order of image_topics; stands in the results'),
    Option('image_transport', 'raw',
           'sensor_msgs/Image on the topics, or sensor_msgs/CompressedImage on <topic>/compressed',
           choices=tuple(IMAGE_TRANSPORTS)),
)

#: What emotion_node has beside the options of the pipeline.
NODE_OPTIONS = (
    Option('model', '', 'Model description (.json); empty: the installed model'),
    *CAMERA_OPTIONS,
)


def declare(node, options):
    """Declare each option as a parameter of the node.

    :return: dict of the values, which a parameter file or the command line may have set.
    :raises rclpy.exceptions.ParameterException: when such a value has a wrong type or range.
    :raises ValueError: when it is none of the choices.
    """
    return {option.name: option.check(node.declare_parameter(
        option.name, option.default, _descriptor(option)).value) for option in options}


def image_topics(node, values):
    """Give each camera's image topic, resolved, of the values of CAMERA_OPTIONS.

    :return: dict of the cameras' names -> topics.
    :raises ValueError: when names and topics do not match.
    :raises InvalidTopicNameException: when a topic can be none.
    """
    names, topics = values['camera_names'], values['image_topics']
    if not names or len(names) != len(topics) or len(set(names)) != len(names):
        raise ValueError(f'camera_names {names} and image_topics {topics} do not match: '
                         'expected one name for each topic, all different, one at least')
    for topic in topics:
        validate_topic_name(topic)      # says what is wrong, which resolving it does not
    # Resolved first, so that a remapping of image holds for image/compressed too.
    suffix = IMAGE_TRANSPORTS[values['image_transport']].suffix
    return {name: node.resolve_topic_name(topic) + suffix
            for name, topic in zip(names, topics)}


def declare_old_names(node):
    """Declare the old names of parameters; one that is set moves its new name, with a warning."""
    for old, name, convert in RENAMED:
        value = declare(node, [old])[old.name]
        if value != old.default:
            node.set_parameters([Parameter(name, value=convert(value))])
            node.get_logger().warning(
                f'parameter {old.name} is now {name}, and will be removed: its value is taken as '
                f'{name} = {convert(value):.3g}')


def _descriptor(option):
    unit = f' [{option.unit}]' if option.unit else ''
    descriptor = ParameterDescriptor(
        description=option.description + unit, read_only=not option.live)
    if option.choices:
        descriptor.additional_constraints = 'one of: ' + ', '.join(option.choices)
    if option.minimum is not None:
        if isinstance(option.default, float):
            descriptor.floating_point_range = [FloatingPointRange(
                from_value=float(option.minimum), to_value=float(option.maximum))]
        else:
            descriptor.integer_range = [IntegerRange(
                from_value=option.minimum, to_value=option.maximum)]
    return descriptor
