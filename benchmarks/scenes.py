"""Moving video whose truth is known: real, talking and grimacing faces in a real, cluttered room.

Each face is cut out of a clip, frame by frame, along the box that a slow and careful search of the
clip gave, smoothed a little. It is laid into the scene with soft edges and moves in a lane of its
own, up and down, to and fro, nearer and farther. Where it is laid is the truth. Camera noise goes
over everything.
"""

from dataclasses import dataclass
from xml.etree import ElementTree

import cv2
import numpy as np

from emotion_perception.detection import load_cascade

RATE = 30  # frames a second, of scenes
SOURCE = 256  # [pixels] side of a face's picture
MARGIN = 1.5  # side of the picture over the side of the face box in its middle
SOURCE_FRAMES = 180  # frames that are taken of a clip
GAP = 10  # [frames] without a hit, over which a face's place is interpolated
SMOOTHING = 5  # [frames]
TILTING = 2.0  # [rad/s] of heads that tilt to and fro
NOISE = 2.0  # standard deviation of the camera's noise, of 255

#: Clips that show one face all the time, and people whose photographs move for want of more clips.
CLIPS = ('d10', 'd11', 'd12', 'd18', 'd19', 'd20', 'd3', 'd9', 'test', 'woman2')
STILLS = ('KA', 'KL', 'KR', 'MK', 'NM', 'UY')
#: A photograph of people in a living room; where their faces are says training.xml beside it.
ROOM = '2007_007763.jpg'


@dataclass(frozen=True)
class Scene:
    """A video and its truth."""

    images: np.ndarray  #: uint8 [n,H,W,3], BGR
    truth: np.ndarray  #: float [n,faces,4]: x, y, width, height [pixels]


@dataclass(frozen=True)
class Actors:
    """What scenes are made of."""

    faces: list  #: of uint8 [n,SOURCE,SOURCE,3], BGR: one person each
    room: np.ndarray  #: uint8 [H,W,3], BGR
    description: str


def load_actors(data):
    """Prepare the faces of the data folder; without one (None), of the astronaut in scikit-image.

    Of CLIPS those that are there. ValueError: one shows no face.
    """
    if data is None:
        from skimage.data import astronaut, coffee

        face = _cut_out([astronaut()[:, :, ::-1]])
        return Actors(
            [face, face[:, :, ::-1]] * 8,
            coffee()[:, :, ::-1],
            'one photograph (scikit-image: astronaut), which moves, and its mirror image',
        )
    clips = [name for name in CLIPS if (data / 'clips' / f'{name}.mp4').is_file()]
    faces = [_cut_out(_read(data / 'clips' / f'{name}.mp4', SOURCE_FRAMES)) for name in clips]
    people = {
        path.name.split('.')[0]: path
        for path in sorted((data / 'jaffe').glob('*.png'), reverse=True)
    }
    faces += [_cut_out([cv2.imread(str(people[person]))]) for person in STILLS if person in people]
    return Actors(
        faces,
        _room(data / 'tracking' / 'dlib_faces'),
        f'{len(clips)} clips ({", ".join(clips)}), then photographs of JAFFE, in the '
        f'room of {ROOM}',
    )


