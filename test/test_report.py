"""Pages to look at: of one run, and of two runs side by side; opened in a real browser."""

import base64
from dataclasses import replace
import json
import re
import shutil

import cv2
import numpy as np
import pytest

pytest.importorskip('rosbags', reason='needs the extra [bags]')
pytest.importorskip('jinja2', reason='needs the extra [bags]')

from emotion_perception import bag as command  # noqa: E402
from emotion_perception.emotions import EMOTIONS, FaceEmotion, LABELS, Roi, TrackState  # noqa: E402
from emotion_perception.offline import comparison, curves, film, report  # noqa: E402
from emotion_perception.offline.messages import decode, EMOTION_ARRAY  # noqa: E402
from emotion_perception.offline.pages import seconds  # noqa: E402
from emotion_perception.offline.processing import process, Settings  # noqa: E402
from emotion_perception.offline.recordings import Bag, find_recordings  # noqa: E402
from emotion_perception.offline.result_bag import ImageResult, RESULTS_TOPIC  # noqa: E402
from emotion_perception.videos import Video  # noqa: E402

TOPIC = '/camera/image_raw'
SECOND = 10**9
NAME = 'run & <b>walk<b>'


@pytest.fixture(scope='module')
def bags(moving_face, bag_messages, write_bag, tmp_path_factory):
    """Return a folder with a bag that has a gap of half a second, and the same upside down."""
    folder = tmp_path_factory.mktemp('bags')
    frames = moving_face(60)
    for name, pixels in (
        (NAME, frames),
        ('turned', [np.ascontiguousarray(f[::-1, ::-1]) for f in frames]),
    ):
        messages = bag_messages(pixels)
        write_bag(folder / name, {TOPIC: messages[:20] + messages[35:]})
    return folder


def run(place, output, **settings):
    (recording,) = find_recordings([place])
    outcome = process(recording, Settings(output, **settings))
    assert not outcome.error
    return output / place.name


@pytest.fixture(scope='module')
def runs(bags, tmp_path_factory):
    """Return the folders of three runs: as it comes, with another threshold, upside down."""
    folder = tmp_path_factory.mktemp('runs')
    return (
        run(bags / NAME, folder / 'a', report=True),
        run(bags / NAME, folder / 'b', options={'neutral_threshold': 1.0}),
        run(bags / 'turned', folder / 'c', report=True, rotation=180),
    )


