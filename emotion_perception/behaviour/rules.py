"""From people's emotions to what the robot is asked to do, by a file of rules.

Pure, as all of this folder: no ROS and no clock. The file is described in docs/behaviours.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

import yaml

from emotion_perception.behaviour.events import ENDED, Person, STARTED
from emotion_perception.emotions import EMOTIONS, EXPRESSIONS, NEUTRAL
from emotion_perception.options import checked, Option

#: What a rule may say of itself beside ``behaviour``, ``emotions`` and ``parameters``.
# fmt: off
OPTIONS = (
    Option('when', STARTED, 'At the start of an emotion or at its end', choices=(STARTED, ENDED)),
    Option('people', 'main', 'Whose emotion counts: that of the main person, or of all',
           choices=('main', 'all')),
    Option('after', 0.0, 'Time that the emotion must have lasted', 0.0, 3600.0, unit='s'),
    Option('min_intensity', 0.0, 'Strength that it must have had', 0.0, 1.0),
    Option('cool_down', 0.0, 'Time after a request in which this rule makes no other',
           0.0, 86400.0, unit='s'),
    Option('priority', 128, 'Of two rules with one behaviour the greater one counts', 0, 255),
)
# fmt: on

#: Of one emotion of one person: camera, track id, stamp of its first image [ns].
Key = tuple[str, int, int]

#: What may stand in braces in the text of a parameter, with an example of each.
FIELDS = {
    'label': 'happiness',
    'expression': 'happy',
    'intensity': 0.8,
    'duration': 1.5,
    'camera': 'camera',
    'track_id': 2**32 - 1,
    'x': 0.5,
    'y': 0.5,
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a rule asks for; the fields of ``msg/BehaviourRequest.msg``."""

    rule: str
    name: str  #: of the behaviour
    parameters: dict[str, str]
    priority: int  #: 0 .. 255
    camera: str
    track_id: int
    label: str  #: one of EMOTIONS
    intensity: float  #: 0 .. 1; 0 when it answers the end of the emotion


@dataclass
class _Episode:
    """One emotion of one person, from its start to its end, as one rule knows it."""

    fields: dict[str, Any] = field(default_factory=dict)  # at its newest image, see FIELDS
    peak: float = 0.0
    done: bool = False


@dataclass(eq=False)
class Rule:
    """One rule of the file; see OPTIONS for what is not explained here."""

    name: str
    behaviour: str
    parameters: dict[str, str]
    emotions: tuple[str, ...]
    when: str
    people: str
    after: float
    min_intensity: float
    cool_down: float
    priority: int
    asked_ns: int | None = None  #: time of its newest request
    episodes: dict[Key, _Episode] = field(default_factory=dict)

    def look(self, emotional: dict[Key, Person], main: Person | None) -> dict[Key, _Episode]:
        """Bring the episodes up to date, and return those that are over.

        :param emotional: those who are not neutral.
        """
        relevant = {
            key: person
            for key, person in emotional.items()
            if person.label in self.emotions and (self.people == 'all' or person is main)
        }
        over = {key: self.episodes.pop(key) for key in set(self.episodes) - set(relevant)}
        for key, person in relevant.items():
            episode = self.episodes.setdefault(key, _Episode())
            episode.fields = _fields(person)
            episode.peak = max(episode.peak, person.intensity)
        return over


class Rules:
    """Decide what the robot is asked to do.

    A rule asks once in each emotion of a person: as soon as all that it demands is met. Where two
    people would have the robot do the same behaviour, the one of lower or equal priority waits
    until the emotion of the other is over.

    :param text: YAML.
    :raises ValueError: when the text is no such file; says where and what would be right.
    """

    def __init__(self, text: str = '') -> None:
        try:
            content = yaml.load(text, _Loader) or {}
        except yaml.YAMLError as error:
            raise ValueError(f'is no YAML: {" ".join(str(error).split())}') from error
        # What PyYAML lets through of a tag on a wrong value, and of a file nested without end.
        except (LookupError, AttributeError, RecursionError) as error:
            raise ValueError(f'is no YAML: {type(error).__name__}: {error}') from error
        content = _mapping(content, 'the file', ('rules', 'expression_topic'))
        #: Topic on which set_expression is published as hri_msgs/Expression too; '' for none.
        self.expression_topic = content.get('expression_topic', '')
        if not isinstance(self.expression_topic, str):
            raise ValueError(f'expression_topic is a text, not {self.expression_topic!r}')
        rules = content.get('rules') or {}
        if not isinstance(rules, dict):
            raise ValueError(
                f'rules holds "NAME: what it does" for each rule, not {type(rules).__name__}'
            )
        # Where priorities are equal, what starts goes before what ends.
        self._rules = sorted(
            (_rule(str(name), entry) for name, entry in rules.items()),
            key=lambda rule: (-rule.priority, rule.when == ENDED),
        )
        # Of the newest request for each behaviour.
        self._held: dict[str, tuple[Rule, Key]] = {}

    def __len__(self) -> int:
        """Count the rules."""
        return len(self._rules)

    def update(self, people: list[Person], main: Person | None, time_ns: int) -> list[Request]:
        """Take in how people are now, once for each image or instant.

        :param people: all in view, ``main`` among them.
        :param time_ns: one time for all cameras [ns], never decreasing.
        :return: at most one for each behaviour, the greatest priority first.
        """
        emotional = {
            (person.camera, person.track_id, person.since_ns): person
            for person in people
            if person.label != NEUTRAL
        }
        over = {rule: rule.look(emotional, main) for rule in self._rules}
        requests = {}
        for rule in self._rules:
            episodes = rule.episodes if rule.when == STARTED else over[rule]
            for key, episode in sorted(episodes.items()):
                if episode.done or not _meets(rule, episode, time_ns) or self._must_wait(rule, key):
                    continue
                episode.done = True
                if rule.behaviour in requests:
                    continue  # a rule before this one has asked for it in this instant
                rule.asked_ns = time_ns
                if rule.when == STARTED:
                    self._held[rule.behaviour] = rule, key
                requests[rule.behaviour] = _request(rule, episode)
        return list(requests.values())

    def _must_wait(self, rule: Rule, key: Key) -> bool:
        if rule.behaviour not in self._held:
            return False
        holder, held = self._held[rule.behaviour]
        return held in holder.episodes and held[:2] != key[:2] and holder.priority >= rule.priority


