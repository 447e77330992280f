"""From people's emotions to requests; without ROS."""

import pytest

from emotion_perception.behaviour.rules import Rules
from emotion_perception.emotions import NEUTRAL

SECOND = 10**9


class Somebody:
    """A person as the rules see one."""

    def __init__(self, track_id=1, camera='front'):
        self.track_id, self.camera = track_id, camera
        self.label, self.since_ns, self.intensity = NEUTRAL, 0, 0.0
        self.duration, self.x, self.y = 0.0, 0.25, 0.5


class Room:
    """Rules, and people whose emotions they see ten times a second."""

    def __init__(self, text, people=1):
        self.rules, self.stamp = Rules(text), 0
        self.people = [Somebody(track_id) for track_id in range(1, people + 1)]
        self.main = self.people[0]

    def feel(self, label, intensity=0.8, person=0):
        person = self.people[person]
        person.label, person.since_ns, person.intensity = label, self.stamp, intensity

    def go_on(self, seconds=0.1):
        requests = []
        for _ in range(round(seconds * 10)):
            self.stamp += SECOND // 10
            for person in self.people:
                person.duration = (self.stamp - person.since_ns) / SECOND
            requests += self.rules.update(self.people, self.main, self.stamp)
        return requests


MIRROR = """
rules:
  show_it:
    behaviour: set_expression
    parameters: {expression: '{expression}'}
  rest:
    behaviour: set_expression
    when: ended
    parameters: {expression: neutral}
"""


def shown(requests):
    return [request.parameters['expression'] for request in requests]


def test_a_mirroring_face():
    room = Room(MIRROR, people=2)
    assert not room.go_on(1)
    room.feel('happiness')
    (request,) = room.go_on(2)
    assert (request.rule, request.name, request.parameters, request.priority) == (
        'show_it',
        'set_expression',
        {'expression': 'happy'},
        128,
    )
    assert (request.camera, request.track_id, request.label, request.intensity) == (
        'front',
        1,
        'happiness',
        0.8,
    )
    room.feel('fear')  # one request for a change, not rest and then fear
    assert shown(room.go_on(2)) == ['scared']
    room.feel('sadness', person=1)  # not the main person
    assert not room.go_on(2)
    room.main = room.people[1]  # who is now
    assert shown(room.go_on(2)) == ['sad']
    room.main = None
    room.people.clear()
    (ended,) = room.go_on(2)
    assert ended.parameters == {'expression': 'neutral'} and ended.intensity == 0.0


def test_a_rule_can_wait_for_time_and_strength_and_asks_once():
    room = Room("""
rules:
  comfort:
    behaviour: say
    emotions: [sadness, fear]
    after: 3
    min_intensity: 0.7
    parameters: {input: 'Face {track_id} at {x:.1f} looks {label} ({intensity:.0%})', loud: true,
                 times: 2}
""")
    room.feel('anger')
    assert not room.go_on(5)
    room.feel('sadness', 0.5)
    assert not room.go_on(5)
    room.people[0].intensity = 0.75
    (request,) = room.go_on(5)
    assert request.parameters == {
        'input': 'Face 1 at 0.2 looks sadness (75%)',
        'loud': 'true',
        'times': '2',
    }
    room.feel('fear')
    assert not room.go_on(2.9)
    assert len(room.go_on(5)) == 1


def test_an_end_counts_what_the_emotion_was():
    room = Room("""
rules:
  glad: {behaviour: say, when: ended, emotions: [sadness], after: 3, min_intensity: 0.7}
""")
    for seconds, intensity, count in ((1, 0.9, 0), (5, 0.5, 0), (5, 0.9, 1)):
        room.feel('sadness', intensity)
        room.go_on(seconds)
        room.feel(NEUTRAL, 0.0)
        assert len(room.go_on(2)) == count


def test_cool_down_is_of_the_rule():
    room = Room('rules: {hello: {behaviour: say, cool_down: 10}}')
    room.feel('happiness')
    assert len(room.go_on(2)) == 1
    room.feel('surprise')
    assert not room.go_on(7.9)
    assert len(room.go_on(5)) == 1  # it still lasts