@pytest.fixture(scope='module')
def browser():
    playwright = pytest.importorskip('playwright.sync_api', reason='playwright drives the browser')
    program = next(
        filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
    )
    if program is None:
        pytest.skip('no browser: apt install chromium')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program, args=['--no-sandbox'], timeout=300_000
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Return a function of a file to its open page; at the end nobody complained."""
    said, asked, contexts = [], [], []

    def open_page(path, **options):
        context = browser.new_context(viewport={'width': 1280, 'height': 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on('console', lambda message: said.append(message.text))
        page.on('pageerror', lambda error: said.append(str(error)))
        page.on('request', lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not said
    assert not [url for url in asked if not url.startswith(('file:', 'blob:', 'data:'))]


def wait_until(page, condition):
    """Wait for a condition in JavaScript; the page's own rules forbid playwright's way."""
    while not page.evaluate(condition):
        page.wait_for_timeout(50)


@pytest.mark.slow
def test_a_click_and_a_key_go_there_in_the_video(runs, open_page):
    page = open_page(runs[0] / 'report.html')
    assert page.title() == f'{NAME}: emotions'
    assert page.locator('h1').inner_text() == NAME
    wait_until(page, 'document.querySelector("video").readyState >= 2')
    assert page.evaluate('document.querySelector("video").duration') == pytest.approx(1.97, abs=0.2)
    timeline = page.locator('.timeline[data-face]').first
    timeline.scroll_into_view_if_needed()
    box = timeline.bounding_box()
    timeline.click(position={'x': 0.75 * box['width'], 'y': 20})
    wait_until(page, '!document.querySelector("video").seeking')
    start, end = (float(timeline.get_attribute(f'data-{name}')) for name in ('start', 'end'))
    there = page.evaluate('document.querySelector("video").currentTime')
    assert there == pytest.approx(start + 0.75 * (end - start), abs=0.05)
    (label,) = set(re.findall('|'.join(LABELS), timeline.get_attribute('aria-valuetext')))
    assert label in page.locator('.readout').first.inner_text()
    timeline.focus()
    page.keyboard.press('Home')
    page.keyboard.press('PageUp')
    wait_until(page, '!document.querySelector("video").seeking')
    there = page.evaluate('document.querySelector("video").currentTime')
    assert there == pytest.approx(start + 0.4, abs=0.1)
    page.keyboard.press('Space')
    wait_until(page, '!document.querySelector("video").paused')


@pytest.mark.parametrize('name', ['report.html', 'comparison.html'])
def test_a_phone_shows_it_without_moving_sideways(name, runs, bags, compared, open_page):
    page = open_page((compared if name == 'comparison.html' else runs[0]) / name)
    page.set_viewport_size({'width': 360, 'height': 740})
    assert page.evaluate('document.documentElement.scrollWidth') == 360


@pytest.mark.slow
def test_it_reads_without_scripts(runs, open_page):
    page = open_page(runs[0] / 'report.html', java_script_enabled=False)
    words = page.locator('main').inner_text()
    assert '45 images of 320 × 240 over 1.97 s' in words and '1 gap, of 0.53 s' in words
    assert page.locator('.scores polyline').count() == 6
    assert page.locator('.gap').count() == 1 and not page.locator('.only-js').is_visible()
    page.locator('summary', has_text='In words').click()
    assert 'happiness' in page.locator('article table').inner_text()


def strip(page):
    """Give the first strip of pictures of a page."""
    found = re.search(r'<img src="data:image/jpeg;base64,([^"]+)"', page.read_text())
    data = np.frombuffer(base64.b64decode(found[1]), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def test_heads_are_up_where_the_camera_is_not(runs):
    upright, turned = strip(runs[0] / 'report.html'), strip(runs[2] / 'report.html')
    assert upright.shape == turned.shape == (64, 16 * 64, 3)
    assert np.abs(upright.astype(int) - turned).mean() < 3
    assert np.abs(upright.astype(int) - turned[::-1]).mean() > 20


def test_the_videos_time_is_that_of_the_recording(tmp_path):
    """Of ten minutes with a gap; each image tells by how far it is white when it was taken."""
    shown = film.Film(tmp_path / 'film.mp4', 5 * SECOND, 605 * SECOND, 30.0, 0.1)
    assert shown.rate == pytest.approx(0.3)
    for second in [*range(0, 300), *range(500, 601)]:
        image = np.zeros((60, 200, 3), np.uint8)
        image[:, : second // 3] = 255
        shown.show((5 + second) * SECOND, image, [])
    shown.close()
    with Video(tmp_path / 'film.mp4') as video:
        frames = list(video)
    assert 175 <= len(frames) <= film.FRAMES / 10 + 1 and frames[0][1].shape == (60, 200, 3)
    for time_ns, image in frames:
        newest = time_ns / SECOND if not 299 <= time_ns / SECOND < 500 else 299
        assert 600 * (image > 127).mean() == pytest.approx(newest, abs=9)


def face(track_id=1, label='happiness', intensity=0.5, left=10):
    scores = np.full(6, 0.1)
    scores[3] = 0.5
    return FaceEmotion(
        track_id,
        TrackState.CONFIRMED,
        Roi(left, 10, 50, 50),
        label,
        LABELS.index(label),
        intensity,
        0.5,
        tuple(scores),
        5,
        0.5,
    )


def result(number, *faces, camera='camera', period=SECOND // 10):
    return ImageResult(number * period, camera, 'eye', (240, 320), list(faces))


def test_a_curve_is_short_however_long_the_face_is_there():
    curve = curves.Curve(1)
    for number in range(5000):
        curve.add(
            number, face(label='anger' if number < 2500 else 'neutral', intensity=number / 5000)
        )
    assert curves.STEPS / 2 <= len(curve.steps) <= curves.STEPS
    assert sum(step.images for step in curve.steps) == curve.images == 5000
    assert sum(step.intensity for step in curve.steps) == pytest.approx(sum(range(5000)) / 5000)
    assert curve.strongest_ns == 4999 and curve.labels == {'anger': 2500, 'neutral': 2500}
    (start, middle, first), (begin, end, second) = curve.spans()
    assert (start, first, second, end) == (0, 'anger', 'neutral', 4999)
    assert middle == begin == pytest.approx(2500, abs=16)


def test_what_is_gathered_is_bounded():
    """An hour and a quarter at 10 Hz in which there is a new face in every second."""

    def results():
        for number in range(45_000):
            yield result(
                number + 3000 * (number > 30_000), face(7 if number % 2 else 100 + number // 10)
            )

    cameras = report.gather(results())
    camera = cameras['camera']
    assert len(camera.curves) == report.FACES and 7 in camera.curves
    assert len(camera.curves) + camera.left_out == 4501
    assert camera.period == pytest.approx(0.1) and camera.rate == pytest.approx(9.4, abs=0.1)
    ((start, length),) = camera.gaps()
    assert (start, length) == (3000 * SECOND, pytest.approx(300.1 * SECOND))
    assert len(camera.rates()) <= 401 and min(camera.rates()) == 0.0
    assert max(camera.rates()) == pytest.approx(10, abs=0.1)


@pytest.mark.slow
def test_a_clock_that_is_set_while_recording_takes_no_more_memory(
    moving_face, bag_messages, write_bag, tmp_path
):
    """As of a robot without a battery for its clock: five images of 1970, then of today."""
    frames = moving_face(10)
    early, late = bag_messages(frames[:5], start=20 * SECOND), bag_messages(frames[5:])
    run(write_bag(tmp_path / 'run', {TOPIC: early + late}), tmp_path / 'out', report=True)
    page = (tmp_path / 'out' / 'run' / 'report.html').read_text()
    assert len(page) < film.BYTES / 2 and '1 gap' in page
    content = re.search(r'data:video/mp4;base64,([^"]+)"', page)[1]
    (tmp_path / 'video.mp4').write_bytes(base64.b64decode(content))
    with Video(tmp_path / 'video.mp4') as video:
        stamps, pictures = zip(*video)
    assert len(stamps) <= film.FRAMES + 2 and stamps[-1] > 50 * 365 * 86400 * SECOND
    assert pictures[0].std() > 50 and pictures[-1].std() > 50
    (camera,) = report.gather(report.read_results(tmp_path / 'out' / 'run')).values()
    assert len(camera.rates()) <= 401 and camera.images == 10


@pytest.mark.parametrize(
    'value, words',
    [
        (0, '0.00 s'),
        (59.99, '59.99 s'),
        (65.34, '1:05.3'),
        (899.97, '15:00.0'),
        (3599.99, '1:00:00'),
        (7265, '2:01:05'),
    ],
)
def test_times_in_words(value, words):
    assert seconds(value) == words


@pytest.fixture(scope='module')
def compared(runs, bags, tmp_path_factory):
    """Return the folder of a comparison of two runs with other thresholds."""
    folder = tmp_path_factory.mktemp('compared')
    with pytest.raises(SystemExit) as raised:
        command.main([str(bags / NAME), '--compare', *map(str, runs[:2]), '-o', str(folder)])
    assert raised.value.code == 1
    return folder


def test_two_runs_are_compared(compared, open_page):
    found = json.loads((compared / 'comparison.json').read_text())
    assert not found['same'] and found['images'] == 45
    assert found['faces'] - found['faces_with_the_same_label'] > 20
    assert found['intensity_difference_most'] == found['score_difference_most'] == 0
    first = found['most_important'][0]
    assert (first['kind'], first['label_a'], first['label_b']) == ('label', 'happiness', 'neutral')
    assert first['intensity_a'] == first['intensity_b'] > 0.5
    assert found['a']['made_of']['neutral_threshold'] == '0.37'
    page = open_page(compared / 'comparison.html')
    words = page.locator('main').inner_text()
    assert 'They differ' in words and 'happiness in A, neutral in B' in words
    assert re.search(r'neutral_threshold\s+0.37\s+1.0', words)
    assert page.evaluate('[...document.images].every(image => image.naturalWidth == 160)')
    assert page.locator('img').count() == found['differences']


def test_the_same_results_are_the_same(runs, tmp_path, capsys):
    with pytest.raises(SystemExit) as raised:
        command.main(
            ['--compare', str(runs[0]), str(runs[0] / f'{NAME}_0.mcap'), '-o', str(tmp_path)]
        )
    assert raised.value.code == 0
    assert capsys.readouterr().out.startswith('the same: 45 images in both, 0 only in A')
    assert json.loads((tmp_path / 'comparison.json').read_text())['same'] is True
    assert 'No difference' in (tmp_path / 'comparison.html').read_text()


@pytest.fixture
def recorded(runs, write_bag, tmp_path):
    """Return a function that writes results as if recorded from the node, every so many."""

    def write(name, each, shift=0):
        with Bag([runs[0] / f'{NAME}_0.mcap']) as bag:
            messages = [
                (message.log_time, decode(message.data, EMOTION_ARRAY))
                for message in bag.messages({RESULTS_TOPIC})
            ][::each]
        for _, message in messages:
            message.header.stamp.sec += shift
        return write_bag(tmp_path / name, {RESULTS_TOPIC: messages})

    return write


def test_a_live_run_that_dropped_images(runs, recorded):
    found = comparison.compare(runs[0], recorded('live', 3))
    assert (found.images, found.only_in_a, found.only_in_b) == (15, 30, 0)
    assert not found.same and not found.differences


def test_a_run_whose_times_go_back_is_the_same_as_itself(runs, write_bag, tmp_path):
    """600 images with stamps, then as many without, of which an earlier clock tells."""
    with Bag([runs[0] / f'{NAME}_0.mcap']) as bag:
        data = next(bag.messages({RESULTS_TOPIC})).data
    messages = []
    for number in range(1200):
        message = decode(data, EMOTION_ARRAY)
        message.header.stamp.sec = 1000 + number if number < 600 else 0
        message.header.stamp.nanosec = 0
        messages.append(((1 + number) * SECOND, message))
    place = write_bag(tmp_path / 'back', {RESULTS_TOPIC: messages})
    found = comparison.compare(place, place)
    assert found.same and (found.images, found.only_in_a, found.only_in_b) == (1200, 0, 0)
    some = write_bag(tmp_path / 'some', {RESULTS_TOPIC: messages[::3]})
    found = comparison.compare(place, some)
    assert (found.images, found.only_in_a, found.only_in_b) == (400, 800, 0)


def test_what_cannot_be_compared_says_why(runs, bags, recorded, tmp_path, capsys):
    def error(*arguments):
        with pytest.raises(SystemExit) as raised:
            command.main([*map(str, arguments), '-o', str(tmp_path / 'out')])
        assert raised.value.code == 2
        assert not (tmp_path / 'out').exists()
        return capsys.readouterr().err

    assert 'are of different recordings (recording: ' in error('--compare', runs[0], runs[2])
    assert 'have no image in common (45 and 45)' in error(
        '--compare', runs[0], recorded('later', 1, 100)
    )
    assert 'nothing: no such file' in error('--compare', runs[0], 'nothing')
    assert 'holds no topic of type' in error('--compare', runs[0], bags / NAME)
    assert 'but ' in error(bags / 'turned', '--compare', runs[0], runs[1])
    assert 'holds 2 recordings, expected one' in error(bags, '--compare', runs[0], runs[1])
    assert 'holds 3 recordings, expected one' in error('--compare', runs[0].parent.parent, runs[0])
    assert 'IN is missing' in error()


def test_images_of_another_size_are_another_recording():
    found = comparison.Comparison(0.05)
    with pytest.raises(comparison.BagError, match='A are 320 x 240, those of B 32 x 24'):
        found.add(result(1), replace(result(1), image_size=(24, 32)))


def test_differences_by_importance_in_bounded_memory():
    found = comparison.Comparison(0.05)
    for number in range(4000):
        here = [face(), face(2, left=200)]
        there = [
            face(11, 'neutral' if number % 10 == 0 else 'happiness'),
            face(12, intensity=0.9 if 100 <= number < 120 else 0.52, left=205),
        ]
        if number in (50, 51):
            there.pop()
        found.add(result(number, *here), result(number, *there))
    found.finish()
    first = found.differences[0]
    assert (first.kind, first.face_a, first.face_b, first.images) == ('intensity', 2, 12, 20)
    assert first.importance == pytest.approx(2.0 * 0.4)
    assert (first.start_ns, first.end_ns) == (10 * SECOND, pytest.approx(11.9 * SECOND))
    second = found.differences[1]
    assert (second.kind, second.label_a, second.label_b) == ('only in a', 'happiness', '')
    assert len(found.differences) == comparison.DIFFERENCES
    assert found.more == 402 - comparison.DIFFERENCES
    assert found.labels['happiness', 'neutral'] == 400 and found.faces_only_in_a == 2
    assert sum(found.labels.values()) == found.faces == 7998
    assert set(EMOTIONS) > {difference.label_a for difference in found.differences}