def compose(actors, faces, width, height, frames, seed=1, lanes=None, tilt=0.0):
    """Return a Scene of a number of moving faces.

    lanes: for how many faces the image is divided; more than faces leaves room. tilt: degrees by
    which they tilt to either side, to and fro, upright in the first frame.
    """
    random = np.random.default_rng(seed)
    lanes = lanes or faces
    columns = min(lanes, 4)
    rows = -(-lanes // columns)
    lane_width, lane_height = width / columns, height / rows
    largest = min(lane_width / 1.3, lane_height / 1.7, 0.27 * height)
    smallest = max(0.55 * largest, 54 * height / 480)
    movers = [
        _Mover(
            random,
            actors.faces[i % len(actors.faces)],
            (i % columns + 0.5) * lane_width,
            (i // columns + 0.5) * lane_height,
            lane_width,
            lane_height,
            min(smallest, largest),
            largest,
            tilt * (-1) ** i,
        )
        for i in range(faces)
    ]
    empty = empty_room(actors, width, height)
    noise = [random.normal(0, NOISE, empty.shape).astype(np.int16) for _ in range(7)]
    images = np.empty((frames, height, width, 3), np.uint8)
    truth = np.empty((frames, faces, 4))
    for frame in range(frames):
        image = images[frame]
        image[:] = empty
        for index, mover in enumerate(movers):
            truth[frame, index] = mover.draw(image, frame)
        cv2.add(image, noise[frame % len(noise)], dst=image, dtype=cv2.CV_8U)
    return Scene(images, truth)


def darkened(scene, share=0.15):
    """Return the scene with so much of its light, and a camera's noise over it."""
    return _relit(scene, lambda image, _: image * np.float32(share), 1.0)


def backlit(scene, share=0.2):
    """Return the scene with a bright window behind the people, to whom the camera turns dark."""

    def light(image, faces):
        people = np.zeros(image.shape[:2], np.float32)
        for x, y, width, height in faces:
            cv2.ellipse(
                people,
                (round(x + width / 2), round(y + height / 2)),
                (round(0.58 * width), round(0.72 * height)),
                0,
                0,
                360,
                1.0,
                -1,
            )
        people = cv2.GaussianBlur(people, (0, 0), 2)[..., None]
        return image * np.float32(share) * people + 235 * (1 - people)

    return _relit(scene, light, 1.0)


def noisy(scene, deviation=20.0):
    """Return the scene under strong noise, standard deviation of 255."""
    return _relit(scene, lambda image, _: image.astype(np.float32), deviation)


def _relit(scene, light, deviation):
    random = np.random.default_rng(2)
    noise = [
        random.normal(0, deviation, scene.images.shape[1:]).astype(np.float32) for _ in range(7)
    ]
    images = np.empty_like(scene.images)
    for number, (image, faces) in enumerate(zip(scene.images, scene.truth)):
        images[number] = (light(image, faces) + noise[number % 7]).clip(0, 255)
    return Scene(images, scene.truth)


def empty_room(actors, width, height):
    """Return the room without faces, filling uint8 [height,width,3]."""
    scale = max(width / actors.room.shape[1], height / actors.room.shape[0])
    matrix = np.array(
        [
            [scale, 0, (width - scale * actors.room.shape[1]) / 2],
            [0, scale, (height - scale * actors.room.shape[0]) / 2],
        ]
    )
    return cv2.warpAffine(actors.room, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def load_girl(data):
    """Return the sequence Girl of the Object Tracking Benchmark as a Scene of one face."""
    folder = data / 'tracking' / 'otb_girl'
    images = [cv2.imread(str(path)) for path in sorted((folder / 'img').iterdir())]
    text = (folder / 'groundtruth_rect.txt').read_text().replace(',', ' ')
    truth = np.array(text.split(), float).reshape(-1, 1, 4)
    count = min(len(images), len(truth))
    return Scene(np.stack(images[:count]), truth[:count])


class _Mover:
    """One face on its way."""

    def __init__(self, random, pictures, x, y, lane_width, lane_height, smallest, largest, tilt):
        self._pictures, self._tilt = pictures, tilt
        self._x, self._y = x, y
        middle = random.uniform(smallest, largest)
        swing = min(0.15 * middle, largest - middle, max(middle - smallest, 0.05 * middle))
        self._size, self._swing = middle, swing
        # As far as the lane lets the face go, its hair and chin included.
        self._reach_x = (lane_width - 1.25 * (middle + swing)) / 2
        self._reach_y = min((lane_height - 1.5 * (middle + swing)) / 2, 1.2 * middle)
        self._phases = random.uniform(0, 2 * np.pi, 3)
        self._speeds = random.uniform((0.9, 0.8, 0.6), (2.1, 2.0, 1.6))  # [rad/s]
        self._start = int(random.integers(len(pictures)))

    def draw(self, image, frame):
        """Draw the face into the image; return x, y, width, height of its box."""
        wave = np.sin(self._speeds * frame / RATE + self._phases)
        x = self._x + max(self._reach_x, 0) * wave[0]
        y = self._y + max(self._reach_y, 0) * wave[1]
        size = self._size + self._swing * wave[2]
        scale = size * MARGIN / SOURCE
        angle = self._tilt * np.sin(TILTING * frame / RATE)
        # A turned square reaches farther.
        reach = scale * SOURCE / 2 * (np.cos(np.radians(angle)) + abs(np.sin(np.radians(angle))))
        left, top = int(x - reach) - 1, int(y - reach) - 1
        side = int(2 * reach) + 3
        # Only the part that lies inside of the image.
        left, right = max(left, 0), min(left + side, image.shape[1])
        top, bottom = max(top, 0), min(top + side, image.shape[0])
        matrix = cv2.getRotationMatrix2D((SOURCE / 2, SOURCE / 2), angle, scale)
        matrix[:, 2] += x - left - SOURCE / 2, y - top - SOURCE / 2
        picture = self._pictures[to_and_fro(self._start + frame, len(self._pictures))]
        if scale < 0.7:  # against aliasing
            picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / scale)
        shape = right - left, bottom - top
        picture = cv2.warpAffine(picture, matrix, shape, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(_MASK, matrix, shape)[..., None]
        part = image[top:bottom, left:right]
        part[:] = (part * (1 - mask) + picture * mask + 0.5).astype(np.uint8)
        return x - size / 2, y - size / 2, size, size


def to_and_fro(index, count):
    """Return the index of a sequence that is played forwards and backwards without a jump."""
    index %= max(2 * count - 2, 1)
    return min(index, 2 * count - 2 - index) if count > 1 else 0


def _mask():
    y, x = np.mgrid[:SOURCE, :SOURCE] / SOURCE - 0.5
    mask = ((x / 0.39) ** 2 + (y / 0.48) ** 2 < 1).astype(np.float32)
    return cv2.GaussianBlur(mask, (0, 0), 0.015 * SOURCE)


_MASK = _mask()


def _read(path, frames):
    capture = cv2.VideoCapture(str(path))
    images = []
    while len(images) < frames and (read := capture.read())[0]:
        images.append(read[1])
    if not images:
        raise ValueError(f'{path} is missing or no video that OpenCV reads')
    return images


def _room(folder):
    """Return the photograph with its faces painted over."""
    image = cv2.imread(str(folder / ROOM))
    faces = np.zeros(image.shape[:2], np.uint8)
    for listed in ElementTree.parse(folder / 'training.xml').iter('image'):
        if listed.get('file') == ROOM:
            for box in listed.iter('box'):
                x, y, width, height = (
                    int(box.get(name)) for name in ('left', 'top', 'width', 'height')
                )
                faces[
                    max(y - height // 4, 0) : y + height * 9 // 8,
                    max(x - width // 8, 0) : x + width * 9 // 8,
                ] = 255
    return cv2.inpaint(image, faces, 5, cv2.INPAINT_TELEA)


def _cut_out(images):
    """Return the face of a clip as uint8 [n,SOURCE,SOURCE,3], its box in the middle."""
    pictures = []
    for number, (x, y, size) in _boxes(images).items():
        scale = SOURCE / (size * MARGIN)
        matrix = np.array(
            [
                [scale, 0, SOURCE / 2 - (x + size / 2) * scale],
                [0, scale, SOURCE / 2 - (y + size / 2) * scale],
            ]
        )
        pictures.append(
            cv2.warpAffine(
                images[number], matrix, (SOURCE, SOURCE), borderMode=cv2.BORDER_REPLICATE
            )
        )
    return np.stack(pictures)


def _boxes(images):
    """Return {frame: (x, y, size)} of the one face, for the longest part that shows it well."""
    cascade = load_cascade()
    hits = {}
    for number, image in enumerate(images):
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        scale = min(180 / gray.shape[0], 1)
        small = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = cascade.detectMultiScale(small, 1.05, 5, minSize=(30, 30))
        if len(found):
            x, y, size, _ = max(found.tolist(), key=lambda hit: hit[2])
            hits[number] = x / scale, y / scale, size / scale
    if not hits:
        raise ValueError('a clip shows no face')
    parts, last = [], None
    for number in hits:
        if last is None or number - last > GAP:
            parts.append([])
        parts[-1].append(number)
        last = number
    part = max(parts, key=lambda numbers: numbers[-1] - numbers[0])
    frames = np.arange(part[0], part[-1] + 1)
    columns = [np.interp(frames, part, values) for values in zip(*(hits[i] for i in part))]
    # The median takes out single wrong hits, the mean the rest of the jitter.
    for average in (np.median, np.mean):
        columns = [
            average(
                np.lib.stride_tricks.sliding_window_view(
                    np.pad(column, SMOOTHING // 2, mode='edge'), SMOOTHING
                ),
                axis=1,
            )
            for column in columns
        ]
    return dict(zip(frames.tolist(), zip(*columns)))