def test_the_greater_priority_goes_first_and_holds():
    room = Room(
        """
rules:
  happy: {behaviour: set_expression, people: all, emotions: [happiness], priority: 10}
  greet: {behaviour: say, people: all, emotions: [happiness], priority: 20}
  sad: {behaviour: set_expression, people: all, emotions: [sadness], priority: 200}
""",
        people=3,
    )
    room.feel('happiness')
    assert [r.rule for r in room.go_on()] == ['greet', 'happy']
    room.feel('sadness', person=1)
    assert [(r.rule, r.track_id) for r in room.go_on(2)] == [('sad', 2)]
    room.feel('happiness', person=2)  # the face stays sad, but a greeting is another behaviour
    assert [(r.rule, r.track_id) for r in room.go_on(2)] == []
    room.feel(NEUTRAL, person=0)
    assert [(r.rule, r.track_id) for r in room.go_on(2)] == [('greet', 3)]
    room.feel(NEUTRAL, person=1)
    assert [(r.rule, r.track_id) for r in room.go_on(2)] == [('happy', 3)]


def test_in_one_instant_each_behaviour_is_asked_for_once():
    room = Room("""
rules:
  low: {behaviour: set_expression, priority: 1}
  high: {behaviour: set_expression, priority: 2}
  other: {behaviour: look_at, priority: 3}
""")
    room.feel('happiness')
    assert [request.rule for request in room.go_on(5)] == ['other', 'high']


def test_no_rules_ask_for_nothing():
    for text in ('', '# nothing yet', 'rules:', 'rules: {}'):
        room = Room(text)
        room.feel('happiness')
        assert not room.go_on(5) and not room.rules.expression_topic


@pytest.mark.parametrize(
    'text, message',
    [
        ('rules: [', 'is no YAML: .*line 1'),
        ('rules:\n  a: {behaviour: say}\n  a: {behaviour: look_at}', 'a stands here twice.*line 2'),
        ('- rules', 'the file holds "NAME: value" for each of rules, expression_topic, not'),
        ('rule: {}', 'the file: unknown rule, expected one of rules, expression_topic'),
        ('rules: [a]', 'rules holds "NAME: what it does" for each rule, not list'),
        ('expression_topic: 3', 'expression_topic is a text, not 3'),
        ('rules: {a: }', 'rule a holds "NAME: value" for each of behaviour,.*not None'),
        ('rules: {a: {}}', 'rule a needs a behaviour'),
        (
            'rules: {a: {behaviour: say, cooldown: 1}}',
            'rule a: unknown cooldown, expected one of .*cool_down',
        ),
        (
            'rules: {a: {behaviour: say, emotions: happiness}}',
            'rule a: emotions is a list of anger,',
        ),
        ('rules: {a: {behaviour: say, emotions: [happy]}}', r"rule a: emotions .*not \['happy'\]"),
        ('rules: {a: {behaviour: say, emotions: []}}', 'rule a: emotions is a list'),
        ('rules: {a: {behaviour: say, when: changed}}', 'rule a: when takes one of started, ended'),
        ('rules: {a: {behaviour: say, priority: 256}}', 'rule a: priority takes 0 to 255, not 256'),
        ('rules: {a: {behaviour: say, after: soon}}', "rule a: after takes a float, not 'soon'"),
        ('rules: {a: {behaviour: say, parameters: [b]}}', 'rule a: parameters holds "NAME: value"'),
        (
            'rules: {a: {behaviour: say, parameters: {b: [1]}}}',
            r'parameter b is a text,.*not \[1\]',
        ),
        (
            "rules: {a: {behaviour: say, parameters: {b: '{name}'}}}",
            r'rule a: parameter b: \{name\} is none of label, expression, .* written twice: \{\{',
        ),
        ("rules: {a: {behaviour: say, parameters: {b: '{label.__class__}'}}}", 'is none of'),
        ("rules: {a: {behaviour: say, parameters: {b: '{'}}}", 'rule a: parameter b: '),
        ("rules: {a: {behaviour: say, parameters: {b: '{x:{y}}'}}}", 'has a field within a field'),
        ("rules: {a: {behaviour: say, parameters: {b: '{track_id:c}'}}}", 'not in range'),
        ('[' * 5000, 'is no YAML: RecursionError'),
        ('rules: {a: !!bool maybe}', 'is no YAML: KeyError'),
        ('rules: {a: {behaviour: "\\ud800"}}', 'is no YAML: .*surrogates'),
        ("rules: {a: {behaviour: say, parameters: {b: '{label:.2f}'}}}", 'rule a: parameter b: '),
    ],
)
def test_a_wrong_file_is_refused_with_what_would_be_right(text, message):
    with pytest.raises(ValueError, match=f'^{message}|{message}'):
        Rules(text)
