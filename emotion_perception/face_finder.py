"""The faces of one camera, frame by frame: a detector's looks shared out, a tracker fed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_perception.boxes import Box, Detection, is_chin, overlap, picture_of, similarity
from emotion_perception.cuts import CutDetector
from emotion_perception.detection import FaceDetector
from emotion_perception.emotions import Roi, TrackState
from emotion_perception.options import DEFAULTS
from emotion_perception.tracking import LEAST_SURE, nearest, SAME_FACE, Track, Tracker, USUAL

SEARCHES = 12  # known faces that are looked for by the cascade in one frame
SECOND_LOOKS = 1  # ... and not found, for which the second cascade looks, too, upright
KNOWN_HITS = 3  # hits of the second cascade that are enough there; a new face needs more
TILT = 20  # [degrees] step in which a known face is tilted; the cascade takes half of it
STEEPEST = 40  # [degrees]
TILTED_LOOKS = 3  # looks with the image turned, by both cascades, in one frame
EQUALIZED = 3  # frames in one of which a share is searched with its contrast raised
EQUALIZED_IDLE = 4  # ... when no face is known: in an empty room it is what costs
ROUNDS, FINE = 5, (1, 3)  # searches of the whole image, and those of them for sizes in between
VERIFICATIONS = 3  # raw hits that are looked at closely in one frame
TWICE = 3  # frames in one of which both cascades look at a hit
IDLE_INTERVAL = 4  # frames over which a search is spread at most when no face is known
ALIKE = 0.7  # correlation at which a place looks like a face's picture
CERTAIN = 0.7  # share of sure detections of a face beyond doubt
STILL_THERE = 0.75  # ... at which it does not show another one
ACROSS_CUT = 0.8  # ... not even where the whole image shows something else
SAME = 0.9  # ... at which it shows the same face, a frame after it was found
SIZES = (0.85, 1.0, 1.18)  # of its box, at which it is compared: boxes differ in size
SOON = 0.05  # [s] between two images, below which a face that is not found after a cut is
#                         gone: later, a camera that has moved shows another scene, too
LOST = 1.0  # [s] for which a face is looked for where one was lost, in every image and any light
LOOK = (16, 16)  # [pixels] size of the picture by which a face is seen to be still
STILL = 3.0  # [grey levels] by which no pixel of it may change: averages hold no noise of a camera
SETTLED = 0.1  # [s] ... for so long: by then the box has found its place


def _certain(track: Track) -> bool:
    return track.state is TrackState.CONFIRMED and track.undetected == 0 and track.sure >= CERTAIN


class _Look(NamedTuple):
    """How a face has looked since a moment."""

    stamp_ns: int
    roi: Roi
    picture: npt.NDArray[np.float32]


def _tilts_near(tilt: int) -> list[int]:
    """Return how a face may be tilted [degrees] that was last seen so, where it is not upright."""
    return [t for t in (tilt, tilt + TILT, tilt - TILT) if t and abs(t) <= STEEPEST]


def _alike(track: Track, detection: Detection) -> bool:
    return similarity(track.patch, detection.patch, detection.tilt - track.tilt) >= SAME_FACE


def _unknown(hits: Sequence[Box], known: Sequence[Box]) -> list[Box]:
    """Return the hits that are neither a known face nor its chin."""
    return [
        box
        for box in hits
        if not any(overlap(box, other) >= 0.4 or is_chin(box, other) for other in known)
    ]


class FaceFinder:
    """Find and follow the faces of one camera at a bounded, even cost.

    Every frame a share of the image is searched for new faces, and each known face is looked for
    near the place where it is expected; where there are more than can be afforded, they take
    turns. Deterministic: the same frames and stamps give the same tracks. Several cameras may
    share one detector in one thread.

    max_coast_seconds: time after which a face that is not seen is given up. max_faces: tracks
    at a time. track_mode: 'all', or 'nearest' for the largest face alone.
    """

    def __init__(
        self,
        detector: FaceDetector,
        *,
        max_coast_seconds: float = DEFAULTS['max_coast_seconds'],
        max_faces: int = DEFAULTS['max_faces'],
        track_mode: str = DEFAULTS['track_mode'],
    ) -> None:
        self._detector = detector
        self._tracker = Tracker(max_coast_seconds, max_faces)
        self._max_faces = max_faces
        #: Times that all faces were forgotten because the images came in another size.
        self.resizes = 0
        #: ... and because of a gap in the stamps.
        self.gaps = 0
        self._shape: tuple[int, ...] | None = None
        if track_mode not in ('all', 'nearest'):
            raise ValueError(f"track_mode must be 'all' or 'nearest', got {track_mode!r}")
        self._track_mode = track_mode
        self.restart()

    def restart(self) -> None:
        """Begin a new stream: all faces are forgotten, their ids are not given out again."""
        self._tracker.restart()
        self._cuts = CutDetector()
        self._begin()

    def _begin(self) -> None:
        """Know nobody: the next image is searched as a whole."""
        self._tracker.forget({track.track_id for track in self._tracker.tracks})
        self._nearest_id: int | None = None
        self._frame = 0
        # track_id -> frame in which the cascade last looked for it
        self._searched: dict[int, int] = {}
        self._looks: dict[int, _Look] = {}  # by track_id
        self._lost: list[tuple[float, Box]] = []  # how long ago [s] and where faces were lost

    def configure(self, *, max_coast_seconds: float) -> None:
        """Change what may be changed while the tracks go on."""
        self._tracker.max_coast_seconds = max_coast_seconds

    def update(self, gray: npt.NDArray[np.uint8], stamp_ns: int) -> list[Track]:
        """Return the tracks (Track) after this frame, uint8 [H,W], at this time [ns].

        An image of another size than the last one, and one after a gap in time, begin with
        nobody known. After a cut, to another scene or to another person before the same wall, a
        face in a known one's place is the same only if it looks much the same.
        ValueError: a stamp earlier than the last one.
        """
        resized = self._shape not in (None, gray.shape)
        self._shape = gray.shape
        self.resizes += resized
        gap = self._tracker.gap(stamp_ns)
        self.gaps += gap and bool(self._tracker.tracks)
        if resized or gap:
            self._begin()
        expected = self._tracker.predict(stamp_ns)
        detections, followed, waiting = self._known(gray, expected, stamp_ns)
        known = [d.box for d in detections] + list(followed.values())
        known += [expected[i] for i in waiting]
        step = self._tracker.seconds_until(stamp_ns) or USUAL
        self._lost = [(ago + step, place) for ago, place in self._lost if ago + step <= LOST]
        detections += self._new(gray, known)
        unchanged = {
            track_id: seen
            for track_id, seen in self._looks.items()
            if np.abs(picture_of(gray, seen.roi, LOOK) - seen.picture).max() <= STILL
        }
        still = {i for i, seen in unchanged.items() if stamp_ns - seen.stamp_ns >= SETTLED * 1e9}
        before = [t for t in self._tracker.tracks if t.state is not TrackState.NEW]
        tracks = self._tracker.update(detections, stamp_ns, followed, waiting, still)
        self._remember_lost(before, tracks)
        tracks = self._inside(tracks, gray.shape)
        self._looks = {
            track.track_id: unchanged.get(track.track_id)
            or _Look(stamp_ns, roi := track.box.roi(*gray.shape[::-1]), picture_of(gray, roi, LOOK))
            for track in tracks
        }
        self._frame += 1
        if self._track_mode == 'all':
            return tracks
        track = nearest(tracks, self._nearest_id)
        self._nearest_id = track.track_id if track else None
        return [track] if track else []

    def _remember_lost(self, before: Sequence[Track], tracks: Sequence[Track]) -> None:
        """Remember where tracks ended, until a face is found there."""
        living = {track.track_id for track in tracks}
        # What ended because it hardly looked like a face, a curtain say, is not missed.
        ended = [t for t in before if t.track_id not in living and t.sure >= LEAST_SURE]
        found = [t.box for t in tracks if t.state is TrackState.CONFIRMED]
        self._lost = [
            (ago, place)
            for ago, place in [*self._lost, *((0.0, track.box) for track in ended)]
            if all(overlap(place, box) < 0.4 for box in found)
        ]

    def _known(
        self,
        gray: npt.NDArray[np.uint8],
        expected: Mapping[int, Box],
        stamp_ns: int,
    ) -> tuple[list[Detection], dict[int, Box], list[int]]:
        """Look for the known faces, {track_id: Box}, where they are expected.

        Return their Detections, {track_id: Box} of those that were only followed, and the
        track_ids of those whose turn it was not.
        """
        self._searched = {i: self._searched.get(i, -1) for i in expected}
        detections: list[Detection] = []
        followed: dict[int, Box] = {}
        seconds = self._tracker.seconds_until(stamp_ns)
        self._cuts.update(gray, seconds)
        ends = self._cuts.is_cut and seconds < SOON
        second_looks, tilted_looks = SECOND_LOOKS, TILTED_LOOKS
        position = {track.track_id: i for i, track in enumerate(self._tracker.tracks)}
        turn = sorted(
            self._tracker.tracks,
            key=lambda t: (t.state is not TrackState.NEW, self._searched[t.track_id], t.track_id),
        )
        for track in turn[:SEARCHES]:
            place = expected[track.track_id]
            # The cascade looks at a face that it finds without doubt in every second frame, and
            # at every second such face in a frame. (Ids count on when a stream begins again, and
            # its results should not depend on that.)
            if (self._frame + position[track.track_id]) % 2 and _certain(track):
                there, likeness = self._detector.follow(gray, place, track.patch, 0.2, track.tilt)
                if (
                    there
                    and likeness >= SAME
                    and all(overlap(there, d.box) < 0.6 for d in detections)
                ):
                    detections.append(Detection(there, track.patch, track.sure, track.tilt))
                    continue
            self._searched[track.track_id] = self._frame
            new, seen = track.state is TrackState.NEW, track.misses == 0
            reach = 0.2 if seen else 0.45
            looks: dict[str, Any] = {
                'min_neighbors': self._detector.min_neighbors if new else 2,
                'growth': 1.12 if seen and not new else 1.3,
                'reach': reach,
            }
            second: dict[str, Any] = {'hits': KNOWN_HITS, 'growth': 1.3, 'reach': reach}
            detection = self._detector.search(gray, place, **looks)
            if not detection and overlap(place, track.box) < 0.8:
                # What was expected to move far, as after a late image, may have stopped.
                detection = self._detector.search(gray, track.box, **looks)
            if not detection and second_looks:
                second_looks -= 1
                detection = self._detector.confirm(gray, place, **second)
            if new and not detection:
                detection = self._detector.look_closer(gray, place, twice=False)
            if not new and (not detection or track.tilt and not _alike(track, detection)):
                for tilt in _tilts_near(track.tilt)[:tilted_looks]:
                    tilted_looks -= 1
                    tilted = self._detector.search(gray, place, **looks, tilt=tilt)
                    tilted = tilted or self._detector.confirm(gray, place, **second, tilt=tilt)
                    # What is found in a turned image is more often no face.
                    if tilted and _alike(track, tilted):
                        detection = tilted
                        break
            if detection and self._is_another(gray, track, detection):
                self._tracker.forget({track.track_id})
            elif detection:
                detection = self._recognized(gray, place, track, detection, reach)
            if detection:
                if all(overlap(detection.box, d.box) < 0.6 for d in detections):
                    detections.append(detection)
                continue
            there, likeness = self._detector.follow(gray, place, track.patch, reach, track.tilt)
            if there and likeness >= (ACROSS_CUT if ends else ALIKE):
                followed[track.track_id] = there
            elif ends:  # it will not come back
                self._tracker.forget({track.track_id})
        waiting = [track.track_id for track in turn[SEARCHES:]]
        return detections, followed, waiting

    def _recognized(
        self,
        gray: npt.NDArray[np.uint8],
        place: Box,
        track: Track,
        detection: Detection,
        reach: float,
    ) -> Detection:
        """Return a detection that looks unlike the track's face with its picture, if that is there.

        Boxes of one face in two frames may differ enough to look unlike; where the old picture is
        found in the new image, it is the same face.
        """
        if _alike(track, detection):
            return detection
        _, likeness = self._detector.follow(gray, place, track.patch, reach, track.tilt)
        if likeness >= STILL_THERE:
            return detection._replace(patch=track.patch, tilt=track.tilt)
        if self._likeness(gray, detection.box, track) >= STILL_THERE:
            # Of another size than the box: the old picture would not be found again.
            track.patch, track.tilt = detection.patch, detection.tilt
        return detection

    def _likeness(self, gray: npt.NDArray[np.uint8], box: Box, track: Track) -> float:
        """Return how much what is near a box looks like a track's face, -1 .. 1."""
        return max(
            self._detector.follow(gray, box.scaled(size), track.patch, 0.25, track.tilt)[1]
            for size in SIZES
        )

    def _is_another(self, gray: npt.NDArray[np.uint8], track: Track, detection: Detection) -> bool:
        """Say whether the picture was cut, and a detection shows another face than the track's."""
        if self._cuts.is_cut and self._likeness(gray, detection.box, track) < ACROSS_CUT:
            return True
        return (
            self._cuts.is_jump
            and self._likeness(gray, track.box, track) < self._cuts.same
            and self._cuts.is_another_head(track.box)
        )

    def _new(self, gray: npt.NDArray[np.uint8], known: Sequence[Box]) -> list[Detection]:
        """Return Detections of faces that are none of the known boxes."""
        if self._frame == 0:
            # Nothing is known yet: look everywhere at once, for faces in any light, and where there
            # are none for sizes in between.
            for fine in (False, True):
                boxes = [
                    box
                    for equalized in (False, True)
                    for box in self._detector.propose(gray, equalized=equalized, fine=fine)[
                        : self._max_faces
                    ]
                ]
                if found := self._detector.verify(gray, boxes):
                    return found
            return []
        interval = self._detector.detection_interval
        if not known:  # With nobody to follow there is time to look faster.
            interval = min(interval, IDLE_INTERVAL)
        # Dim faces, and those of which the second cascade knows more, are looked for in some of
        # the frames: each share has its turn within as many rounds.
        turn = self._frame + self._frame // interval
        equalized = turn % (EQUALIZED if self._tracker.tracks else EQUALIZED_IDLE) == 0
        boxes = self._detector.propose(
            gray,
            self._frame % interval,
            interval,
            known,
            equalized=equalized,
            fine=self._frame // interval % ROUNDS in FINE,
        )
        boxes, near = _unknown(boxes, known), []
        places = [place for _, place in self._lost if all(overlap(place, b) < 0.4 for b in known)]
        if places:  # they take turns
            hits = self._detector.propose_near(gray, places[self._frame % len(places)])
            near = _unknown(hits, known)[:1]
        # Begin elsewhere in each round: false hits that always come must not crowd out a face.
        if boxes:
            room = VERIFICATIONS - len(near)
            start = self._frame // interval * room % len(boxes)
            boxes = (boxes + boxes)[start : start + min(room, len(boxes))]
        return self._detector.verify(gray, near + boxes, twice=turn % TWICE == 0, closer=True)

    def _inside(self, tracks: list[Track], shape: tuple[int, ...]) -> list[Track]:
        """End the tracks that have left the image."""
        height, width = shape
        gone = {
            t.track_id
            for t in tracks
            if not (0 <= t.box.center[0] < width and 0 <= t.box.center[1] < height)
        }
        self._tracker.forget(gone)
        return [t for t in tracks if t.track_id not in gone]
