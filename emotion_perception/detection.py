"""Image to boxes: frontal faces by a Haar cascade (Viola and Jones, CVPR 2001).

A full search of a camera image costs more than a frame's time, so there are several ways to search:

- ``detect`` searches a whole image at once (photographs, the first frame of a stream);
- ``propose`` searches one share of it: called once a frame with the shares in turn, it has
  looked everywhere after so many frames, at the same cost in each. What it returns are raw
  hits, many of them false. ``propose_near`` returns such hits around one box, where a face was lost;
- ``search`` looks closely around one box, to verify a raw hit or to find a known face again.
  It scales the face to one size first, so that a large one costs no more than a small one, and
  may turn a tilted one upright;
- ``confirm`` looks at it with a second cascade, in finer steps. The two err in different places:
  what both take for a face is one, and what the first just misses the second finds.

A cascade refuses a window whose contrast is low, so a dim face is none to it. Its contrast is raised
beforehand: in a search of the image locally, so that a bright window elsewhere does not decide; in a
close one by what the middle of the face needs.

``follow`` finds a face by what it looked like a moment ago, at a fraction of a search's cost.
"""

from collections.abc import Iterable, Sequence
import itertools
import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.boxes import Box, Detection, overlap, Rectangle
from emotion_perception.emotions import Roi
from emotion_perception.options import DEFAULTS

CASCADE = 'haarcascade_frontalface_default.xml'
SECOND_CASCADE = 'haarcascade_frontalface_alt.xml'
ROOM = 4 / 3  # [windows] size that a face is scaled to for a close search
FACE = 32  # [pixels] ... and to be followed by its picture
SECOND_FACE = 48  # [pixels] ... and for the second cascade
SECOND_HITS = 5  # that it needs; a face has 40, 1 % have less than 12
ALONE_HITS = 8  # ... where the first cascade finds nothing
CLOSE = 60  # [pixels] ... where both look once more: a face turned away has few hits
AROUND = 1.0  # [face sizes] by which a face may have moved since it was lost
SECOND_SIZE = 1.02  # its boxes are so much larger than the first one's
CONTRAST = 14  # standard deviation [grey levels] of a face below which ...
FULL_CONTRAST = 40  # ... it is raised to this,
MAX_GAIN = 12  # ... but at most so many times: what is even has only noise
TILE = 40  # [pixels of a level] over which its contrast is made equal
CLIP = 8  # limit of that, see cv2.createCLAHE
PATCH = 24  # [pixels] the middle of such a face, kept to recognise it
LARGEST = 1e5  # [pixels] no face is wider, whatever a box says
LEAST = 0.8  # of the smallest size asked for: sizes are only found to about so much
DRAWING_HITS = 28  # that a cascade for frontal faces has on the drawing: OpenCV's have 40 and more,
#                         those for cats 19 at most, for profiles 10, for eyes none
RAW = 0  # neighbours: every window that the cascade accepts

# Left, top, width and height of what a cascade has found [pixels].
_Hit = tuple[int, int, int, int]


def find_cascade(path: str = '', name: str = CASCADE) -> str:
    """Return the path of a face cascade: the given one, or OpenCV's own of this name.

    FileNotFoundError: there is none; the message lists where it was looked for.
    """
    folders = [
        Path(folder)
        for folder in (
            '/usr/share/opencv4/haarcascades',
            '/usr/share/opencv/haarcascades',
            '/usr/local/share/opencv4/haarcascades',
        )
    ]
    if hasattr(cv2, 'data'):  # Debian's and Ubuntu's OpenCV come without this module
        folders.insert(0, Path(cv2.data.haarcascades))
    candidates = [Path(path)] if path else [folder / name for folder in folders]
    for candidate in candidates:
        if candidate.is_file():
            return str(candidate)
    tried = ', '.join(map(str, candidates))
    raise FileNotFoundError(
        f'no face cascade at {tried}; install opencv-python 4 or '
        f'the package opencv-data, or name the file of a cascade'
    )