class _Loader(yaml.SafeLoader):
    """Refuses a name that stands twice, of which YAML would drop the first without a word.

    And half a character (an escaped surrogate), which no message can carry.
    """

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> str:
        value = str(super().construct_scalar(node))
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((str(name) for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f'{twice} stands here twice', node.start_mark
            )
        return super().construct_mapping(node, deep)


def _meets(rule: Rule, episode: _Episode, time_ns: int) -> bool:
    cool = rule.asked_ns is None or time_ns - rule.asked_ns >= rule.cool_down * 1e9
    return cool and (
        episode.fields['duration'] >= rule.after and episode.peak >= rule.min_intensity
    )


def _fields(person: Person) -> dict[str, Any]:
    return {
        'label': person.label,
        'expression': EXPRESSIONS[person.label],
        'intensity': person.intensity,
        'duration': person.duration,
        'camera': person.camera,
        'track_id': person.track_id,
        'x': person.x,
        'y': person.y,
    }


def _request(rule: Rule, episode: _Episode) -> Request:
    fields = episode.fields
    return Request(
        rule.name,
        rule.behaviour,
        {key: text.format(**fields) for key, text in rule.parameters.items()},
        rule.priority,
        fields['camera'],
        fields['track_id'],
        fields['label'],
        fields['intensity'] if rule.when == STARTED else 0.0,
    )


def _rule(name: str, entry: Any) -> Rule:
    where = f'rule {name}'
    entry = _mapping(
        entry, where, ('behaviour', 'parameters', 'emotions', *(option.name for option in OPTIONS))
    )
    behaviour = entry.pop('behaviour', None)
    if not isinstance(behaviour, str) or not behaviour:
        raise ValueError(f'{where} needs a behaviour, such as set_expression or say')
    emotions = entry.pop('emotions', list(EMOTIONS))
    if not isinstance(emotions, list) or not emotions or set(map(str, emotions)) - set(EMOTIONS):
        raise ValueError(f'{where}: emotions is a list of {", ".join(EMOTIONS)}, not {emotions!r}')
    parameters = entry.pop('parameters', None) or {}
    if not isinstance(parameters, dict):
        raise ValueError(f'{where}: parameters holds "NAME: value" for each, not {parameters!r}')
    parameters = {
        str(key): _text(value, f'{where}: parameter {key}') for key, value in parameters.items()
    }
    try:
        return Rule(name, behaviour, parameters, tuple(emotions), **checked(entry, OPTIONS))
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error


def _mapping(content: Any, where: str, known: Sequence[str]) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(
            f'{where} holds "NAME: value" for each of {", ".join(known)}, not {content!r}'
        )
    unknown = [str(key) for key in content if key not in known]
    if unknown:
        raise ValueError(
            f'{where}: unknown {", ".join(unknown)}, expected one of {", ".join(known)}'
        )
    return dict(content)


def _text(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f'{where} is a text, a number, true or false, not {value!r}')
    try:
        for _, name, digits, _ in Formatter().parse(value):
            if name is not None and name not in FIELDS:
                raise ValueError(f'{{{name}}} is none of {", ".join(FIELDS)}')
            if digits and '{' in digits:
                raise ValueError(f'{{{name}:{digits}}} has a field within a field')
        value.format(**FIELDS)
    except (ValueError, OverflowError) as error:
        raise ValueError(f'{where}: {error}; a brace of its own is written twice: {{{{') from error
    return value