def load_cascade(path: str = '', name: str = CASCADE) -> 'cv2.CascadeClassifier':
    """Return the cv2.CascadeClassifier of find_cascade(path, name).

    OSError: this OpenCV has no cascade classifier. ValueError: the file is no cascade, or one
    for something else than faces.
    """
    if not hasattr(cv2, 'CascadeClassifier'):
        raise OSError(
            f'OpenCV {cv2.__version__} has no CascadeClassifier; '
            f'install opencv-python below version 5'
        )
    path, own = find_cascade(path, name), bool(path)
    try:
        path.encode()  # OpenCV does not survive a name that is no UTF-8
        cascade = cv2.CascadeClassifier(path)
    except UnicodeEncodeError:
        raise ValueError(f'{path!r} cannot be opened: expected a name in UTF-8') from None
    except (cv2.error, SystemError) as error:
        raise ValueError(
            f'{path} is not a Haar cascade, expected a file such as {CASCADE}'
        ) from error
    if cascade.empty():
        raise ValueError(f'{path} is empty or not a Haar cascade that OpenCV reads')
    width, height = cascade.getOriginalWindowSize()
    if own and (
        width != height
        or len(cascade.detectMultiScale(_drawing(), 1.05, RAW, 0, (130, 130), (300, 300)))
        < DRAWING_HITS
    ):
        raise ValueError(
            f'{path} (window {width} x {height}) does not take a drawn face for one; '
            'a Haar or LBP cascade for frontal faces of people is needed'
        )
    return cascade


def _drawing() -> npt.NDArray[np.uint8]:
    """Draw a face, uint8 [480,480]: cascades for frontal faces know it, no others do.

    Its measures were searched for, by small random changes, to part the two best.
    """
    image = np.full((480, 480), 71, np.uint8)
    # fmt: off
    for x, y, width, height, gray in (
            (240, 245, 88, 118, 42), (240, 251, 74, 97, 197),                        # hair, skin
            (204, 220, 22, 5, 98), (276, 220, 22, 5, 98),                            # brows
            (204, 226, 20, 11, 133), (276, 226, 20, 11, 133),                        # sockets
            (204, 238, 16, 5, 70), (276, 238, 16, 5, 70),                            # eyes
            (240, 244, 10, 27, 221), (230, 281, 12, 3, 151), (250, 281, 12, 3, 151),  # nose
            (240, 307, 36, 11, 119),                                                 # mouth
            (205, 272, 16, 10, 206), (275, 272, 16, 10, 206)):                       # cheeks
        # fmt: on
        cv2.ellipse(image, (x, y), (width, height), 0, 0, 360, gray, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2), np.uint8)


def shrink(image: npt.NDArray[np.uint8], scale: float) -> npt.NDArray[np.uint8]:
    """Return the image resized by a factor <= 1, free of aliasing and cheap.

    A whole factor by area, the rest (above one half) bilinear: area interpolation by a
    fraction costs ten times as much.
    """
    whole = max(int(1 / scale), 1)
    if whole > 1:
        # A strip may be narrower than the pixels that are to become one.
        height, width = (max(length // whole, 1) for length in image.shape)
        image = _resized(image[: height * whole, : width * whole], width, height, cv2.INTER_AREA)
    width, height = (max(round(length * scale * whole), 1) for length in image.shape[::-1])
    return _resized(image, width, height)


def _resized(
    image: npt.NDArray[np.uint8], width: int, height: int, interpolation: int = cv2.INTER_LINEAR
) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


class _View:
    """The surroundings of a box, scaled so that it is so many pixels wide; may be empty.

    tilt: degrees clockwise by which what is in the box is tilted; the view shows it upright.
    """

    def __init__(
        self, gray: npt.NDArray[np.uint8], box: Box, reach: float, face: int = FACE, tilt: int = 0
    ) -> None:
        if not 1 <= box.width <= LARGEST:
            self.pixels = gray[:0]
            return
        scale = face / box.width
        x, y = box.center
        half = box.width * (0.5 + reach)
        if tilt:  # the corners of a turned square reach farther
            half *= math.cos(math.radians(tilt)) + abs(math.sin(math.radians(tilt)))
        self._left, self._top = max(round(x - half), 0), max(round(y - half), 0)
        region = gray[self._top : max(round(y + half), 0), self._left : max(round(x + half), 0)]
        if min(region.shape) == 0:
            self.pixels = region
            return
        self.pixels = (
            shrink(region, scale)
            if scale < 1
            else np.asarray(
                cv2.resize(region, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR),
                np.uint8,
            )
        )
        self._scale_x = self.pixels.shape[1] / region.shape[1]
        self._scale_y = self.pixels.shape[0] / region.shape[0]
        #: Where the middle of the box lies in it.
        self.middle = (x - self._left) * self._scale_x, (y - self._top) * self._scale_y
        self._untilt: npt.NDArray[np.float64] | None = None
        if tilt:
            side = round(face * (1 + 2 * reach))
            turn = cv2.getRotationMatrix2D(self.middle, tilt, 1)
            turn[:, 2] += np.subtract(side / 2, self.middle)
            self.pixels = np.asarray(
                cv2.warpAffine(self.pixels, turn, (side, side), borderMode=cv2.BORDER_REPLICATE),
                np.uint8,
            )
            self.middle = side / 2, side / 2
            self._untilt = np.asarray(cv2.invertAffineTransform(turn))

    def to_image(self, x: float, y: float, width: float, height: float) -> Box:
        if self._untilt is not None:
            u, v = self._untilt @ (x + width / 2, y + height / 2, 1)
            x, y = float(u) - width / 2, float(v) - height / 2
        return Box(
            self._left + x / self._scale_x,
            self._top + y / self._scale_y,
            width / self._scale_x,
            height / self._scale_y,
        )


class FaceDetector:
    """Find upright frontal faces in gray images, uint8 [H,W].

    scale_factor: step between the sizes that are looked for, > 1.
    min_neighbors: overlapping hits that make a face; more: fewer false and fewer true ones.
    min_face_size: smallest face that is found, edge of its box [pixels], >= 24.
    detection_interval: frames over which one search of the whole image is spread.
    """

    def __init__(
        self,
        *,
        cascade: str = DEFAULTS['cascade'],
        scale_factor: float = DEFAULTS['scale_factor'],
        min_neighbors: int = DEFAULTS['min_neighbors'],
        min_face_size: int = DEFAULTS['min_face_size'],
        detection_interval: int = DEFAULTS['detection_interval'],
    ) -> None:
        self._cascade = load_cascade(cascade)
        self._window = self._cascade.getOriginalWindowSize()[0]
        # Beside a cascade of one's own, which may be for other faces, there is no second one.
        self._second = None if cascade else load_cascade(name=SECOND_CASCADE)
        self._equalizer = cv2.createCLAHE(CLIP)
        if not (scale_factor > 1 and min_face_size >= self._window and detection_interval >= 1):
            raise ValueError(
                f'need scale_factor > 1, min_face_size >= {self._window} (the window '
                f'of the cascade) and detection_interval >= 1, got {scale_factor}, '
                f'{min_face_size}, {detection_interval}'
            )
        self.scale_factor = scale_factor
        self.min_neighbors = min_neighbors
        self.min_face_size = min_face_size
        self.detection_interval = detection_interval

    def detect(self, gray: npt.NDArray[np.uint8]) -> list[Roi]:
        """Return the Roi of every frontal face in the image, the largest first."""
        detections = self.find(gray)
        height, width = gray.shape
        rois = [detection.box.roi(width, height) for detection in detections]
        return sorted(rois, key=lambda roi: (-roi.width, roi))

    def find(self, gray: npt.NDArray[np.uint8]) -> list[Detection]:
        """Return the Detections in the whole image.

        Where there are none those of dim faces, then those of sizes in between.
        """
        for fine, equalized in itertools.product((False, True), repeat=2):
            if found := self.verify(gray, self.propose(gray, equalized=equalized, fine=fine)):
                return found
        return []

    def propose(
        self,
        gray: npt.NDArray[np.uint8],
        share: int = 0,
        shares: int = 1,
        known: Sequence[Rectangle] = (),
        equalized: bool = False,
        fine: bool = False,
    ) -> list[Box]:
        """Return raw hits (Box) in one of several equal shares of all windows, best first.

        Level by level the image is made smaller, and the cascade's window of 24 pixels runs
        over it in steps of 2. The smallest face asked for stands in the first level. A share is
        a band of rows in every level. known: boxes inside which nothing is looked for.
        equalized: with contrast raised where there is little, so that dim faces are found, too.
        fine: for sizes between those that are looked for otherwise.
        """
        boxes: list[_Hit] = []
        window = self._window
        scale = min(window / self.min_face_size, 1.0) / (self.scale_factor**0.5 if fine else 1.0)
        octave, number = gray, 0
        while min(gray.shape) * scale > window:
            while scale * gray.shape[0] <= octave.shape[0] / 2:
                octave = shrink(octave, 0.5)
            level = shrink(octave, scale * gray.shape[0] / octave.shape[0])
            fx, fy = gray.shape[1] / level.shape[1], gray.shape[0] / level.shape[0]
            rows = level.shape[0] - window
            # Another band in each level: faces stand side by side, and cost more than walls.
            band = (share + number) % shares
            begin, end = (rows * edge // shares // 2 * 2 for edge in (band, band + 1))
            part = level[begin : (end if band + 1 < shares else rows) + window]
            if equalized:
                part = self._equalized(part)
            # A face costs the cascade more than a wall: hide what is known.
            for x, y, width, height in known:
                top, bottom, left, right = (
                    max(round(edge), 0)
                    for edge in (
                        (y + 0.1 * height) / fy - begin,
                        (y + 0.9 * height) / fy - begin,
                        (x + 0.1 * width) / fx,
                        (x + 0.9 * width) / fx,
                    )
                )
                part[top:bottom, left:right] = 128
            hits = self._cascade.detectMultiScale(
                part, 1.1, RAW, 0, (window, window), (window, window)
            )
            boxes += [
                (round(x * fx), round((y + begin) * fy), round(w * fx), round(h * fy))
                for x, y, w, h in hits
            ]
            scale /= self.scale_factor
            number += 1
        return [Box(*map(float, box)) for _, box in self._group(boxes, 1)]

    def propose_near(self, gray: npt.NDArray[np.uint8], box: Box) -> list[Box]:
        """Return raw hits (Box) of about a box's size around it, in any light, best first."""
        face = round(ROOM * self._window)
        view = _View(gray, box, AROUND, face)
        if min(view.pixels.shape) <= self._window:
            return []
        hits = self._hits(self._cascade, self._equalized(view.pixels), face, 1.35, 1)
        return [view.to_image(*hit) for _, hit in hits]

    def _equalized(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return a copy in which contrast is alike everywhere, whatever the light."""
        width, height = (max(round(length / TILE), 1) for length in image.shape[::-1])
        self._equalizer.setTilesGridSize((width, height))
        return np.asarray(self._equalizer.apply(image), np.uint8)

    @staticmethod
    def _group(hits: Iterable[Sequence[int]], min_neighbors: int) -> list[tuple[int, _Hit]]:
        """Merge hits that overlap; return how many each stands for, and it, best first."""
        # Sorted, as OpenCV's threads give them in any order. Each twice, as OpenCV drops
        # a group whose count is not above the threshold.
        twice = sorted(tuple(map(int, hit)) for hit in hits) * 2
        groups, counts = cv2.groupRectangles(twice, max(2 * min_neighbors - 1, 1), 0.2)
        found = zip(np.ravel(counts).tolist(), np.asarray(groups).tolist())
        return sorted(
            ((count // 2, tuple(group)) for count, group in found),
            key=lambda pair: (-pair[0], pair[1]),
        )

    def verify(
        self,
        gray: npt.NDArray[np.uint8],
        boxes: Sequence[Box],
        twice: bool = True,
        closer: bool = False,
    ) -> list[Detection]:
        """Return Detections, each once, for those of the boxes that hold a face.

        twice: what the first cascade refuses the second may still find. closer: and both, in finer
        steps, what they refused.
        """
        found: list[Detection] = []
        for box in boxes:
            if all(overlap(box, detection.box) < 0.4 for detection in found):
                detection = self.search(gray, box, self.min_neighbors, growth=1.35)
                if detection or twice:
                    detection = self.confirm(gray, box, detection)
                if closer and not detection:
                    detection = self.look_closer(gray, box)
                if detection and all(overlap(detection.box, d.box) < 0.4 for d in found):
                    found.append(detection)
        return found

    def look_closer(
        self, gray: npt.NDArray[np.uint8], box: Box, twice: bool = True
    ) -> Detection | None:
        """Return the Detection of what is a face in fine steps near a box, or None.

        twice: to both cascades. Of what is small in the image nothing more is to be seen.
        """
        if not self._second or box.width < SECOND_FACE:
            return None
        found = self._look(gray, box, self._cascade, CLOSE, self.min_neighbors, 1.35, 0.35)
        if not found or not twice:
            return found
        again = self._look(gray, found.box, self._second, CLOSE, SECOND_HITS, 1.35, 0.35)
        return found if again and overlap(again.box, found.box) > 0.5 else None

    def search(
        self,
        gray: npt.NDArray[np.uint8],
        box: Box,
        min_neighbors: int,
        growth: float = 1.12,
        reach: float = 0.35,
        tilt: int = 0,
    ) -> Detection | None:
        """Return the Detection of one face near a box, or None.

        Of several faces it is the one with the most hits, weighed down by its distance.
        growth: factor by which its size may differ from the box's. reach: how far it may be
        off, in sizes. tilt: degrees clockwise by which the face is tilted.
        """
        return self._look(
            gray, box, self._cascade, round(ROOM * self._window), min_neighbors, growth, reach, tilt
        )

    def confirm(
        self,
        gray: npt.NDArray[np.uint8],
        box: Box,
        detection: Detection | None = None,
        hits: int = ALONE_HITS,
        growth: float = 1.35,
        reach: float = 0.35,
        tilt: int = 0,
    ) -> Detection | None:
        """Return what the second cascade says of a box: a Detection, or None.

        detection: that of the first cascade, which is returned where the second one agrees, or
        where there is no second one. hits: that it takes without it. tilt: degrees clockwise by
        which the face is tilted.
        """
        if not self._second:
            return detection
        found = self._look(
            gray,
            detection.box if detection else box,
            self._second,
            SECOND_FACE,
            SECOND_HITS if detection else hits,
            growth,
            reach,
            tilt,
        )
        if not found or not detection:
            return found
        return detection if overlap(found.box, detection.box) > 0.5 else None

    def _look(
        self,
        gray: npt.NDArray[np.uint8],
        box: Box,
        cascade: 'cv2.CascadeClassifier',
        face: int,
        min_neighbors: int,
        growth: float,
        reach: float,
        tilt: int = 0,
    ) -> Detection | None:
        view = _View(gray, box, reach, face, tilt)
        if min(view.pixels.shape) <= cascade.getOriginalWindowSize()[0]:
            return None
        pixels = self._raised(view, face)
        hits = self._hits(cascade, pixels, face, growth, min_neighbors)
        if not hits:
            return None
        u, v = view.middle

        def likely(count: int, hit: _Hit) -> tuple[float, _Hit, int]:
            off = math.hypot(hit[0] + hit[2] / 2 - u, hit[1] + hit[3] / 2 - v) / face
            return count / (1 + (off / 0.2) ** 2), hit, count

        _, hit, count = max(likely(*group) for group in hits)
        found = view.to_image(*hit)
        if cascade is self._second:
            found = found.scaled(1 / SECOND_SIZE)
        if found.width < LEAST * self.min_face_size:
            return None
        sure = count >= (SECOND_HITS if cascade is self._second else self.min_neighbors)
        return Detection(found, self._patch(pixels, hit), sure, tilt)

    def _hits(
        self,
        cascade: 'cv2.CascadeClassifier',
        pixels: npt.NDArray[np.uint8],
        face: int,
        growth: float,
        min_neighbors: int,
    ) -> list[tuple[int, _Hit]]:
        """Return the faces of about a width in a view as ``_group`` does."""
        smallest, largest = int(face / growth), round(face * growth)
        hits = cascade.detectMultiScale(
            pixels, 1.1, RAW, 0, (smallest, smallest), (largest, largest)
        )
        return self._group(hits, min_neighbors)

    @staticmethod
    def _raised(view: _View, face: int) -> npt.NDArray[np.uint8]:
        """Return a view's pixels, with more contrast where the middle of its face has little."""
        (x, y), half = view.middle, face * PATCH / FACE / 2
        inner = view.pixels[
            max(round(y - half), 0) : max(round(y + half), 1),
            max(round(x - half), 0) : max(round(x + half), 1),
        ]
        if not inner.size:  # the face has walked out of the image
            return view.pixels
        mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(inner))
        if deviation >= CONTRAST:
            return view.pixels
        gain = min(FULL_CONTRAST / max(deviation, 1e-3), MAX_GAIN)
        return np.asarray(
            cv2.addWeighted(view.pixels, gain, view.pixels, 0, 128 - gain * mean), np.uint8
        )

    @staticmethod
    def follow(
        gray: npt.NDArray[np.uint8],
        box: Box,
        patch: npt.NDArray[np.uint8] | None,
        reach: float,
        tilt: int = 0,
    ) -> tuple[Box | None, float]:
        """Return the place near a box that looks most like a face's patch, and how much.

        tilt: degrees clockwise by which the face is tilted.
        :return: Box of the box's size, and the correlation, -1 .. 1; (None, -1) where the image
            has no room for the patch.
        """
        view = _View(gray, box, reach, tilt=tilt)
        if patch is None or min(view.pixels.shape) < PATCH:
            return None, -1.0
        match = cv2.matchTemplate(view.pixels, patch, cv2.TM_CCOEFF_NORMED)
        _, score, _, (x, y) = cv2.minMaxLoc(match)
        rim = (FACE - PATCH) / 2
        return view.to_image(x - rim, y - rim, FACE, FACE), score

    @staticmethod
    def _patch(small: npt.NDArray[np.uint8], hit: _Hit) -> npt.NDArray[np.uint8]:
        """Cut out the middle of a face, at the scale of the close search."""
        x, y, width, height = hit
        rim = (1 - PATCH / FACE) / 2
        inner = small[
            round(y + rim * height) : round(y + (1 - rim) * height),
            round(x + rim * width) : round(x + (1 - rim) * width),
        ]
        return _resized(inner, PATCH, PATCH)
